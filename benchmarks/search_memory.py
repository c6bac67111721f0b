"""Measures the memory of a search in 10,000,000 codes of 64 bits, in a fresh process.

    python benchmarks/search_memory.py [--codes 10000000] [--bits 64] [-k 20]

Makes an index of random codes and one of collapsed codes (ten centres, each bit turned with a
chance of 1 %), saves it, and opens it in a process of its own, which answers 100 queries one by
one and a search within a radius of 1, and then a batch of 1,000, for which it makes tables where
they pay. The peak of that process (VmHWM, which counts mapped pages that were touched) less what
the interpreter and its imports held before, over the number of codes. Answers are checked against
all distances for 20 queries. One line of JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ssah_tf.metrics.hamming import hamming_distances
from ssah_tf.search import CodeIndex


def main() -> None:
    """Make the indexes, and ask them in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codes", type=int, default=10_000_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("-k", type=int, default=20)
    parser.add_argument("--open", type=Path, help="An index to open: what the fresh process does.")
    given = parser.parse_args()
    if given.open:
        print(json.dumps(asked(given.open, given.k)))
        return
    result = {"codes": given.codes, "bits": given.bits}
    for name, chance in (("random", 0.5), ("collapsed", 0.01)):
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), given.codes, given.bits, chance)
            command = [sys.executable, __file__, "--open", folder, "-k", str(given.k)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        result |= {f"{name}: {key}": value for key, value in json.loads(done.stdout).items()}
    for key, value in result.items():
        print(f"{key:<44} {value}")
    print(json.dumps(result))


def make(folder: Path, count: int, bits: int, chance: float) -> None:
    """Save an index of codes around ten centres, and queries beside it."""
    rng = np.random.default_rng(0)
    centres = np.packbits(rng.integers(0, 2, (10, bits), dtype=np.uint8), axis=1)
    parts = []
    for start in range(0, count + 1000, 100_000):
        size = min(100_000, count + 1000 - start)
        turned = np.packbits(rng.random((size, bits), dtype=np.float32) < chance, axis=1)
        parts.append(centres[rng.integers(10, size=size)] ^ turned)
    codes = np.concatenate(parts)
    np.save(folder / "queries.npy", codes[count:])
    index = CodeIndex(bits, "benchmark")
    index.add(np.arange(count), codes[:count])
    index.save(folder)


def asked(folder: Path, k: int) -> dict:
    """Open an index, ask it, and measure."""
    import faiss

    queries = np.load(folder / "queries.npy")
    faiss.knn_hamming(queries[:64], queries[:64], 1)  # its threads and code are no part of an index
    before = memory("VmRSS")
    began = time.perf_counter()
    index = CodeIndex.load(folder)
    opened = time.perf_counter() - began
    for query in queries[:100]:
        index.search(query[None], k)
    near = index.range_search(queries[:1], 1)  # of more, the answers alone are many MB
    few = memory("VmHWM") - before
    batch = index.search(queries, k)
    peak = memory("VmHWM") - before
    for row in range(20):  # the peak is taken: memory does not matter here
        far = hamming_distances(queries[row : row + 1], index.codes)[0]
        order = np.argsort(far, kind="stable")
        np.testing.assert_array_equal(batch[0][row], order[:k])
        if row == 0:
            np.testing.assert_array_equal(near[0][0], order[: (far <= 1).sum()])
    return {
        "opened in, s": round(opened, 2),
        "compared codes": len(index.groups.codes),
        "peak of 100 queries, bytes a code": round(few / len(index), 2),
        "peak of 1,100 queries, bytes a code": round(peak / len(index), 2),
    }


def memory(what: str) -> int:
    """A line of `/proc/self/status` in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what + ":"):
            return int(line.split()[1]) * 1024
    raise SystemExit(f"no {what} in /proc/self/status")


if __name__ == "__main__":
    main()
