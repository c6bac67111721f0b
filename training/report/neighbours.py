"""What the report shows of the code space: neighbours, confusions, distances, shorter codes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ssah_tf.metrics import evaluate_retrieval
from ssah_tf.metrics.hamming import hamming_distances

#: Queries that are looked at for confusions and distances; a seeded draw of more.
SAMPLE = 2000
#: Queries whose distances are held at a time.
CHUNK = 64


@dataclass(frozen=True)
class CodeSpace:
    """Codes of queries and database with their labels.

    Attributes:
        query_codes: Packed, uint8 `(q, bytes)`.
        query_labels: uint8 `(q, classes)`, multi-hot.
        database_codes: Packed, uint8 `(n, bytes)`.
        database_labels: uint8 `(n, classes)`.
        bits: Length of a code.
    """

    query_codes: np.ndarray
    query_labels: np.ndarray
    database_codes: np.ndarray
    database_labels: np.ndarray
    bits: int

    @cached_property
    def shuffled(self) -> np.ndarray:
        """Positions of the database in a random order, always the same; decides between ties.

        A database is often in the order of its classes, and thousands of its images may have one
        code: in that order a query would find the wrong ones of the first class before all others.
        """
        return np.random.default_rng(0).permutation(len(self.database_codes))

    def nearest(self, distances: np.ndarray, k: int) -> np.ndarray:
        """Positions of the k smallest of the distances `(n,)` to the database, `(k,)`."""
        return self.shuffled[np.argsort(distances[self.shuffled], kind="stable")[:k]]

    def ranked(self, query: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest of the database to a query, ties in random order.

        Returns:
            Positions in the database and their distances, both `(k,)`.
        """
        distances = hamming_distances(self.query_codes[query : query + 1], self.database_codes)[0]
        order = self.nearest(distances, k)
        return order, distances[order]

    def relevant(self, query: int, positions: np.ndarray) -> np.ndarray:
        """Whether database images share a label with a query, bool `(positions,)`."""
        return (self.database_labels[positions] & self.query_labels[query]).any(axis=1)

    def sampled(self) -> Iterator[tuple[int, np.ndarray]]:
        """Some of the queries, all if there are few, with their distances to the database.

        Yields:
            The position of a query, and `(n,)`.
        """
        chosen = np.sort(np.random.default_rng(0).permutation(len(self.query_codes))[:SAMPLE])
        for part in np.array_split(chosen, -(-len(chosen) // CHUNK)):
            yield from zip(
                part.tolist(),
                hamming_distances(self.query_codes[part], self.database_codes),
                strict=True,
            )

    def confusion(self, k: int) -> np.ndarray:
        """Row c: how the k nearest neighbours of queries of class c divide over the classes.

        Returns:
            float64 `(classes, classes)`; rows sum to 1, or to 0 for a class without queries. An
            image with several labels counts in parts.
        """
        share = self.database_labels / np.maximum(self.database_labels.sum(axis=1), 1)[:, None]
        total = np.zeros((self.query_labels.shape[1],) * 2)
        for query, distances in self.sampled():
            total[self.query_labels[query] > 0] += share[self.nearest(distances, k)].mean(axis=0)
        sums = total.sum(axis=1, keepdims=True)
        return total / np.where(sums > 0, sums, 1)

    def distance_counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of query and database image at each distance: similar and dissimilar.

        Returns:
            Two int64 `(bits + 1,)`.
        """
        counts = np.zeros((2, self.bits + 1), dtype=np.int64)
        everything = np.arange(len(self.database_codes))
        for query, distances in self.sampled():
            relevant = self.relevant(query, everything)
            for row, mask in enumerate((relevant, ~relevant)):
                counts[row] += np.bincount(distances[mask], minlength=self.bits + 1)
        return counts[0], counts[1]

    def truncated(self, bits: int) -> float:
        """Tie-aware mAP@all of the first `bits` bits of each code."""
        shorter = [
            np.packbits(np.unpackbits(codes, axis=1, count=bits), axis=1)
            for codes in (self.query_codes, self.database_codes)
        ]
        return evaluate_retrieval(
            shorter[0],
            self.query_labels,
            shorter[1],
            self.database_labels,
            bits,
            cutoffs=(),
            radius=0,
            n_bootstrap=0,
        ).map_tie_aware
