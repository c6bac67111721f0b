"""Short pieces of work, each run once for a line on stdin; its processor time goes to stdout.

    python benchmarks/pieces.py PIECE

`against.py` runs this file with the Python of two environments, so it uses only what the product
has had for long. The first line that it prints says that it is ready.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np


def evaluation(folder: Path) -> Callable:
    """All numbers of 1,000 queries against 20,000 codes of 64 bits, ten classes."""
    from ssah_tf.metrics import evaluate_retrieval

    rng = np.random.default_rng(0)
    labels = np.eye(10, dtype=np.uint8)[rng.integers(10, size=21_000)]
    codes = learned_like(21_000)
    return lambda: evaluate_retrieval(codes[:1000], labels[:1000], codes[1000:], labels[1000:], 64)


def step(folder: Path) -> Callable:
    """Ten joint steps of the recipe `fashion`."""
    from ssah_tf.training.build import build_game, build_images, build_split
    from ssah_tf.training.recipe import load_recipe
    from ssah_tf.training.train import training_batches_of

    recipe = load_recipe("fashion")
    images = build_images(recipe).images
    split = build_split(recipe, images)
    game = build_game(recipe, images, split)
    game.begin("joint")
    call, batches = game.step_of_stage(), iter(training_batches_of(recipe, images, split, 0))
    return lambda: [float(call(batches)["loss"]) for _ in range(10)]


def features(folder: Path) -> Callable:
    """Features of 64 images of 160 px by `efficientnet_lite0`, as for many images."""
    from ssah_tf.models.backbones import EfficientNetLite0
    from ssah_tf.models.inference import quick_backbone

    backbone = EfficientNetLite0(weights="none")
    backbone.build((None, 160, 160, 3))
    see = quick_backbone(backbone, 160, 100_000)
    images = np.random.default_rng(0).integers(0, 256, (64, 160, 160, 3), dtype=np.uint8)
    return lambda: see(images)


def build(folder: Path) -> Callable:
    """An index of 500,000 codes of 64 bits, until its first answer."""
    from ssah_tf.search import CodeIndex

    codes = learned_like(500_000)

    def work() -> None:
        index = CodeIndex(64, "benchmark")
        index.add(np.arange(len(codes)), codes)
        index.search(codes[:1], 20)

    return work


def single(folder: Path) -> Callable:
    """Fifty searches of one code among 1,000,000 of 64 bits."""
    search = searched()
    return lambda: [search(number, 1) for number in range(50)]


def batch(folder: Path) -> Callable:
    """A search of 500 codes among 1,000,000 of 64 bits."""
    search = searched()
    return lambda: search(0, 500)


def encode(folder: Path) -> Callable:
    """Codes of 300 JPEG files of 640 x 480 by `resnet20` at 32 px."""
    from input_pipeline import make_photos
    from untrained_encoder import write_encoder

    from ssah_tf import Encoder

    paths = sorted(map(str, make_photos(folder / "photos").rglob("*.jpg")))[:300]
    encoder = Encoder.load(write_encoder(folder))
    return lambda: encoder.encode(paths)


def start(folder: Path) -> Callable:
    """Help, a search of one photo among 100,000, and a service until it answers."""
    from start_speed import make, starts

    make(folder, 100_000)
    return lambda: [begin() for begin in starts(folder).values()]


PIECES = {one.__name__: one for one in
          (evaluation, step, features, build, single, batch, encode, start)}  # fmt: skip


def learned_like(count: int) -> np.ndarray:
    """Codes of 64 bits around 1,000 centres, each bit turned with 5 %, uint8 `(count, 8)`."""
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 2, (1000, 64), dtype=np.uint8)
    bits = centres[rng.integers(1000, size=count)] ^ (rng.random((count, 64)) < 0.05)
    return np.packbits(bits, axis=1)


def searched() -> Callable:
    """Searches an index of 1,000,000 codes with some of them: `(first, how many)`."""
    from ssah_tf.search import CodeIndex

    codes = learned_like(1_000_000)
    index = CodeIndex(64, "benchmark")
    index.add(np.arange(len(codes)), codes)
    return lambda first, count: index.search(codes[first : first + count], 20)


def main() -> None:
    """Serve the lines of stdin."""
    out = os.fdopen(os.dup(1), "w", buffering=1)  # what a piece prints goes to stderr
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as folder:
        work = PIECES[sys.argv[1]](Path(folder))
        work()
        print("ready", file=out)
        for _ in sys.stdin:
            before = os.times()
            work()
            after = os.times()
            print(sum(after[:4]) - sum(before[:4]), file=out)


if __name__ == "__main__":
    main()
