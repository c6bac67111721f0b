"""Asks a server for the codes of image files over REST; needs Python alone.

    python rest_client.py photo.jpg ... [--url http://localhost:8501/v1/models/ssah]

Prints a line an image: the code in hexadecimal, and the file. TensorFlow Serving and KServe answer
the same request; the server decodes and resizes.
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
    body = json.dumps({"signature_name": "serving_bytes", "instances": instances}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}:predict", body, headers)
    with urllib.request.urlopen(request, timeout=timeout) as response:
        return [bytes(code) for code in json.load(response)["predictions"]]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--url", default="http://localhost:8501/v1/models/ssah")
    given = parser.parse_args()
    try:
        for path in given.files:
            print(codes(given.url, [path.read_bytes()])[0].hex(), path)
    except urllib.error.HTTPError as error:
        sys.exit(f"{path}: {error} {error.read().decode(errors='replace')[:300]}")
    except OSError as error:
        sys.exit(f"{path}: {error}")


if __name__ == "__main__":
    main()
