"""A multi-label set from class folders: mosaics of 2 x 2 images, one to three classes in each.

    python benchmarks/quality/mosaics.py CIFAR10_FOLDERS mosaics --count 10000

writes `mosaics/photos/*.png` and `mosaics/labels.csv`; a stand-in for sets like NUS-WIDE, whose
photos are not to be passed on. No image is in two mosaics.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image

from ssah_tf.data import load_images
from ssah_tf.system.files import atomic_path

#: Side in pixels of each of the four images.
SIDE = 32
#: Most classes of a mosaic.
CLASSES = 3


def main() -> None:
    """Write the set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="Class folders.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    images = load_images(given.source).images
    rng = np.random.default_rng(given.seed)
    of_class = [list(rng.permutation(np.flatnonzero(column))) for column in images.labels.T]
    (given.output / "photos").mkdir(parents=True, exist_ok=True)
    rows = [("path", "label")]
    for number in range(given.count):
        left = [c for c, members in enumerate(of_class) if len(members) >= 4]
        most = min(CLASSES, len(left))
        if not most:
            parser.error(f"{given.source} has images for {number} mosaics only")
        chosen = rng.choice(left, rng.integers(1, most + 1), replace=False)
        # Each class at least once, in any corner.
        corners = rng.permutation([*chosen, *rng.choice(chosen, 4 - len(chosen))])
        tiles = images.read(np.array([of_class[c].pop() for c in corners]), SIDE)
        name = f"{number:06d}.png"
        Image.fromarray(mosaic(tiles)).save(given.output / "photos" / name)
        rows.append((name, ";".join(images.classes[c] for c in sorted(chosen))))
    with (
        atomic_path(given.output / "labels.csv") as path,
        open(path, "w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file).writerows(rows)


def mosaic(tiles: np.ndarray) -> np.ndarray:
    """Four images `(4, side, side, 3)`, row by row, as one `(2 side, 2 side, 3)`."""
    side = tiles.shape[1]
    return tiles.reshape(2, 2, side, side, 3).swapaxes(1, 2).reshape(2 * side, 2 * side, 3)


if __name__ == "__main__":
    main()
