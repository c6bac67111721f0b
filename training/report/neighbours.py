"""What the report shows of the code space: neighbours, confusions, distances, shorter codes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ssah_tf.metrics import tie_aware_average_precision
from ssah_tf.metrics.hamming import hamming_distances
from ssah_tf.metrics.relevance import LabelLists, Members

#: Queries that are looked at for confusions and distances; a seeded draw of more.
SAMPLE = 2000
#: Queries whose distances are held at a time.
CHUNK = 64


@dataclass(frozen=True)
class Confusion:
    """Pairs of classes that come as neighbours; all others have the share 0.

    Attributes:
        query: Class of the query of each pair, int64 `(pairs,)`.
        neighbour: Class of the neighbour.
        share: Share of the neighbours of that class of queries, float64; they sum to 1 for each.
        classes: Number of classes.
    """

    query: np.ndarray
    neighbour: np.ndarray
    share: np.ndarray
    classes: int

    def matrix(self) -> np.ndarray:
        """As a square matrix, float64 `(classes, classes)`; a row sums to 1, or to 0."""
        whole = np.zeros((self.classes, self.classes))
        whole[self.query, self.neighbour] = self.share
        return whole


@dataclass(frozen=True)
class CodeSpace:
    """Codes of queries and database with their labels.

    Attributes:
        query_codes: Packed, uint8 `(q, bytes)`.
        query_labels: Their classes.
        database_codes: Packed, uint8 `(n, bytes)`.
        database_labels: Their classes.
        bits: Length of a code.
        query_appearance: Packed appearance codes, uint8 `(q, bytes)`; of no bytes if there are
            none.
        database_appearance: Likewise, `(n, bytes)`.
    """

    query_codes: np.ndarray
    query_labels: LabelLists
    database_codes: np.ndarray
    database_labels: LabelLists
    bits: int
    query_appearance: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    database_appearance: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.uint8))

    @cached_property
    def shuffled(self) -> np.ndarray:
        """Positions of the database in a random order, always the same; decides between ties.

        A database is often in the order of its classes, and thousands of its images may have one
        code: in that order a query would find the wrong ones of the first class before all others.
        """
        return np.random.default_rng(0).permutation(len(self.database_codes))

    @cached_property
    def members(self) -> Members:
        """The database images of each class."""
        return Members(self.database_labels)

    @cached_property
    def chosen(self) -> np.ndarray:
        """Positions of `SAMPLE` queries, of all if there are fewer; ascending."""
        order = np.random.default_rng(0).permutation(len(self.query_codes))
        return np.sort(order[:SAMPLE])

    def nearest(self, distances: np.ndarray, k: int) -> np.ndarray:
        """Positions of the k smallest of the distances `(n,)` to the database, `(k,)`."""
        return self.shuffled[np.argsort(distances[self.shuffled], kind="stable")[:k]]

    def ranked(self, query: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest of the database to a query, as a search has them.

        Those of one distance come by appearance; what that leaves open is in random order.

        Returns:
            Positions in the database and their distances, both `(k,)`.
        """
        one = slice(query, query + 1)
        distances = hamming_distances(self.query_codes[one], self.database_codes)[0]
        width = self.query_appearance.shape[1]
        key = distances.astype(np.int64) * (8 * width + 1)
        if width:
            key += hamming_distances(self.query_appearance[one], self.database_appearance)[0]
        order = self.nearest(key, k)
        return order, distances[order]

    def relevant(self, query: int, positions: np.ndarray) -> np.ndarray:
        """Whether database images share a label with a query, bool `(positions,)`."""
        return np.isin(positions, self.members.of(self.query_labels[query]))

    def sampled(self) -> Iterator[tuple[int, np.ndarray]]:
        """Some of the queries, all if there are few, with their distances to the database.

        Yields:
            The position of a query, and `(n,)`.
        """
        for part in np.array_split(self.chosen, -(-len(self.chosen) // CHUNK)):
            yield from zip(
                part.tolist(),
                hamming_distances(self.query_codes[part], self.database_codes),
                strict=True,
            )

    def confusion(
        self, k: int, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> Confusion:
        """How the k nearest neighbours of queries of a class divide over the classes.

        An image with several labels counts in parts.
        """
        classes = self.query_labels.classes
        keys, weights = [np.zeros(0, np.int64)], [np.zeros(0)]
        for done, (query, distances) in enumerate(self.sampled()):
            progress(done, len(self.chosen))
            labels = self.database_labels.take(self.nearest(distances, k))
            sizes = labels.sizes()
            weight = np.repeat(1 / (len(labels) * np.maximum(sizes, 1)), sizes)
            for c in self.query_labels[query].tolist():
                keys.append(c * classes + labels.columns)
                weights.append(weight)
        pairs, place = np.unique(np.concatenate(keys), return_inverse=True)
        total = np.bincount(place, weights=np.concatenate(weights), minlength=len(pairs))
        sums = np.bincount(pairs // classes, weights=total, minlength=classes)
        return Confusion(pairs // classes, pairs % classes, total / sums[pairs // classes], classes)

    def distance_counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of query and database image at each distance: similar and dissimilar.

        Returns:
            Two int64 `(bits + 1,)`.
        """
        counts = np.zeros((2, self.bits + 1), dtype=np.int64)
        for query, distances in self.sampled():
            near = self.members.of(self.query_labels[query])
            similar = np.bincount(distances[near], minlength=self.bits + 1)
            counts[0] += similar
            counts[1] += np.bincount(distances, minlength=self.bits + 1) - similar
        return counts[0], counts[1]

    def truncated(self, bits: int) -> float:
        """Tie-aware mAP@all of the first `bits` bits of each code, over the `chosen` queries."""
        query, database = (
            np.packbits(np.unpackbits(codes, axis=1, count=bits), axis=1)
            for codes in (self.query_codes[self.chosen], self.database_codes)
        )
        counts = np.zeros((2, len(query), bits + 1), np.int64)
        for start in range(0, len(query), CHUNK):
            distances = hamming_distances(query[start : start + CHUNK], database)
            for i, row in enumerate(distances, start):
                near = self.members.of(self.query_labels[int(self.chosen[i])])
                counts[:, i] = [np.bincount(part, minlength=bits + 1) for part in (row, row[near])]
        return float(tie_aware_average_precision(*counts).mean())
