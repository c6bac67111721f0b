"""What random codes reach: the level below which a number says nothing.

The codes of a random encoder are drawn independently of the labels, so a ranking by them, its ties
in random order, is a random order of the database. With n images of which R are relevant, that
gives each number in closed form; only R matters, not the length of the codes, but for balls.
"""

import math
from collections.abc import Sequence

import numpy as np

from ssah_tf.metrics.tie_aware import tie_aware_average_precision, tie_aware_precision


def chance_levels(
    relevant: np.ndarray, database: int, bits: int, cutoffs: Sequence[int], radius: int
) -> dict[str, float | dict[int, float]]:
    """Expectation under random codes of each mean of `RetrievalResult`, by its name.

    Args:
        relevant: Number of relevant database images of each query, int64 `(q,)`.
        database: Number of database images.
        bits: Length of a code.
        cutoffs: Ranks k.
        radius: Hamming radius of the ball.

    Returns:
        `map_tie_aware`, `map_sorted` (the same: ties in an order that knows no labels),
        `precision_in_radius`, `empty_ball_share`; and by k `map_tie_aware_at_k`,
        `map_sorted_by_hits_at_k`, `precision_at_k`.
    """
    whole = float(chance_average_precision(relevant, database).mean())
    filled = 1 - chance_of_empty_ball(database, bits, radius)
    relevant, counts = relevant[:, None], np.full((len(relevant), 1), database)
    return {
        "map_tie_aware": whole,
        "map_tie_aware_at_k": {
            k: float(tie_aware_average_precision(counts, relevant, k).mean()) for k in cutoffs
        },
        "map_sorted": whole,
        "map_sorted_by_hits_at_k": {
            k: float(chance_by_hits(relevant[:, 0], database, k).mean()) for k in cutoffs
        },
        "precision_at_k": {
            k: float(tie_aware_precision(counts, relevant, k).mean()) for k in cutoffs
        },
        "precision_in_radius": float(relevant.mean() / database * filled),
        "empty_ball_share": 1 - filled,
    }


def chance_average_precision(relevant: np.ndarray, database: int) -> np.ndarray:
    """Expected average precision of a random order: that of a single tie.

    Args:
        relevant: Number of relevant database images of each query, int64 `(q,)`.
        database: Number of database images.

    Returns:
        float64 `(q,)`; 0 for a query with nothing relevant.
    """
    counts = np.full((len(relevant), 1), database)
    return tie_aware_average_precision(counts, relevant[:, None])


def chance_by_hits(relevant: np.ndarray, database: int, k: int) -> np.ndarray:
    """Expected AP@k of a random order, divided by the hits in the top k; 0 without hits.

    Given h hits, each order of the top k is as likely, and the average precision of k images with h
    relevant ones has the expectation H_k/k + (1 - H_k/k) (h - 1)/(k - 1), with H_k the harmonic
    number. It is linear in h, so the mean over the hypergeometric h needs P(h > 0) and E[h] alone.

    Args:
        relevant: Number of relevant database images of each query, int64 `(q,)`.
        database: Number of database images.
        k: Cut-off rank.

    Returns:
        float64 `(q,)`.
    """
    k = min(k, database)
    first = float(np.sum(1.0 / np.arange(1, k + 1))) / k
    some = 1 - np.array([chance_of_no_hit(int(r), database, k) for r in relevant])
    mean = k * relevant / database
    found: np.ndarray = some * first + (mean - some) / max(k - 1, 1) * (1 - first)
    return found


def chance_of_no_hit(relevant: int, database: int, k: int) -> float:
    """Chance that the k first of a random order hold none of the relevant ones."""
    if k > database - relevant:
        return 0.0
    log = math.lgamma
    others = database - relevant
    return math.exp(
        log(others + 1) - log(others - k + 1) - log(database + 1) + log(database - k + 1)
    )


def chance_of_empty_ball(database: int, bits: int, radius: int) -> float:
    """Chance that no random code lies within a Hamming radius of another."""
    inside = sum(math.comb(bits, d) for d in range(radius + 1)) / 2**bits
    return 0.0 if inside >= 1 else math.exp(database * math.log1p(-inside))
