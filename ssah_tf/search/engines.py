"""Exact nearest neighbours among distinct codes; positions are those of the codes as given.

Every engine gives the same answer in the same order: by distance, then by position.
"""

import importlib.util
import itertools
from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from ssah_tf.metrics.hamming import hamming_distances
from ssah_tf.system.errors import SsahError

#: Distances that are held at once, at most.
BLOCK = 1 << 25
#: Queries that FAISS compares with a code at a time, so that they stay in the cache.
QUERIES = 32


class Engine(Protocol):
    """What a search runs on."""

    def nearest(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest codes.

        Args:
            queries: Packed codes, uint8 `(q, bytes)`.
            k: At most the number of codes.

        Returns:
            Positions int64 `(q, k)` and distances int32 `(q, k)`.
        """

    def within(self, queries: np.ndarray, radius: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """All codes up to a distance, `radius` included: positions and distances a query."""


class NumpyEngine:
    """Compares all pairs in NumPy; needs nothing else."""

    def __init__(self, codes: np.ndarray):
        self.codes = codes

    def blocks(self, queries: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Distances of a few queries at a time, and the number of the first of them."""
        rows = max(1, BLOCK // max(1, len(self.codes)))
        for start in range(0, len(queries), rows):
            yield start, hamming_distances(queries[start : start + rows], self.codes)

    def nearest(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Engine.nearest`."""
        positions = np.empty((len(queries), k), np.int64)
        distances = np.empty((len(queries), k), np.int32)
        for start, block in self.blocks(queries):
            for row, found in enumerate(block, start):
                # The radius that holds k codes, from a count of each distance: no sorting of all.
                radius = np.searchsorted(np.bincount(found).cumsum(), k)
                inside = np.flatnonzero(found <= radius)
                order = inside[np.argsort(found[inside], kind="stable")[:k]]
                positions[row], distances[row] = order, found[order]
        return positions, distances

    def within(self, queries: np.ndarray, radius: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """See `Engine.within`."""
        results = []
        for _, block in self.blocks(queries):
            for found in block:
                inside = np.flatnonzero(found <= radius)
                order = inside[np.argsort(found[inside], kind="stable")]
                results.append((order, found[order].astype(np.int32)))
        return results


class FaissEngine:
    """FAISS: exact, on all cores, over the array itself, which may lie in a mapped file."""

    def __init__(self, codes: np.ndarray):
        self.codes = np.ascontiguousarray(codes)

    def nearest(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Engine.nearest`. FAISS gives ties in the order of positions."""
        import faiss

        queries = np.ascontiguousarray(queries)
        found = [
            faiss.knn_hamming(part, self.codes, k)
            for part in np.split(queries, range(QUERIES, len(queries), QUERIES))
        ]
        distances, positions = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return positions, distances

    def within(self, queries: np.ndarray, radius: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """See `Engine.within`. The radius of FAISS is exclusive, and its results have no order."""
        import faiss

        queries = np.ascontiguousarray(queries)
        count, width = len(queries), self.codes.shape[1]
        result = faiss.RangeSearchResult(count)
        pointers = faiss.swig_ptr(queries), faiss.swig_ptr(self.codes)
        sizes = count, len(self.codes), radius + 1, width
        # The stubs of FAISS leave this function out.
        faiss.hamming_range_search(*pointers, *sizes, result)  # type: ignore[attr-defined]
        limits = faiss.rev_swig_ptr(result.lims, count + 1).astype(int).tolist()
        positions = faiss.rev_swig_ptr(result.labels, limits[-1])
        distances = faiss.rev_swig_ptr(result.distances, limits[-1])
        results = []
        for first, last in itertools.pairwise(limits):
            found = positions[first:last], distances[first:last].astype(np.int32)
            order = np.lexsort(found)
            results.append((found[0][order], found[1][order]))
        return results


#: Name of an engine -> makes one over codes.
ENGINES: dict[str, Callable[[np.ndarray], Engine]] = {"numpy": NumpyEngine, "faiss": FaissEngine}


def make_engine(name: str, codes: np.ndarray) -> Engine:
    """An engine over codes: "numpy", "faiss", or "auto", FAISS where it is installed.

    Raises:
        SsahError: No such engine, or FAISS is not installed.
    """
    installed = importlib.util.find_spec("faiss") is not None
    if name == "auto":
        name = "faiss" if installed else "numpy"
    if name not in ENGINES:
        raise SsahError(f"engine {name!r}: choose from auto, {', '.join(ENGINES)}")
    if name == "faiss" and not installed:
        raise SsahError("engine faiss needs FAISS: pip install 'ssah-tf[search]'")
    return ENGINES[name](codes)
