"""Average precision of one sorted ranking, as most papers report it, with a stated tie rule."""

from collections.abc import Sequence

import numpy as np

#: Relevant images up to which each one's rank is counted, and nothing sorted.
FEW = 16


def sorted_average_precision(
    distances: np.ndarray, relevant: np.ndarray, cutoffs: Sequence[int] = ()
) -> tuple[float, list[float]]:
    """Average precision of the database sorted by distance, ties in database order.

    AP = (1 / R) * sum over relevant images of (relevant images up to its rank) / (its rank), with R
    the relevant images in the database. AP@k sums over the top k only and divides by the relevant
    images found there, which is the habit of most papers and public scripts on hashing.

    The tie rule is arbitrary and moves the number by tenths on short codes: use it to compare with
    papers, and `tie_aware_average_precision` to compare codes.

    Args:
        distances: Distances of the database to one query, uint8 or uint16 `(n,)`.
        relevant: bool `(n,)`.
        cutoffs: Ranks k >= 1 for AP@k.

    Returns:
        AP, and AP@k for each of `cutoffs`; 0 where nothing is relevant.

    Raises:
        ValueError: The shapes differ, or a cut-off is < 1.
    """
    if distances.ndim != 1 or distances.shape != relevant.shape:
        raise ValueError(
            f"distances, relevant: received shapes {distances.shape} and {relevant.shape}, "
            "expected the same (n,)"
        )
    if any(k < 1 for k in cutoffs):
        raise ValueError(f"cutoffs: received {tuple(cutoffs)}, expected ranks >= 1")
    order = np.argsort(distances, kind="stable")
    return average_precision_of_ranks(np.flatnonzero(relevant[order]) + 1, cutoffs)


def ranked(
    distances: np.ndarray, relevant: np.ndarray, levels: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the relevant images stand in the database sorted by distance, ties in database order.

    Args:
        distances: Distances of the database to one query, uint8 or uint16 `(n,)`.
        relevant: bool `(n,)`.
        levels: Distances that there can be, 0 among them.

    Returns:
        Ranks of the relevant images, int64 `(R,)`, ascending; database images at each distance, and
        the relevant ones among them, both int64 `(levels,)`.
    """
    if np.count_nonzero(relevant) > FEW:  # the stable sort of small whole numbers is linear in n
        order = np.argsort(distances, kind="stable")
        ranks = np.flatnonzero(relevant.take(order)) + 1
        each = np.arange(levels, dtype=distances.dtype)
        ends = np.searchsorted(distances.take(order), each, side="right")
        hits = np.searchsorted(ranks, ends, side="right")
        return ranks, np.diff(ends, prepend=0), np.diff(hits, prepend=0)
    found = np.flatnonzero(relevant)
    counts = np.bincount(distances, minlength=levels)
    before = np.cumsum(counts) - counts
    unsorted = [
        before[distances[p]] + np.count_nonzero(distances[: p + 1] == distances[p])
        for p in found.tolist()
    ]
    return (
        np.sort(np.array(unsorted, np.int64)),
        counts,
        np.bincount(distances[found], minlength=levels),
    )


def average_precision_of_ranks(
    ranks: np.ndarray, cutoffs: Sequence[int]
) -> tuple[float, list[float]]:
    """AP and AP@k of the ranks of the relevant images, int64 `(R,)`, ascending.

    See `sorted_average_precision`.
    """
    if len(ranks) == 0:
        return 0.0, [0.0] * len(cutoffs)
    precision = np.arange(1, len(ranks) + 1) / ranks  # (R,): at each hit
    found = np.searchsorted(ranks, cutoffs, side="right")
    at = [float(precision[:hits].mean()) if hits else 0.0 for hits in found]
    return float(precision.mean()), at
