"""How many queries `ssah data check` names as near duplicates of training images, and how surely.

    python benchmarks/near_duplicates.py --data cifar10/

A named pair counts as right if its pixels at 32 px correlate above .90 in colour, as they are or
mirrored. CPU time is of what looks for near duplicates, without scanning the files.
"""

import argparse
import time

import numpy as np

from ssah_tf.data import load_images
from ssah_tf.data.near_duplicates import Looks, close_pairs, correlation, near_duplicates
from ssah_tf.data.perceptual_hash import SIDE

#: Perceptual hashes up to which images were called near duplicates before, and nothing else done.
BEFORE = 16


def centred(pixels: np.ndarray) -> np.ndarray:
    """Pictures `(m, side, side, 3)` without their mean."""
    values = pixels.reshape(len(pixels), -1).astype(np.float32)
    found: np.ndarray = values - values.mean(axis=1, keepdims=True)
    return found


def main() -> None:
    """Print counts and times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="a folder with train and test, or a set")
    images = load_images(parser.parse_args().data).images
    query = np.isin(np.array(images.ids), np.array(images.official_queries))
    start = time.process_time()
    looks = Looks.of(images)
    hashed = time.process_time()
    before = close_pairs(looks.hashes[looks.hashes.any(axis=1)], BEFORE)
    compared = time.process_time()
    plain, mirrored = near_duplicates(images, looks, query)
    end = time.process_time()
    best: dict[int, float] = {}
    for pairs, step in ((plain, 1), (mirrored, -1)):
        pairs = pairs[query[pairs].sum(axis=1) == 1]
        one, other = (images.read(pairs[:, side], SIDE) for side in (0, 1))
        found = correlation(centred(one[:, :, ::step]), centred(other))
        for pair, value in zip(pairs.tolist(), found.tolist(), strict=True):
            name = pair[0] if query[pair[0]] else pair[1]
            best[name] = max(best.get(name, -1), value)
    right = sum(value > 0.9 for value in best.values())
    print(f"{len(plain):,} pairs, {len(mirrored):,} mirrored; {len(before):,} by hashes alone")
    print(f"{len(best):,} of {query.sum():,} queries named, {right:,} above .90")
    print(
        f"CPU: hashes {hashed - start:.1f} s, pairs by hashes {compared - hashed:.1f} s, "
        f"all that is looked for now {end - compared:.1f} s"
    )


if __name__ == "__main__":
    main()
