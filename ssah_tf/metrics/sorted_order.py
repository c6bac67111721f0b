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


def ranks_of(distances: np.ndarray, relevant: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Ranks of some images in the database sorted by distance, ties in database order, ascending.

    Args:
        distances: Distances of the database to one query, uint8 or uint16 `(n,)`.
        relevant: Positions of the images, int64 `(R,)`, ascending.
        counts: Database images at each distance, `(distances,)`.
    """
    if len(relevant) > FEW:  # the stable sort of small whole numbers is linear in n
        mask = np.zeros(len(distances), bool)
        mask[relevant] = True
        found: np.ndarray = np.flatnonzero(mask[np.argsort(distances, kind="stable")]) + 1
        return found
    before = np.cumsum(counts) - counts
    ranks = [
        before[distances[p]] + np.count_nonzero(distances[: p + 1] == distances[p])
        for p in relevant.tolist()
    ]
    return np.sort(np.array(ranks, np.int64))


def average_precision_of_ranks(
    ranks: np.ndarray, cutoffs: Sequence[int]
) -> tuple[float, list[float]]:
    """AP and AP@k of the ranks of the relevant images, int64 `(R,)`, ascending.

    See `sorted_average_precision`.
    """
    if len(ranks) == 0:
        return 0.0, [0.0] * len(cutoffs)
    summed = np.cumsum(np.arange(1, len(ranks) + 1) / ranks)  # (R,): precision at each hit
    found = np.searchsorted(ranks, cutoffs, side="right")
    at = [float(summed[hits - 1] / hits) if hits else 0.0 for hits in found]
    return float(summed[-1] / len(ranks)), at
