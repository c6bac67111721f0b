"""How long an evaluation takes, beside the loop that published hashing scripts use.

    python benchmarks/evaluate_speed.py --queries 1000 --database 59000 --bits 64
    python benchmarks/evaluate_speed.py --queries 2100 --database 193734 --classes 21 --more 0.1 \
        --usual-queries 100

The usual loop multiplies codes of -1 and +1 as floats, sorts each query's distances with
`numpy.argsort` and computes mAP only. `evaluate_retrieval` gives that number and all the others.
Both must agree on the sorted mAP: `argsort` leaves the order of ties to chance unless told
`kind="stable"`, so the agreement is checked on a stable run, over the database in our order, and
the default run is timed. With `--usual-queries` it has only the first so many queries, and its time
is multiplied.

The second line has the size of NUS-WIDE with its 21 most common labels, several for each image.
"""

import argparse
import json
import os
import platform
import resource
import time

import numpy as np

from ssah_tf.metrics import evaluate_retrieval, pack_codes
from ssah_tf.metrics.retrieval import database_order


def usual_map(
    query: np.ndarray,
    query_labels: np.ndarray,
    database: np.ndarray,
    database_labels: np.ndarray,
    kind: str | None = None,
) -> float:
    """Sorted mAP in the manner of most public scripts on deep hashing.

    Args:
        query: Codes in {-1, +1}, float32 `(q, bits)`.
        query_labels: Multi-hot float32 `(q, classes)`.
        database: Codes in {-1, +1}, float32 `(n, bits)`.
        database_labels: Multi-hot float32 `(n, classes)`.
        kind: Sorting algorithm, `None` for NumPy's default.
    """
    total = 0.0
    for code, label in zip(query, query_labels, strict=True):
        relevant = (label @ database_labels.T > 0).astype(np.float32)
        hits = int(relevant.sum())
        if hits == 0:
            continue
        distances = 0.5 * (database.shape[1] - code @ database.T)
        relevant = relevant[np.argsort(distances, kind=kind)]
        ranks = np.where(relevant == 1)[0] + 1.0
        total += np.mean(np.linspace(1, hits, hits) / ranks)
    return total / len(query)


def toy_codes(
    rng: np.random.Generator, count: int, bits: int, centres: np.ndarray, more: float
) -> tuple[np.ndarray, np.ndarray]:
    """Codes in {-1, +1} near their class's centre, 3 of 10 bits flipped, and multi-hot labels.

    Each of the other labels is there with a chance of `more`.
    """
    classes = len(centres)
    numbers = rng.integers(classes, size=count)
    flips = np.where(rng.random((count, bits)) < 0.3, -1, 1)
    codes = (centres[numbers] * flips).astype(np.float32)
    labels = (rng.random((count, classes)) < more).astype(np.uint8)
    labels[np.arange(count), numbers] = 1
    return codes, labels


def main() -> None:
    """Times both on the same toy codes and prints one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--database", type=int, default=59000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--more", type=float, default=0, help="chance of each further label")
    parser.add_argument("--usual-queries", type=int, help="queries of the usual loop")
    parser.add_argument("--repeats", type=int, default=3, help="runs of ours; the best counts")
    args = parser.parse_args()

    rng = np.random.default_rng(0)
    centres = rng.choice([-1.0, 1.0], size=(args.classes, args.bits))
    query, query_labels = toy_codes(rng, args.queries, args.bits, centres, args.more)
    database, database_labels = toy_codes(rng, args.database, args.bits, centres, args.more)
    packed_query, packed_database = pack_codes(query), pack_codes(database)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None

    seconds = []
    for _ in range(args.repeats):
        start = time.perf_counter()
        result = evaluate_retrieval(
            packed_query, query_labels, packed_database, database_labels, args.bits
        )
        seconds.append(time.perf_counter() - start)

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    some = args.usual_queries or args.queries
    few_labels, all_labels = (
        part.astype(np.float32) for part in (query_labels[:some], database_labels)
    )
    dense = (query[:some], few_labels, database, all_labels)
    start = time.perf_counter()
    usual = usual_map(*dense)
    usual_seconds = (time.perf_counter() - start) * args.queries / len(query[:some])
    order = database_order(args.database, seed=0)
    stable = usual_map(query[:some], few_labels, database[order], all_labels[order], kind="stable")
    if some < args.queries:
        result = evaluate_retrieval(
            packed_query[:some], query_labels[:some], packed_database, database_labels, args.bits
        )
    # The usual loop multiplies in float32 but counts and divides in float64, like ours.
    if abs(stable - result.map_sorted) > 1e-9:
        raise SystemExit(f"sorted mAP differs: ours {result.map_sorted}, usual {stable}")

    print(
        f"evaluate_retrieval {min(seconds):.2f} s (all metrics), usual loop {usual_seconds:.2f} s"
    )
    print(
        json.dumps(
            {
                "queries": args.queries,
                "database": args.database,
                "bits": args.bits,
                "classes": args.classes,
                "evaluate_retrieval_s": [round(value, 3) for value in seconds],
                "peak_memory_mb": peak,
                "usual_loop_map_only_s": round(usual_seconds, 3),
                "map_tie_aware": result.map_tie_aware,
                "map_sorted": result.map_sorted,
                "usual_map_ties_by_chance": usual,
                "usual_map_stable": stable,
                "cpu_count": os.cpu_count(),
                "load_before": load,
                "machine": platform.machine(),
                "python": platform.python_version(),
                "numpy": np.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
