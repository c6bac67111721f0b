"""Times bulk encoding: a plain loop, threads, Ray on this machine; from JPEG files of 224 px.

    python benchmarks/encode_engines.py [--encoder runs/folder/export] [--images 4000]

Without an encoder one is made, `resnet20` at 32 px; its weights do not matter. The plain loop
reads, decodes and encodes batches of 64 in one thread, with one thread of ONNX Runtime. Threads and
Ray are `ssah encode` in processes of their own, with all that it writes; the seconds until its
first shard are told apart from the images a second after it. In turns, the best of three. Needs the
extra `scale`. One line of JSON at the end. Run it on an idle machine.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from ssah_tf import Encoder
from ssah_tf.data.decode import decode
from ssah_tf.encoding.shards import SUMMARY
from ssah_tf.training.machine import machine

BATCH = 64
SHARD = 256
ROUNDS = 3


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--images", type=int, default=4000)
    given = parser.parse_args()
    result = {"machine": machine(), "images": given.images}
    with tempfile.TemporaryDirectory() as place:
        encoder = given.encoder or make_encoder(Path(place))
        photos = make_photos(Path(place) / "photos", given.images)
        found: dict[str, list] = {"plain loop": [], "threads": [], "ray": []}
        for turn in range(ROUNDS):
            found["plain loop"].append((0.0, plain_loop(encoder, photos)))
            for engine in ("threads", "ray"):
                output = Path(place) / f"{engine}-{turn}"
                found[engine].append(timed(encoder, photos, output, engine, given.images))
        same = {
            (Path(place) / f"{e}-0" / "000001.parquet").read_bytes() for e in ("threads", "ray")
        }
        assert len(same) == 1
    for name, values in found.items():
        result[f"{name}, img/s"] = round(max(rate for _, rate in values))
        if name != "plain loop":
            result[f"{name}, s until the first shard"] = round(min(s for s, _ in values), 1)
    for name, value in result.items():
        print(f"{name:<40} {value}")
    print(json.dumps(result))


def make_encoder(folder: Path) -> Path:
    """An ONNX file of `resnet20` at 32 px, in a process that alone imports TensorFlow."""
    code = (
        "import sys; from pathlib import Path; from untrained_encoder import write_encoder; "
        "write_encoder(Path(sys.argv[1]), bits=48)"
    )
    command = [sys.executable, "-c", code, folder]
    subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parent)
    return folder / "encoder.onnx"


def make_photos(folder: Path, count: int) -> Path:
    """JPEG files of 224 px with structure at several scales; each is a file of its own."""
    rng = np.random.default_rng(0)
    contents = []
    folder.mkdir(parents=True)
    for number in range(200):
        pixels = np.zeros((224, 224, 3), np.float32)
        for cells, weight in ((4, 0.6), (16, 0.3), (56, 0.1)):
            coarse = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
            layer = Image.fromarray(coarse).resize((224, 224), Image.Resampling.BICUBIC)
            pixels += weight * np.asarray(layer, np.float32)
        path = folder / f"{number:07d}.jpg"
        Image.fromarray(pixels.astype(np.uint8)).save(path, quality=88)
        contents.append(path.read_bytes())
    for number in range(200, count):
        (folder / f"{number:07d}.jpg").write_bytes(contents[number % 200])
    return folder


def plain_loop(encoder: Path, photos: Path) -> float:
    """Images a second of what one would write without the library's threads."""
    session = Encoder.load(encoder, threads=1)
    paths = sorted(photos.iterdir())
    began = time.perf_counter()
    for start in range(0, len(paths), BATCH):
        pixels = [decode(path, session.image_size) for path in paths[start : start + BATCH]]
        session.session.run(["codes"], {"images": np.stack(pixels)})
    return len(paths) / (time.perf_counter() - began)


def encode_command(encoder: Path, photos: Path, output: Path) -> list[str]:
    """`ssah encode`, by the interpreter that runs this."""
    words = ("-m", "ssah_tf.cli", "encode", encoder, photos, "--output", output)
    return [sys.executable, *map(str, words)]


def timed(encoder: Path, photos: Path, output: Path, engine: str, images: int):
    """Seconds until the first shard of `ssah encode` is there, and images a second after it."""
    command = encode_command(encoder, photos, output)
    command += ["--engine", engine, "--shard", str(SHARD)]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (there := shards(output)) and process.poll() is None:
        time.sleep(0.005)
    first = time.perf_counter()
    while not (output / SUMMARY).exists() and process.poll() is None:
        time.sleep(0.005)
    last = time.perf_counter()
    if process.wait():
        raise SystemExit(f"{engine}: exit code {process.returncode}")
    return first - began, (images - there * SHARD) / (last - first)


def shards(output: Path) -> int:
    """How many are there."""
    return len(list(output.glob("[0-9]*.parquet")))


if __name__ == "__main__":
    main()
