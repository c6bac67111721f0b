"""Times exact search beside FAISS `IndexBinaryFlat`, on random and on collapsed codes.

    python benchmarks/search_speed.py [--codes 1000000] [--bits 64] [-k 20]

Random codes are nearly all different: the worst case. Collapsed ones stand for learned codes: ten
centres, each bit turned with a chance of 1 %. Single queries and a batch of 1,000, in turns, the
best of five; distances are compared with those of FAISS on every query. One line of JSON at the
end. Run it on an idle machine.
"""

import argparse
import json
import resource
import time

import faiss
import numpy as np
from timing import rates

from ssah_tf.search import CodeIndex
from ssah_tf.training.ablation import machine

BATCH = 1000
SINGLE = 50


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codes", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("-k", type=int, default=20)
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    result = {"machine": machine(), "codes": given.codes, "bits": given.bits, "k": given.k}
    centres = rng.integers(0, 2, (10, given.bits), dtype=np.uint8)

    def random(count):
        return np.packbits(rng.integers(0, 2, (count, given.bits), dtype=np.uint8), axis=1)

    def collapsed(count):
        turned = rng.random((count, given.bits)) < 0.01
        return np.packbits(centres[rng.integers(10, size=count)] ^ turned, axis=1)

    for name, make in (("random", random), ("collapsed", collapsed)):
        codes, queries = make(given.codes), make(BATCH)
        for key, value in compare(codes, queries, given.bits, given.k).items():
            result[f"{name}: {key}"] = value
    result["peak memory, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    for key, value in result.items():
        print(f"{key:<44} {value}")
    print(json.dumps(result))


def compare(codes: np.ndarray, queries: np.ndarray, bits: int, k: int) -> dict:
    """Queries a second of both, and a check that both find the same distances."""
    flat = faiss.IndexBinaryFlat(8 * codes.shape[1])
    flat.add(codes)
    index = CodeIndex(bits, "benchmark", "faiss")
    index.add(np.arange(len(codes)), codes)
    began = time.perf_counter()
    groups = index.groups
    found = {"distinct codes": len(groups.codes)}
    found["grouping, s"] = round(time.perf_counter() - began, 2)
    distances, _ = flat.search(queries, k)
    np.testing.assert_array_equal(index.search(queries, k)[1], distances)
    rows = {"FAISS flat": flat.search, "CodeIndex": index.search}
    for title, count, work in (("single queries", SINGLE, 1), ("batch of 1,000", BATCH, BATCH)):
        parts = [queries[start : start + work] for start in range(0, count, work)]
        best = rates(
            count,
            {
                name: lambda search=search, parts=parts: [search(part, k) for part in parts]
                for name, search in rows.items()
            },
        )
        for name, rate in best.items():
            found[f"{title}, {name}, per s"] = round(rate)
        found[f"{title}, ratio"] = round(best["CodeIndex"] / best["FAISS flat"], 2)
    return found


if __name__ == "__main__":
    main()
