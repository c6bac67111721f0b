"""Distinct codes and who has them: what an index in memory searches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ssah_tf.metrics.hamming import bit_words, hamming_distances
from ssah_tf.search.engines import make_engine
from ssah_tf.search.index import IdsDistances
from ssah_tf.search.scan import PositionsDistances

#: Multiplies a word so that its upper bits depend on all of it: 2^64 over the golden ratio.
MIX = np.uint64(0x9E3779B97F4A7C15)
#: Codes that are asked for beyond k, so that those of the k-th distance are mostly all there.
MORE = 64


@dataclass(frozen=True)
class Owners:
    """Who has each of the distinct codes.

    Attributes:
        starts: uint32 `(d + 1,)`, where each code's owners begin in `members`.
        members: uint32 `(n,)`, positions of the first code's owners, then the second's, ...
    """

    starts: np.ndarray
    members: np.ndarray

    @cached_property
    def rows(self) -> np.ndarray:
        """Where each position stands in `members`, uint32 `(n,)`."""
        rows = np.empty(len(self.members), np.uint32)
        rows[self.members] = np.arange(len(rows), dtype=np.uint32)
        return rows

    def sizes(self, numbers: np.ndarray) -> np.ndarray:
        """How many owners some of the codes have, int64."""
        found: np.ndarray = self.starts[numbers + 1].astype(np.int64) - self.starts[numbers]
        return found

    def ids(
        self,
        ids_at: Callable[[np.ndarray], np.ndarray],
        nearest: np.ndarray,
        distances: np.ndarray,
        k: int | None,
    ) -> IdsDistances:
        """Ids of codes and their distances in the order of (distance, id), the first k of them.

        Args:
            ids_at: The ids at positions.
            nearest: int64 `(m,)`, numbers of distinct codes, by distance.
            distances: Of these, int32 `(m,)`.
            k: How many; all if `None`.
        """
        starts = self.starts[nearest].astype(np.int64)
        sizes = self.starts[nearest + 1] - starts
        if k is not None:
            sizes = np.minimum(sizes, k)  # more of one code cannot be among the first k
            enough = int(np.searchsorted(np.cumsum(sizes), k)) + 1
            if enough < len(nearest):  # whole distances only: ids of equal distance mix
                enough = int(np.searchsorted(distances, distances[enough - 1], side="right"))
                starts, sizes, distances = starts[:enough], sizes[:enough], distances[:enough]
        ends = np.cumsum(sizes)
        within = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - sizes, sizes)
        found = ids_at(self.members[np.repeat(starts, sizes) + within])
        far = np.repeat(distances, sizes)
        order = np.lexsort((found, far))[:k]
        return found[order], far[order].astype(np.int32)


def group(codes: np.ndarray) -> tuple[np.ndarray, Owners] | None:
    """The distinct codes in the order of their first position, and who has them.

    Args:
        codes: uint8 `(n, bytes)`.

    Returns:
        The distinct codes and their owners; `None` if half of the codes or more are distinct: then
        groups save little time, and cost memory.
    """
    words = bit_words(codes)
    order, heads = by_hash(words)
    if 2 * len(heads) >= len(codes):  # nor are there fewer codes than hashes
        return None
    heads = separated(words, order, heads)
    if 2 * len(heads) >= len(codes):
        return None
    first = order[heads]
    by_first = np.argsort(first)
    sizes = np.diff(heads, append=len(codes))[by_first]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    at = np.repeat(heads[by_first] - starts[:-1], sizes)
    at += np.arange(len(at))
    return codes[first[by_first]], Owners(starts.astype(np.uint32), order[at])


def by_hash(words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of codes by (hash, position), from one sort of both in one word.

    Args:
        words: `(words, n)`, n below 2^32.

    Returns:
        Positions uint32 `(n,)`, and where another hash begins, int64 `(hashes,)`.
    """
    count = words.shape[1]
    keys = np.zeros(count, np.uint64)
    for word in words:
        keys ^= keys >> np.uint64(32)
        keys ^= word
        keys *= MIX
    low = np.uint64((1 << count.bit_length()) - 1)
    keys &= ~low
    keys |= np.arange(count, dtype=np.uint64)
    keys.sort()
    order = (keys & low).astype(np.uint32)
    keys &= ~low
    new = np.ones(count, bool)
    new[1:] = keys[1:] != keys[:-1]
    return order, np.flatnonzero(new)


def separated(words: np.ndarray, order: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """Where another code begins, int64 `(d,)`; positions of codes of one hash are put in order."""
    new = differ(words, order)
    new[heads] = False  # what is left are codes that have the hash of another one
    mixed = np.unique(np.searchsorted(heads, np.flatnonzero(new), side="right") - 1)
    for start, end in zip(heads[mixed], np.append(heads, len(order))[mixed + 1], strict=True):
        some = order[start:end]
        order[start:end] = some[np.lexsort((some, *words[:, some]))]
    return np.flatnonzero(differ(words, order)) if len(mixed) else heads


def differ(words: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Whether each code in an order is another one than that before it, bool `(n,)`."""
    new = np.ones(len(order), bool)
    new[1:] = False
    for word in words:
        ordered = word.take(order)
        new[1:] |= ordered[1:] != ordered[:-1]
    return new


class Groups:
    """What an index searches: its distinct codes with their owners, or, if few are equal, all.

    Attributes:
        codes: uint8 `(d, bytes)`.
        owners: Of each of them; `None` if all codes are searched: then a code's owner is its
            position.
        appearance: Appearance codes in the order of `owners.members`, so that those of one code lie
            together; uint8 `(n, bytes)`, of no bytes if there are none.
        engine: Searches `codes`.
    """

    def __init__(
        self, engine: str, codes: np.ndarray, owners: Owners | None, appearance: np.ndarray
    ):
        self.codes = codes
        self.owners = owners
        self.appearance = appearance
        self.engine = make_engine(engine, codes)

    def by_appearance(
        self, queries: np.ndarray, appearance: np.ndarray, k: int
    ) -> Iterator[PositionsDistances]:
        """The k nearest by (distance, appearance distance, position), for each query.

        All codes of the distance at which k owners are reached have to be looked at. Mostly the
        engine gives them with some codes more than k; else they are asked for by radius.

        Args:
            queries: Packed codes, uint8 `(q, bytes)`.
            appearance: Appearance codes, uint8 `(q, bytes)`.
            k: How many, at most the number of owners.
        """
        count = min(k + MORE, len(self.codes))
        nearest, distances = self.engine.nearest(queries, count)
        for row, look in enumerate(appearance):
            numbers, far = nearest[row], distances[row]
            sizes = np.ones(count, np.int64) if self.owners is None else self.owners.sizes(numbers)
            radius = far[np.searchsorted(np.cumsum(sizes), k)]
            if count == len(self.codes) or radius < far[-1]:
                some = slice(int(np.searchsorted(far, radius, side="right")))
                numbers, far = numbers[some], far[some]
            else:
                ((numbers, far),) = self.engine.within(queries[row : row + 1], int(radius))
            yield self.ordered(numbers, far, look, k)

    def ordered(
        self, numbers: np.ndarray, distances: np.ndarray, look: np.ndarray, k: int | None
    ) -> PositionsDistances:
        """Owners of codes by (distance, appearance distance, position), the first k of them.

        Args:
            numbers: Of the codes, int64 `(m,)`.
            distances: Of these, int32 `(m,)`.
            look: The query's appearance code, uint8 `(bytes,)`.
            k: How many; all if `None`.
        """
        if self.owners is None:
            positions, looks, far = numbers, self.appearance[numbers], distances
        else:
            starts, sizes = self.owners.starts[numbers], self.owners.sizes(numbers)
            spans = [slice(s, s + n) for s, n in zip(starts.tolist(), sizes.tolist(), strict=True)]
            none = slice(0)
            positions = np.concatenate([self.owners.members[span] for span in (none, *spans)])
            looks = np.concatenate([self.appearance[span] for span in (none, *spans)])
            far = np.repeat(distances, sizes)
        key = far.astype(np.int64) * (8 * len(look) + 1) + distances_to(look, looks)
        inside = np.arange(len(key))
        if k is not None and k < len(key):
            # The largest key among the first k, from a count of each key: no sorting of all.
            key -= key.min()
            inside = np.flatnonzero(key <= np.searchsorted(np.bincount(key).cumsum(), k))
        order = inside[np.lexsort((positions[inside], key[inside]))[:k]]
        return positions[order].astype(np.int64), far[order].astype(np.int32)


def distances_to(look: np.ndarray, looks: np.ndarray) -> np.ndarray:
    """Hamming distances of one packed code `(bytes,)` to many `(n, bytes)`, `(n,)`."""
    if len(look) % 8 or not len(looks):
        found: np.ndarray = hamming_distances(look[None], looks)[0]
        return found
    apart = np.bitwise_count(looks.view(np.uint64) ^ look.view(np.uint64))
    total: np.ndarray = apart[:, 0].astype(np.uint16)
    for part in apart.T[1:]:
        total += part
    return total
