"""Average precision and precision at k as expectations over the random order of Hamming ties.

Short codes put thousands of images at the same distance. The order among them is not the code's
doing, so it is averaged out, exactly and in closed form, from two counts for each distance d:
n_d database images, r_d of them relevant. Source: McSherry and Najork, ECIR 2008; for hashing He,
Cakir, Bargal and Sclaroff, "Hashing as Tie-Aware Learning to Rank", CVPR 2018, arXiv 1705.08562.

Worked example: distances 0, 1, 1, 2 with relevance 1, 0, 1, 1. The tie at distance 1 gives the
rankings 1 0 1 1 with AP = (1/1 + 2/3 + 3/4) / 3 = 29/36 and 1 1 0 1 with AP = (1/1 + 2/2 + 3/4) / 3
= 33/36, so the tie-aware AP is 31/36 = 0.8611.
"""

import numpy as np


def tie_aware_average_precision(
    counts: np.ndarray, relevant: np.ndarray, k: int | None = None
) -> np.ndarray:
    """Expected average precision over all orders of the ties, for each query.

    With C_d and R_d the images and the relevant images nearer than d, and t the rank, a random
    order within the tie at d gives (arXiv 1705.08562)

        E[rel_t prec_t] = (r_d / n_d) * (R_d + 1 + (t - C_d - 1) (r_d - 1) / (n_d - 1)) / t

    and its sum over t needs only the harmonic numbers H at the tie's two ends:

        (r_d / n_d) * [(R_d + 1 - (C_d + 1) rho) (H(T) - H(C_d)) + (T - C_d) rho],
        rho = (r_d - 1) / (n_d - 1), T = min(C_d + n_d, k).

    The sum is divided by the relevant images in the database, R, or with `k` by min(R, k): a tie
    that k cuts in two makes the number of hits in the top k random, and dividing by that has no
    closed form. `k` larger than the database is the same as no `k`.

    Args:
        counts: Whole numbers `(q, distances)`: database images at each distance, nearest first.
        relevant: Whole numbers `(q, distances)`: the relevant ones among them.
        k: Cut-off rank, or `None` for the whole ranking.

    Returns:
        float64 `(q,)`; 0 for a query with nothing relevant.

    Raises:
        ValueError: The shapes differ, or `k` < 1.
    """
    counts, relevant = _check_counts(counts, relevant)
    _check_rank(k)
    after = np.cumsum(counts, axis=1)  # (q, distances): images up to and at this distance
    before = after - counts
    relevant_before = np.cumsum(relevant, axis=1) - relevant
    total = relevant.sum(axis=1)
    size = int(after[:, -1].max(initial=0))
    end = after if k is None else np.minimum(after, k)
    start = np.minimum(before, end)  # a tie wholly beyond k has start == end and adds 0

    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, size + 1))])
    slope = (relevant - 1) / np.maximum(counts - 1, 1)
    share = relevant / np.maximum(counts, 1)
    rising = (relevant_before + 1 - (before + 1) * slope) * (harmonic[end] - harmonic[start])
    summed = (share * (rising + (end - start) * slope)).sum(axis=1)  # (q,)
    found: np.ndarray = summed / np.maximum(total if k is None else np.minimum(total, k), 1)
    return found


def tie_aware_precision(counts: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Expected share of relevant images among the k nearest, over all orders of the ties.

    A tie that k cuts gives each of its images the same chance. Places beyond the end of a database
    smaller than k count as not relevant.

    Args:
        counts: Whole numbers `(q, distances)`: database images at each distance, nearest first.
        relevant: Whole numbers `(q, distances)`: the relevant ones among them.
        k: Cut-off rank.

    Returns:
        float64 `(q,)`.

    Raises:
        ValueError: The shapes differ, or `k` < 1.
    """
    counts, relevant = _check_counts(counts, relevant)
    _check_rank(k)
    before = np.cumsum(counts, axis=1) - counts
    taken = np.clip(k - before, 0, counts)  # (q, distances): places of the top k in this tie
    expected: np.ndarray = (relevant * (taken / np.maximum(counts, 1))).sum(axis=1) / k
    return expected


def precision_recall_by_radius(
    counts: np.ndarray, relevant: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of each query's Hamming ball, for every radius.

    A ball holds whole ties, so their order does not matter. An empty ball has precision 0, a query
    with nothing relevant has recall 0.

    Args:
        counts: Whole numbers `(q, distances)`: database images at each distance, nearest first.
        relevant: Whole numbers `(q, distances)`: the relevant ones among them.

    Returns:
        Precision and recall, each float64 `(q, distances)`, column r for the ball of radius r.

    Raises:
        ValueError: The shapes differ.
    """
    counts, relevant = _check_counts(counts, relevant)
    inside = np.cumsum(counts, axis=1)
    hits = np.cumsum(relevant, axis=1)
    return hits / np.maximum(inside, 1), hits / np.maximum(hits[:, -1:], 1)


def _check_counts(counts: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    counts, relevant = np.asarray(counts), np.asarray(relevant)
    if counts.ndim != 2 or counts.shape != relevant.shape or counts.shape[1] == 0:
        raise ValueError(
            f"counts, relevant: received shapes {counts.shape} and {relevant.shape}, "
            "expected the same (q, distances)"
        )
    # Signed, because differences are taken: unsigned counts would wrap around below zero.
    return counts.astype(np.int64), relevant.astype(np.int64)


def _check_rank(k: int | None) -> None:
    if k is not None and k < 1:
        raise ValueError(f"k: received {k}, expected a rank >= 1")
