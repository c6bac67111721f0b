"""Average precision of one sorted ranking, as most papers report it, with a stated tie rule."""

from collections.abc import Sequence

import numpy as np


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
    # The stable sort of small whole numbers is a radix sort in NumPy: linear in n.
    order = np.argsort(distances, kind="stable")
    ranks = np.flatnonzero(relevant[order]) + 1  # (R,)
    if len(ranks) == 0:
        return 0.0, [0.0] * len(cutoffs)
    summed = np.cumsum(np.arange(1, len(ranks) + 1) / ranks)  # (R,): precision at each hit
    found = np.searchsorted(ranks, cutoffs, side="right")
    at = [float(summed[hits - 1] / hits) if hits else 0.0 for hits in found]
    return float(summed[-1] / len(ranks)), at
