"""Evaluates binary codes as a search engine: every query against the whole database."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from ssah_tf.metrics.bootstrap import bootstrap_interval
from ssah_tf.metrics.chance import chance_average_precision, chance_levels
from ssah_tf.metrics.hamming import check_codes, hamming_distances
from ssah_tf.metrics.relevance import LabelLists, Members, check_labels
from ssah_tf.metrics.result import RetrievalResult
from ssah_tf.metrics.sorted_order import average_precision_of_ranks, ranked
from ssah_tf.metrics.tie_aware import (
    precision_recall_by_radius,
    tie_aware_average_precision,
    tie_aware_precision,
)
from ssah_tf.system.parallel import parallel

#: What is measured of a query.
Measured = TypeVar("Measured")

# Distances that a thread holds at a time.
_CHUNK_ELEMENTS = 1 << 18
# Chunks between two reports of progress.
_CHUNKS = 64


def evaluate_retrieval(
    query_codes: np.ndarray,
    query_labels: np.ndarray | LabelLists,
    database_codes: np.ndarray,
    database_labels: np.ndarray | LabelLists,
    bits: int,
    *,
    cutoffs: Sequence[int] = (100, 1000, 5000),
    radius: int = 2,
    seed: int = 0,
    n_bootstrap: int = 1000,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> RetrievalResult:
    """Ranks the database by Hamming distance to each query and measures what comes first.

    All numbers are exact. Memory grows with the database and with queries x bits, never with
    queries x database. A query that is itself in the database finds itself: keep them apart.

    Args:
        query_codes: Packed codes, uint8 `(q, ceil(bits / 8))`.
        query_labels: Multi-hot, uint8 or bool `(q, classes)`; or lists, where classes are many.
        database_codes: Packed codes, uint8 `(n, ceil(bits / 8))`.
        database_labels: Multi-hot, uint8 or bool `(n, classes)`; or lists.
        bits: Length of a code.
        cutoffs: Ranks k for AP@k and P@k. One beyond the database is allowed: the missing places
            count as not relevant.
        radius: Hamming radius of the precision within a ball, 0 to `bits`.
        seed: Seed of the bootstrap, and of the order of the database in sorted numbers.
        n_bootstrap: Resamples of the bootstrap; 0 leaves the interval out.
        progress: Is told (queries done, all) now and then.

    Returns:
        The numbers; `RetrievalResult.definitions()` states how each is computed.

    Raises:
        ValueError: Codes, labels or options that do not fit; the message says what was expected.
    """
    query_codes = check_codes("query_codes", query_codes, bits)
    database_codes = check_codes("database_codes", database_codes, bits)
    queries = _label_lists("query_labels", query_labels, len(query_codes))
    database = _label_lists("database_labels", database_labels, len(database_codes))
    if queries.classes != database.classes:
        raise ValueError(
            f"query_labels: received {queries.classes} classes, expected "
            f"{database.classes} as in database_labels"
        )
    cutoffs = _check_cutoffs(cutoffs)
    if not _is_whole(radius) or not 0 <= radius <= bits:
        raise ValueError(f"radius: received {radius!r}, expected a whole number from 0 to {bits}")
    if not _is_whole(n_bootstrap) or n_bootstrap < 0:
        raise ValueError(f"n_bootstrap: received {n_bootstrap!r}, expected a whole number >= 0")

    order = database_order(len(database_codes), seed)
    counts, relevant, sorted_ap = _rank_all(
        query_codes, queries, database_codes[order], database.take(order), bits, cutoffs, progress
    )
    ap = tie_aware_average_precision(counts, relevant)  # (q,)
    precision, recall = precision_recall_by_radius(counts, relevant)  # (q, bits + 1) each
    sorted_means = sorted_ap.mean(axis=0)
    found, per_class = relevant.sum(axis=1), _mean_per_class(ap, queries)
    return RetrievalResult(
        queries=len(query_codes),
        database=len(database_codes),
        bits=int(bits),
        cutoffs=cutoffs,
        radius=int(radius),
        map_tie_aware=float(ap.mean()),
        map_interval=bootstrap_interval(ap, n_bootstrap=n_bootstrap, seed=seed)
        if n_bootstrap
        else None,
        map_tie_aware_at_k={
            k: float(tie_aware_average_precision(counts, relevant, k).mean()) for k in cutoffs
        },
        map_sorted=float(sorted_means[0]),
        map_sorted_by_hits_at_k=dict(zip(cutoffs, sorted_means[1:].tolist(), strict=True)),
        precision_at_k={k: float(tie_aware_precision(counts, relevant, k).mean()) for k in cutoffs},
        precision_in_radius=float(precision[:, radius].mean()),
        empty_ball_share=float((counts[:, : radius + 1].sum(axis=1) == 0).mean()),
        radius_precision=tuple(precision.mean(axis=0).tolist()),
        radius_recall=tuple(recall.mean(axis=0).tolist()),
        queries_without_relevant=int((found == 0).sum()),
        map_per_class=per_class,
        chance=chance_levels(found, len(database_codes), int(bits), cutoffs, int(radius)),
        chance_per_class=_mean_per_class(
            chance_average_precision(found, len(database_codes)), queries
        ),
        query_classes=sum(value is not None for value in per_class),
        n_bootstrap=int(n_bootstrap),
        seed=seed,
        average_precision=tuple(ap.tolist()),
    )


def database_order(images: int, seed: int) -> np.ndarray:
    """The random order in which sorted numbers take the database, int64 `(images,)`.

    Databases often come class by class, and the class that comes first would win all ties.
    """
    return np.random.default_rng(seed).permutation(images)


def _rank_all(
    query_codes: np.ndarray,
    queries: LabelLists,
    database_codes: np.ndarray,
    database: LabelLists,
    bits: int,
    cutoffs: tuple[int, ...],
    progress: Callable[[int, int], None],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Everything that needs the database.

    Returns:
        Database images at each distance and the relevant ones among them, both int64
        `(q, bits + 1)`; sorted AP and AP@k, float64 `(q, 1 + cutoffs)`.
    """
    q = len(query_codes)
    counts = np.empty((q, bits + 1), dtype=np.int64)
    relevant = np.empty((q, bits + 1), dtype=np.int64)
    sorted_ap = np.empty((q, 1 + len(cutoffs)))

    def measure(
        there: np.ndarray, right: np.ndarray, ranks: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
        ap, at = average_precision_of_ranks(ranks, cutoffs)
        return there, right, (ap, *at)

    found = rankings(query_codes, queries, database_codes, database, bits, measure, progress)
    for i, (there, right, precisions) in enumerate(found):
        counts[i], relevant[i], sorted_ap[i] = there, right, precisions
    return counts, relevant, sorted_ap


def rankings(
    query_codes: np.ndarray,
    queries: LabelLists,
    database_codes: np.ndarray,
    database: LabelLists,
    bits: int,
    measure: Callable[[np.ndarray, np.ndarray, np.ndarray], Measured],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Measured]:
    """What is measured of the database as each query sees it, on all cores.

    Args:
        query_codes: Packed codes, uint8 `(q, ceil(bits / 8))`.
        queries: Their labels.
        database_codes: Packed codes, uint8 `(n, ceil(bits / 8))`.
        database: Their labels.
        bits: Length of a code.
        measure: Is given the database images at each distance and the relevant ones among them,
            both int64 `(bits + 1,)`; and the ranks of the relevant ones, ties in database order,
            int64 `(R,)`. Several threads call it at once.
        progress: Is told (queries done, all) now and then.

    Yields:
        What `measure` gives, query after query.
    """
    q, members = len(query_codes), Members(database)
    rows = max(1, _CHUNK_ELEMENTS // len(database_codes))

    def rank(start: int) -> list[Measured]:
        chunk = slice(start, min(start + rows, q))
        found = []
        distances = hamming_distances(query_codes[chunk], database_codes)  # (chunk, n)
        for i, row in zip(range(start, chunk.stop), distances, strict=True):
            ranks, there, right = ranked(row, members.mask(queries[i]), bits + 1)
            found.append(measure(there, right, ranks))
        return found

    starts = range(0, q, rows)
    for first in range(0, len(starts), _CHUNKS):
        for found in parallel(rank, starts[first : first + _CHUNKS]):
            yield from found
        progress(min(starts[first] + rows * _CHUNKS, q), q)


def _label_lists(name: str, labels: np.ndarray | LabelLists, count: int) -> LabelLists:
    """Labels as lists, if they are multi-hot, or are such lists; one for each of `count` codes."""
    if not isinstance(labels, LabelLists):
        return LabelLists.of(check_labels(name, labels, count))
    if len(labels) != count:
        raise ValueError(
            f"{name}: received {len(labels)} rows, expected {count}, one for each code"
        )
    return labels


def _mean_per_class(ap: np.ndarray, labels: LabelLists) -> tuple[float | None, ...]:
    sizes = labels.counts()
    weights = np.repeat(ap, labels.sizes())
    sums = np.bincount(labels.columns, weights=weights, minlength=labels.classes)
    return tuple(
        float(total / size) if size else None for total, size in zip(sums, sizes, strict=True)
    )


def _check_cutoffs(cutoffs: Sequence[int]) -> tuple[int, ...]:
    cutoffs = tuple(cutoffs)
    if not all(_is_whole(k) and k >= 1 for k in cutoffs):
        raise ValueError(f"cutoffs: received {cutoffs}, expected whole numbers >= 1")
    return tuple(sorted({int(k) for k in cutoffs}))


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
