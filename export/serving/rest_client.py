"""Asks a server for the codes of image files over REST; needs Python alone.

    python rest_client.py photo.jpg ... [--url http://localhost:8501/v1/models/ssah] [--model-id ID]

Prints a line an image: the code in hexadecimal, and the file. TensorFlow Serving and KServe answer
the same request; the server decodes and resizes. It asks first which encoder is served, and once
more at the end: codes of two encoders are never mixed.
"""

import argparse
import base64
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path


def codes(url: str, files: list[bytes], timeout: float = 60) -> list[bytes]:
    """Packed codes of JPEG or PNG files, one `bytes` a file.

    Args:
        url: The model, for example `http://localhost:8501/v1/models/ssah`.
        files: Contents of the files.
        timeout: Seconds to wait.
    """
    instances = [{"b64": base64.b64encode(content).decode()} for content in files]
    return [bytes(code) for code in predict(url, "serving_bytes", instances, timeout)]


def about(url: str, timeout: float = 60) -> dict:
    """What the encoder that is served says of itself: `model_id`, `bits`, `image_size`."""
    return predict(url, "about", ["?"], timeout)[0]


def predict(url: str, signature: str, instances: list, timeout: float) -> list:
    """The answers of a signature, one an instance."""
    body = json.dumps({"signature_name": signature, "instances": instances}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}:predict", body, headers)
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return json.load(response)["predictions"]


def check(url: str, expected: str | None) -> str:
    """The model id of the encoder that is served; ends the program if it is another one."""
    found = about(url)["model_id"]
    if expected not in (None, found):
        sys.exit(f"{url}: serves model id {found}, not {expected}: their codes must not be mixed")
    return found


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--url", default="http://localhost:8501/v1/models/ssah")
    parser.add_argument("--model-id", help="Refuse a server with another encoder.")
    given = parser.parse_args()
    path = given.url
    try:
        model_id = check(given.url, given.model_id)
        for path in given.files:
            print(codes(given.url, [path.read_bytes()])[0].hex(), path)
        check(given.url, model_id)
    except urllib.error.HTTPError as error:
        sys.exit(f"{path}: {error} {error.read().decode(errors='replace')[:300]}")
    except OSError as error:
        sys.exit(f"{path}: {error}")


if __name__ == "__main__":
    main()
