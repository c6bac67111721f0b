"""Times how quickly photos become training batches, and how long a large folder takes to scan.

    python benchmarks/input_pipeline.py [--data DIR] [--size 224] [--files 100000]

Without DIR, 600 JPEG files of 640 x 480 are made. Side by side: the same decode-and-resize rule in
a bare loop on all cores; the same with tf.data's own JPEG decoder; and the training batches as the
product makes them (order, decode, mirror and shift), with nothing that consumes them. Then a
folder of `--files` small files (copies of a few) is scanned and split. One line of JSON at the end.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from PIL import Image

from ssah_tf.data import load_class_folders, load_labelled_folder
from ssah_tf.data.decode import decode
from ssah_tf.data.pipeline import training_batches
from ssah_tf.data.protocols import split_by_protocol
from ssah_tf.data.threads import decoder_pool
from ssah_tf.training.machine import machine

SPLIT = {
    "validation_per_class": 10,
    "query_per_class": 100,
    "labelled_per_class": None,
    "labelled_share": None,
    "seed": 0,
}
BATCH = 16


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=40)
    given = parser.parse_args()
    result = {"machine": machine(), "size": given.size}
    with tempfile.TemporaryDirectory() as folder:
        root = given.data or make_photos(Path(folder) / "photos")
        result |= photos_a_second(root, given.size, given.steps)
        if given.files:
            result |= scan(Path(folder), given.files)
    for name, value in result.items():
        print(f"{name:<28} {value}")
    print(json.dumps(result))


def make_photos(root: Path, count: int = 600) -> Path:
    """JPEG files of 640 x 480 with structure at all scales, in two classes."""
    rng = np.random.default_rng(0)
    for k in range(count):
        layers = [
            np.asarray(
                Image.fromarray(
                    rng.integers(0, 256, (480 // cell, 640 // cell, 3), dtype=np.uint8)
                ).resize((640, 480), Image.Resampling.BICUBIC),
                dtype=np.float32,
            )
            for cell in (120, 30, 8)
        ]
        pixels = 0.6 * layers[0] + 0.3 * layers[1] + 0.1 * layers[2]
        path = root / "ab"[k % 2] / f"{k:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(path, quality=90)
    return root


def photos_a_second(root: Path, size: int, steps: int) -> dict:
    """Images a second of the bare loop, of tf.data's decoder, and of the training batches."""
    images = load_class_folders(root).images
    split = split_by_protocol(images, "as-labelled", **SPLIT)
    paths = [os.path.join(root, name) for name in images.ids]
    count = 2 * BATCH * steps
    paths = (paths * (count // len(paths) + 1))[:count]

    def bare() -> float:
        return rate(count, lambda: list(decoder_pool().map(lambda p: decode(p, size), paths)))

    def tensorflow() -> float:
        def load(path):
            pixels = tf.io.decode_jpeg(tf.io.read_file(path), 3)
            return tf.image.resize(pixels, (size, size), antialias=True)

        data = tf.data.Dataset.from_tensor_slices(paths)
        data = data.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(2 * BATCH).prefetch(2)
        return rate(count, lambda: [None for _ in data])

    def product() -> float:
        data = iter(training_batches(images, split, size=size, batch=BATCH, ratio=1))
        # Tracing; and as much is fetched in advance when the clock starts as when it stops.
        for _ in range(16):
            next(data)
        return rate(count, lambda: [next(data) for _ in range(steps)])

    rows = {"bare loop": bare, "tf.data decode_jpeg": tensorflow, "training batches": product}
    found = {name: [] for name in rows}
    for _ in range(5):  # in turns: a busy moment should not hit one of them alone
        for name, measure in rows.items():
            found[name].append(measure())
    best = {f"{name}, img/s": round(max(values), 1) for name, values in found.items()}
    ratio = max(found["training batches"]) / max(found["bare loop"])
    return {**best, "batches / bare loop": round(ratio, 3)}


def rate(count: int, work) -> float:
    """Images a second of some work on `count` images."""
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def scan(folder: Path, files: int) -> dict:
    """Seconds to scan and to split a folder of small files with a label file."""
    root = folder / "many"
    rng = np.random.default_rng(0)
    contents = []
    for _ in range(100):
        path = folder / "one.jpg"
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
        contents.append(path.read_bytes())
    for k in range(files):
        if k % 1000 == 0:
            (root / f"{k // 1000:03d}").mkdir(parents=True)
        # A comment after the end of the image makes each content its own.
        content = contents[k % 100] + b"%d" % k
        (root / f"{k // 1000:03d}" / f"{k:06d}.jpg").write_bytes(content)
    rows = (f"{k // 1000:03d}/{k:06d}.jpg,class {k // 10 % 10}" for k in range(0, files, 10))
    table = folder / "labels.csv"
    table.write_text("path,label\n" + "\n".join(rows))
    began = time.perf_counter()
    images = load_labelled_folder(root, table).images
    scanned = time.perf_counter()
    split_by_protocol(images, "as-labelled", **SPLIT)
    return {
        "files": files,
        "scan, s": round(scanned - began, 1),
        "split, s": round(time.perf_counter() - scanned, 1),
        "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


if __name__ == "__main__":
    main()
