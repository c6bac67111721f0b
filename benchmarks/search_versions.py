"""Times search in memory against another version of the product, in turns.

    git worktree add ../before COMMIT
    python benchmarks/search_versions.py ../before [--codes 10000000] [--short 1000000] [--rounds 5]

Both versions keep a process of their own with the same indexes; each row is timed in one, then in
the other, and so on. Printed are the medians of wall time and of processor time of all threads, and
the median of the paired ratios, this version over the other. Below 1 this version is quicker.

Learned-like codes lie around 1,000 random centres, each bit turned with a chance of 5 %; collapsed
ones around ten, 1 %. A single query is one call; a batch is 64 queries in one. Before, 300 queries
are asked, so that tables are there if they pay. Rows called "busy" are the median of single queries
20 ms apart with two processes beside them that only count. Answers of both versions must be equal.
FAISS is `IndexBinaryFlat` over the same codes, asked by this version's process.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from search_memory import memory

#: Queries of a batch, and those that are asked before.
BATCH, BEFORE = 64, 300
#: Single queries of a row.
SINGLE = 20


def main() -> None:
    """Run both versions and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", help="A checkout of the other version.")
    parser.add_argument("--codes", type=int, default=10_000_000, help="Of 64 bits.")
    parser.add_argument("--short", type=int, default=1_000_000, help="Of 48 and of 64 bits, busy.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="Rows whose name has this.")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        answer(given)
        return
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    command = [sys.executable, __file__, *sys.argv[1:], "--measure"]
    workers = [
        subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for path in (here, os.path.abspath(given.base))
    ]
    line = "{:<34} {:>12} {:>12} {:>8} {:>12} {:>12} {:>8}"
    print(line.format("row", "ms", "before", "ratio", "CPU ms", "before", "ratio"))
    for row in (name for name in ROWS if given.only in name):
        wall, processor, seen = [], [], set()
        for _ in range(given.rounds):
            pair = [ask(worker, row) for worker in workers]
            wall.append([one["wall"] for one in pair])
            processor.append([one["cpu"] for one in pair])
            seen |= {one["digest"] for one in pair}
        if len(seen) > 1:
            raise SystemExit(f"{row}: other answers than before")
        found = [*summary(wall), *summary(processor)]
        print(line.format(row, *(f"{value:.3g}" for value in found)), flush=True)
    for worker in workers:
        worker.stdin.close()
        worker.wait()


def summary(pairs: list[list[float]]) -> tuple[float, float, float]:
    """Medians in milliseconds of both versions, and that of the ratios."""
    mine, other = (1000 * statistics.median(times) for times in zip(*pairs, strict=True))
    return mine, other, statistics.median(a / b for a, b in pairs)


def ask(worker: subprocess.Popen, row: str) -> dict:
    """Let a version do a row."""
    worker.stdin.write(row + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def answer(given: argparse.Namespace) -> None:
    """Do what is asked on standard input: the part of one version."""
    made: dict[str, Callable[[], list[tuple]]] = {}
    for row in sys.stdin:
        kind = row.strip()
        if kind not in made:
            made.clear()  # one index at a time
            made[kind] = ROWS[kind](given)
        began = time.perf_counter(), time.process_time()
        result = made[kind]()
        ended = time.perf_counter(), time.process_time()
        wall, cpu = (end - begin for begin, end in zip(began, ended, strict=True))
        if isinstance(result, float):  # the row takes its own time
            wall, result = result, []
        digest = hashlib.sha256()
        for array in result:
            digest.update(np.ascontiguousarray(array).data)
        count = SINGLE if "single" in kind else 1
        found = {"wall": wall / count, "cpu": cpu / count, "digest": digest.hexdigest()}
        print(json.dumps(found), flush=True)


def codes_of(kind: str, count: int, bits: int, seed: int) -> np.ndarray:
    """Packed codes: "random", "learned" or "collapsed"."""
    rng = np.random.default_rng(seed)
    if kind == "random":
        return rng.integers(0, 256, (count, bits // 8), dtype=np.uint8)
    number, chance = (1000, 0.05) if kind == "learned" else (10, 0.01)
    centres = np.random.default_rng(99).integers(0, 256, (number, bits // 8), dtype=np.uint8)
    found = centres[rng.integers(number, size=count)]
    for start in range(0, count, 1 << 18):
        part = found[start : start + (1 << 18)]
        part ^= np.packbits(rng.random((len(part), bits), dtype=np.float32) < chance, axis=1)
    return found


def index_of(codes: np.ndarray):
    """The embedded index."""
    from ssah_tf.search import CodeIndex

    index = CodeIndex(8 * codes.shape[1], "benchmark")
    index.add(np.arange(len(codes)), codes)
    return index


def search(kind: str, size: str, bits: int, batch: bool, radius: int | None = None):
    """A row of single queries, or of a batch, in an index of that many codes."""

    def prepare(given: argparse.Namespace):
        index = index_of(codes_of(kind, getattr(given, size), bits, 0))
        queries = codes_of(kind, BEFORE, bits, 1)
        index.search(queries, 20)

        def run(part: np.ndarray) -> list[np.ndarray]:
            if radius is None:
                return list(index.search(part, 20))
            return [array for found in index.range_search(part, radius) for array in found]

        if batch:
            return lambda: run(queries[:BATCH])
        return lambda: [a for row in range(SINGLE) for a in run(queries[row : row + 1])]

    return prepare


def flat(kind: str, size: str, bits: int, radius: int):
    """FAISS's own search within a radius, one query at a time."""

    def prepare(given: argparse.Namespace):
        import faiss

        index = faiss.IndexBinaryFlat(bits)
        index.add(codes_of(kind, getattr(given, size), bits, 0))
        queries = codes_of(kind, BEFORE, bits, 1)

        def run():
            for row in range(SINGLE):
                index.range_search(queries[row : row + 1], radius + 1)
            return []

        return run

    return prepare


def building(kind: str):
    """Adding codes and grouping them; the peak of memory is written to standard error."""

    def prepare(given: argparse.Namespace):
        codes = codes_of(kind, given.codes, 64, 0)

        def run():
            Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from now on
            before = memory("VmRSS")
            index = index_of(codes)
            index.groups  # noqa: B018  found when they are first needed
            more = (memory("VmHWM") - before) / len(codes)
            print(f"peak above the codes given: {more:.0f} bytes each", file=sys.stderr)
            return [index.groups.codes]

        return run

    return prepare


def busy(batch: int):
    """The median search, 20 ms apart, with two processes beside it."""

    def prepare(given: argparse.Namespace):
        index = index_of(codes_of("random", given.short, 64, 0))
        queries = codes_of("random", BEFORE, 64, 1)
        index.search(queries[:1], 20)

        def run() -> float:
            others = [multiprocessing.Process(target=count, daemon=True) for _ in range(2)]
            for other in others:
                other.start()
            time.sleep(0.2)
            times = []
            for row in range(50):
                time.sleep(0.02)
                began = time.perf_counter()
                index.search(queries[row : row + batch], 20)
                times.append(time.perf_counter() - began)
            for other in others:
                other.terminate()
            return statistics.median(times)

        return run

    return prepare


def count() -> None:
    """Keep a core busy."""
    while True:
        sum(range(100_000))


#: Name of a row -> prepares it.
ROWS = {
    "48 bits, random, single": search("random", "short", 48, False),
    "48 bits, random, batch": search("random", "short", 48, True),
    "64 bits, short, random, single": search("random", "short", 64, False),
    "64 bits, short, random, batch": search("random", "short", 64, True),
    "64 bits, short, busy": busy(1),
    "64 bits, random, single": search("random", "codes", 64, False),
    "64 bits, random, batch": search("random", "codes", 64, True),
    "64 bits, learned, single": search("learned", "codes", 64, False),
    "64 bits, learned, batch": search("learned", "codes", 64, True),
    "64 bits, learned, radius 6, single": search("learned", "codes", 64, False, radius=6),
    "FAISS flat, radius 6, single": flat("learned", "codes", 64, 6),
    "building, random": building("random"),
    "building, collapsed": building("collapsed"),
}


if __name__ == "__main__":
    main()
