"""How well codes keep the neighbours that features have: a number that needs no labels."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssah_tf.metrics.bootstrap import bootstrap_interval
from ssah_tf.metrics.hamming import check_codes, hamming_distances
from ssah_tf.metrics.tie_aware import tie_aware_precision

Floats = npt.NDArray[np.floating]

#: Nearest neighbours by features, and ranks by codes within which they are looked for.
NEAR, WITHIN = 10, (10, 100)
#: Queries whose distances are held at a time.
CHUNK = 64


@dataclass(frozen=True)
class NeighbourRecall:
    """Share of the nearest neighbours by features that are among the nearest by codes.

    Attributes:
        queries: Number of queries.
        database: Number of database images.
        near: Neighbours by features of each query.
        recall: Rank k -> the share of them within the first k by codes, mean over queries; expected
            over all orders of ties.
        interval: Rank k -> 95 % bootstrap interval of that over queries.
        chance: Rank k -> what random codes reach.
        of_query: The share of each query at the last of the ranks, in the order of the queries.
    """

    queries: int
    database: int
    near: int
    recall: dict[int, float]
    interval: dict[int, tuple[float, float]]
    chance: dict[int, float]
    of_query: tuple[float, ...]


def neighbour_recall(
    query_features: Floats,
    query_codes: npt.NDArray[np.uint8],
    database_features: Floats,
    database_codes: npt.NDArray[np.uint8],
    bits: int,
    seed: int = 0,
) -> NeighbourRecall:
    """Compare neighbours by codes with those by features: by Euclidean distance.

    That is how codes without labels are measured since Gong and Lazebnik, "Iterative quantization",
    CVPR 2011. The numbers depend on the size of the database.

    Args:
        query_features: `(q, d)`.
        query_codes: Packed codes of the same images, uint8 `(q, ceil(bits / 8))`.
        database_features: `(n, d)`.
        database_codes: Packed codes of the same images, uint8 `(n, ceil(bits / 8))`.
        bits: Length of a code.
        seed: Seed of the bootstrap.

    Raises:
        ValueError: Codes that do not fit.
    """
    query_codes = check_codes("query_codes", query_codes, bits)
    database_codes = check_codes("database_codes", database_codes, bits)
    q, n = len(query_codes), len(database_codes)
    near = min(NEAR, n)
    counts, found = (np.zeros((q, bits + 1), np.int64) for _ in range(2))
    for start in range(0, q, CHUNK):
        rows = slice(start, start + CHUNK)
        nearest = nearest_by_features(query_features[rows], database_features, near)
        distances = hamming_distances(query_codes[rows], database_codes)
        for i, (row, which) in enumerate(zip(distances, nearest, strict=True), start):
            counts[i] = np.bincount(row, minlength=bits + 1)
            found[i] = np.bincount(row[which], minlength=bits + 1)
    ranks = [k for k in WITHIN if k < n] or [n]
    # Of the first k by codes a share is right; k times that are hits, of `near` that there are.
    of_query = {k: tie_aware_precision(counts, found, k) * k / near for k in ranks}
    return NeighbourRecall(
        queries=q,
        database=n,
        near=near,
        recall={k: float(values.mean()) for k, values in of_query.items()},
        interval={k: bootstrap_interval(values, seed=seed) for k, values in of_query.items()},
        chance={k: k / n for k in ranks},
        of_query=tuple(of_query[ranks[-1]].tolist()),
    )


def nearest_by_features(query: Floats, database: Floats, k: int) -> npt.NDArray[np.int64]:
    """Positions of the k nearest of the database to each query, in no order, `(q, k)`.

    Args:
        query: `(q, d)`.
        database: `(n, d)`.
        k: At most n.
    """
    # |x - y|^2 without |x|^2, which is the same for all y.
    distances = (database**2).sum(axis=1) - 2 * query @ database.T
    found: npt.NDArray[np.int64] = np.argpartition(distances, k - 1, axis=1)[:, :k]
    return found
