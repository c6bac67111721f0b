"""Exact search that compares every query with every code, on several cores.

Every scan gives the same answer in the same order: by distance, then by position.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from ssah_tf.metrics.hamming import bit_words
from ssah_tf.system.parallel import cores, parallel

#: Positions int64 `(m,)` and distances int32 `(m,)` of one query.
PositionsDistances = tuple[np.ndarray, np.ndarray]
#: Bytes of a code for which FAISS has a routine of its own; others are several times slower.
WIDTHS = (4, 8, 16, 20, 32, 64)
#: Queries of a piece of work: they stay in the cache, and threads have as much to do.
QUERIES = 8
#: Comparisons of 8 bytes that are worth a second thread: about half a millisecond.
WORK = 1 << 19
#: Codes that NumPy compares at a time, so that the temporaries stay in the cache.
BLOCK = 1 << 15


class Scan(ABC):
    """Compares every query with every code, in as many threads as the work is worth.

    Args:
        count: Number of codes.
        width: Bytes that are compared of each.
    """

    def __init__(self, count: int, width: int):
        self.count = count
        self.work = count * -(-width // 8)  # words that are compared with a query

    @property
    @abstractmethod
    def words(self) -> np.ndarray:
        """Codes of 5 to 8 bytes as uint64 `(n,)`, the first byte the lowest."""

    @abstractmethod
    def nearest_of(
        self, queries: np.ndarray, codes: slice, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest of some codes, in the calling thread; positions count from the first."""

    @abstractmethod
    def within_of(self, queries: np.ndarray, codes: slice, radius: int) -> list[PositionsDistances]:
        """Of some codes those up to a distance, in any order, in the calling thread."""

    def nearest(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest codes.

        Args:
            queries: Packed codes, uint8 `(q, bytes)`.
            k: At most the number of codes.

        Returns:
            Positions int64 `(q, k)` and distances int32 `(q, k)`, by (distance, position).
        """

        def work(part: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
            rows, codes = part
            count = min(k, codes.stop - codes.start)
            positions, distances = self.nearest_of(queries[rows], codes, count)
            return positions + codes.start, distances

        if not len(queries):
            return np.zeros((0, k), np.int64), np.zeros((0, k), np.int32)
        threads = self.threads(len(queries))
        parts = self.parts(len(queries), threads)
        found = parallel(work, parts, threads)
        if parts[0][1] == parts[-1][1]:  # each has queries of its own
            positions, distances = (np.concatenate(some) for some in zip(*found, strict=True))
            return positions, distances
        positions, distances = (np.concatenate(some, axis=1) for some in zip(*found, strict=True))
        order = np.argsort(distances, axis=1, kind="stable")[:, :k]
        rows = np.arange(len(queries))[:, None]
        return positions[rows, order], distances[rows, order]

    def within(self, queries: np.ndarray, radius: int) -> list[PositionsDistances]:
        """All codes up to a distance, `radius` included, for each query, in the same order."""

        def work(part: tuple[slice, slice]) -> list[PositionsDistances]:
            rows, codes = part
            found = self.within_of(queries[rows], codes, radius)
            return [(positions + codes.start, distances) for positions, distances in found]

        if not len(queries):
            return []
        threads = self.threads(len(queries))
        parts = self.parts(len(queries), threads)
        found = parallel(work, parts, threads)
        if parts[0][1] == parts[-1][1]:
            return [by_distance(*one) for some in found for one in some]
        return [
            by_distance(*(np.concatenate(a) for a in zip(*of_query, strict=True)))
            for of_query in zip(*found, strict=True)
        ]

    def threads(self, queries: int) -> int:
        """How many threads are worth it: few comparisons are done before a second one is awake."""
        return min(cores(), 1 + queries * self.work // WORK)

    def parts(self, queries: int, threads: int) -> list[tuple[slice, slice]]:
        """Queries and codes of each piece of work; the codes are shared out if queries are few."""
        if queries >= threads:
            step = min(QUERIES, -(-queries // threads))
            return [(slice(s, min(s + step, queries)), slice(0, self.count))
                    for s in range(0, queries, step)]  # fmt: skip
        ends = [self.count * part // threads for part in range(threads + 1)]
        return [(slice(0, queries), slice(*ends)) for ends in itertools.pairwise(ends)]


class NumpyScan(Scan):
    """Compares in NumPy; needs nothing else."""

    def __init__(self, codes: np.ndarray):
        super().__init__(len(codes), codes.shape[1])
        self.codes = bit_words(codes)
        self.dtype = np.uint8 if codes.shape[1] < 32 else np.uint16

    @property
    def words(self) -> np.ndarray:
        """See `Scan.words`."""
        return np.asarray(self.codes[0]).view("<u8")

    def blocks(self, query: np.ndarray, codes: slice) -> Iterator[tuple[int, np.ndarray]]:
        """Distances of one query `(words,)` to a few codes at a time, and where these begin."""
        for start in range(codes.start, codes.stop, BLOCK):
            words = self.codes[:, start : min(start + BLOCK, codes.stop)]
            apart = np.bitwise_count(words[0] ^ query[0]).astype(self.dtype, copy=False)
            for word, other in zip(words[1:], query[1:], strict=True):
                apart += np.bitwise_count(word ^ other)
            yield start - codes.start, apart

    def nearest_of(
        self, queries: np.ndarray, codes: slice, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Scan.nearest_of`. Once k codes are found, only nearer ones are looked at."""
        nearest = np.empty((len(queries), k), np.int64)
        far = np.empty((len(queries), k), np.int32)
        for row, query in enumerate(bit_words(queries).T):
            positions: np.ndarray = np.zeros(0, np.int64)
            distances: np.ndarray = np.zeros(0, self.dtype)
            limit = 8 * self.codes.itemsize * len(self.codes)  # included
            for start, apart in self.blocks(query, codes):
                if len(positions) < k <= len(apart):
                    limit = radius_of(apart, k)
                inside = np.flatnonzero(apart <= limit)
                if not len(inside):
                    continue
                positions = np.concatenate([positions, start + inside])
                distances = np.concatenate([distances, apart[inside]])
                if len(positions) >= k:
                    # Of those at the radius the first ones are kept, so later ones must be nearer.
                    radius = radius_of(distances, k)
                    few = np.flatnonzero(distances <= radius)
                    few = few[np.argsort(distances[few], kind="stable")[:k]]
                    positions, distances, limit = positions[few], distances[few], radius - 1
            nearest[row], far[row] = positions, distances
        return nearest, far

    def within_of(self, queries: np.ndarray, codes: slice, radius: int) -> list[PositionsDistances]:
        """See `Scan.within_of`."""
        results = []
        for query in bit_words(queries).T:
            positions, distances = [np.zeros(0, np.int64)], [np.zeros(0, self.dtype)]
            for start, apart in self.blocks(query, codes):
                inside = np.flatnonzero(apart <= radius)
                positions.append(start + inside)
                distances.append(apart[inside])
            results.append((np.concatenate(positions), np.concatenate(distances)))
        return results


class FaissScan(Scan):
    """Compares in FAISS, over the array itself, which may lie in a mapped file.

    Codes of a width that FAISS has no routine for are copied, with zeros behind them.
    """

    def __init__(self, codes: np.ndarray):
        self.codes = widened(codes)
        super().__init__(len(codes), self.codes.shape[1])

    @property
    def words(self) -> np.ndarray:
        """See `Scan.words`."""
        return words_of(self.codes)

    def nearest_of(
        self, queries: np.ndarray, codes: slice, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Scan.nearest_of`. FAISS gives ties in the order of positions."""
        import faiss

        with one_thread():
            distances, positions = faiss.knn_hamming(widened(queries), self.codes[codes], k)
        return positions, distances

    def within_of(self, queries: np.ndarray, codes: slice, radius: int) -> list[PositionsDistances]:
        """See `Scan.within_of`. The radius of FAISS is exclusive."""
        import faiss

        queries, part = widened(queries), self.codes[codes]
        result = faiss.RangeSearchResult(len(queries))
        pointers = faiss.swig_ptr(queries), faiss.swig_ptr(part)
        sizes = len(queries), len(part), radius + 1, part.shape[1]
        with one_thread():
            # The stubs of FAISS leave this function out.
            faiss.hamming_range_search(*pointers, *sizes, result)  # type: ignore[attr-defined]
        limits = faiss.rev_swig_ptr(result.lims, len(queries) + 1).astype(int).tolist()
        positions = faiss.rev_swig_ptr(result.labels, limits[-1])
        distances = faiss.rev_swig_ptr(result.distances, limits[-1])
        return [
            (positions[first:last].copy(), distances[first:last].astype(np.int32))
            for first, last in itertools.pairwise(limits)
        ]


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep FAISS to the calling thread: its own threads spin while they wait for each other.

    On a busy machine that takes up to thirty times as long as the search.
    """
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # of calls from this thread alone
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def widened(codes: np.ndarray) -> np.ndarray:
    """Codes with zeros behind them, to the next width that is quick; the same where it is."""
    width = codes.shape[1]
    wide = next((wide for wide in WIDTHS if width <= wide), -(-width // 8) * 8)
    if wide == width:
        return np.ascontiguousarray(codes)
    found = np.zeros((len(codes), wide), np.uint8)
    found[:, :width] = codes
    return found


def words_of(codes: np.ndarray) -> np.ndarray:
    """Codes of 5 to 8 bytes as uint64 `(n,)`, the first byte the lowest; a view of 8 bytes."""
    return np.asarray(widened(codes)).view("<u8")[:, 0]


def radius_of(distances: np.ndarray, k: int) -> int:
    """The radius that holds k codes, from a count of each distance: no sorting of all."""
    return int(np.searchsorted(np.bincount(distances).cumsum(), k))


def by_distance(positions: np.ndarray, distances: np.ndarray) -> PositionsDistances:
    """Positions, each of which comes once, and their distances, by (distance, position)."""
    keys = np.sort(distances.astype(np.int64) << 32 | positions)
    return keys & 0xFFFFFFFF, (keys >> 32).astype(np.int32)
