"""Times the search for near duplicates among many photos: by codes, beside by hashes alone.

    python benchmarks/duplicates_speed.py [--photos 50000 200000 1000000] [--hashes-up-to 200000]

Codes of 64 bits are as learned ones: 1,000 random centres, each bit turned with 5 %. Perceptual
hashes are random, as different photos have them. One photo in a hundred has a duplicate: its hash
0 to 20 bits and its code 0 to 8 bits away. A stand-in for pixels confirms these pairs and no other.
By hashes all hashes are searched, as it was done before; for sizes above a limit its time is
carried on by the square of the number. Prints a table, and one line of JSON at the end.
"""

import argparse
import json
import multiprocessing
import resource
import time

import numpy as np

from ssah_tf.data.perceptual_hash import BYTES
from ssah_tf.search import close_pairs
from ssah_tf.search.duplicates import CANDIDATES, near_duplicates

BITS, CENTRES, TURNED, RADIUS = 64, 1000, 0.05, 8
#: Largest distances of a duplicate.
HASH_APART, CODE_APART = 20, 8


class PlantedPictures:
    """Stands for `SmallPictures`: planted pairs are alike, all others are not."""

    def __init__(self, pairs: np.ndarray, count: int):
        self.other = np.full(count, -1)
        self.other[pairs[0]], self.other[pairs[1]] = pairs[1], pairs[0]

    def alike(self, one: int, others: np.ndarray) -> np.ndarray:
        """1 for the planted one, 0 for others."""
        return (others == self.other[one]).astype(np.float32)


def made_up(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes, hashes, and the positions of planted pairs `(2, pairs)`."""
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 2, (CENTRES, BITS), dtype=np.uint8)
    codes = np.packbits(centres[rng.integers(CENTRES, size=count)], axis=1)
    hashes = rng.integers(0, 256, (count, BYTES), dtype=np.uint8)
    for part in np.array_split(np.arange(count), -(-count // 100_000)):
        codes[part] ^= np.packbits(rng.random((len(part), BITS)) < TURNED, axis=1)
    pairs = rng.permutation(count)[: 2 * (count // 100)].reshape(2, -1)
    for values, most in ((codes, CODE_APART), (hashes, HASH_APART)):
        turned = np.zeros((pairs.shape[1], 8 * values.shape[1]), np.uint8)
        for row in turned:
            row[rng.permutation(len(row))[: rng.integers(most + 1)]] = 1
        values[pairs[1]] = values[pairs[0]] ^ np.packbits(turned, axis=1)
    return codes, hashes, np.sort(pairs, axis=0)


def one(count: int, by_hashes: bool) -> dict:
    """The row of one size and way; in a process of its own, for the memory."""
    codes, hashes, pairs = made_up(count)
    close_pairs.FROM = count + 1 if by_hashes else 2
    wall, cpu = time.perf_counter(), time.process_time()
    found = list(
        near_duplicates(
            hashes, codes, "auto", PlantedPictures(pairs, count), RADIUS, 0.9, lambda *_: None
        )
    )
    named = {(first, second) for first, some in found for second, _, _ in some}
    return {
        "photos": count,
        "way": "hashes" if by_hashes else "codes",
        "seconds": round(time.perf_counter() - wall, 1),
        "CPU seconds": round(time.process_time() - cpu, 1),
        "planted": pairs.shape[1],
        "found": sum(tuple(pair) in named for pair in pairs.T.tolist()),
        "others": len(named) - pairs.shape[1],
        "peak MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, nargs="*", default=[50_000, 200_000, 1_000_000])
    parser.add_argument("--hashes-up-to", type=int, default=200_000)
    given = parser.parse_args()
    rows: list[dict] = []
    line = "{:>10} {:<8} {:>8} {:>12} {:>8} {:>8} {:>7} {:>8}"
    print(
        line.format("photos", "way", "seconds", "CPU seconds", "planted", "found", "others", "MB")
    )
    processes = multiprocessing.get_context("spawn")
    for count in given.photos:
        for by_hashes in (False, True):
            if by_hashes and count > given.hashes_up_to:
                for before in [row for row in rows if row["way"] == "hashes"][-1:]:
                    seconds = before["seconds"] * (count / before["photos"]) ** 2
                    print(f"{count:>10} hashes {seconds:10.0f}, from {before['photos']:,}")
                continue
            with processes.Pool(1) as pool:
                rows.append(pool.apply(one, (count, by_hashes)))
            print(line.format(*rows[-1].values()), flush=True)
    from ssah_tf.training.machine import machine  # TensorFlow: not in the memory of a row

    print(json.dumps({"machine": machine(), "candidates": CANDIDATES, "rows": rows}))


if __name__ == "__main__":
    main()
