"""What random codes reach on the lists of hashing research, by each denominator (no speed).

    python benchmarks/chance_of_lists.py --lists LISTS

LISTS holds a folder a list, with `test.txt` for the queries and `database.txt` or `train.txt` for
what is searched: rows of `path 0 1 0 ...`. Closed form; the length of the codes does not matter.
"""

import argparse
from pathlib import Path

import numpy as np

from ssah_tf.data.labels import list_rows
from ssah_tf.metrics import LabelLists, chance_levels, relevant_counts
from ssah_tf.metrics.tie_aware import tie_aware_average_precision


def labels_of(path: Path) -> LabelLists:
    """The labels of a list, image by image."""
    rows, classes = list_rows(path)
    sizes = [len(columns) for columns in rows.values()]
    columns = np.array([c for some in rows.values() for c in some], np.int64)
    return LabelLists(columns, np.concatenate([[0], np.cumsum(sizes)]), classes)


def chance_by_all(relevant: np.ndarray, database: int, k: int) -> float:
    """Expected mAP@k of random codes, divided by all relevant images."""
    counts = np.full((len(relevant), 1), database)
    by_min = tie_aware_average_precision(counts, relevant[:, None], k)
    return float((by_min * np.minimum(relevant, k) / np.maximum(relevant, 1)).mean())


def row_of(folder: Path, ranks: list[int]) -> str:
    """A row of the table."""
    source = next(p for name in ("database", "train") if (p := folder / f"{name}.txt").is_file())
    queries, database = labels_of(folder / "test.txt"), labels_of(source)
    relevant, n = relevant_counts(queries, database), len(database)
    found = chance_levels(relevant, n, 48, ranks, 2)
    values = [found["map_tie_aware"]]
    for k in ranks:
        by_hits, by_min = found["map_sorted_by_hits_at_k"], found["map_tie_aware_at_k"]
        values += [by_hits[k], by_min[k], chance_by_all(relevant, n, k)]
    numbers = [f"{value:.3f}".removeprefix("0") for value in values]
    most = f"{(relevant > 0).mean():.3f}"
    cells = [folder.name, f"{len(queries):,}", f"{n:,}", f"{relevant.mean() / n:.3f}"[1:], *numbers]
    return "| " + " | ".join([*cells, most.removeprefix("0")]) + " |"


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lists", type=Path, required=True, help="a folder of folders of lists")
    parser.add_argument("--ranks", type=int, nargs="+", default=[100, 5000])
    args = parser.parse_args()
    columns = ["list", "queries", "database", "relevant share", "mAP@all"]
    for k in args.ranks:
        columns += [f"mAP@{k} by hits", f"by min(R, {k})", "by R"]
    print("| " + " | ".join([*columns, "perfect codes"]) + " |")
    print("|" + "---|" * (len(columns) + 1))
    for folder in sorted(path.parent for path in args.lists.glob("*/test.txt")):
        print(row_of(folder, args.ranks))


if __name__ == "__main__":
    main()
