"""Multi-index hashing: exact search that looks at a small part of many codes.

A code is cut into m substrings, and a table for each says which codes have a value there. If the
sum of t_i + 1 is above r, a code at most r bits from a query is at most t_i bits from it in some
substring i: otherwise t_i + 1 bits or more would differ in each, and r + 1 in all. So a search
looks up all values that are close enough, and compares only the codes that have one of them.
Norouzi, Punjani and Fleet, "Fast exact search in Hamming space with multi-index hashing", TPAMI
2014, arXiv 1307.2982. There all t_i are equal; here they grow in turn, one at a time.
"""

import itertools
import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from ssah_tf.search.scan import PositionsDistances

#: Values that are looked up without an answer between, or as many as before if that is more: that
#: takes as long as NumPy's calls take anyway.
TOGETHER = 256
#: A table is filled in parts: of values with the same upper bits, of which there are so many.
PARTS = 3
#: Codes that are looked through at a time.
BLOCK = 1 << 16


@dataclass(frozen=True)
class Substring:
    """Bits of a word.

    Attributes:
        first: The lowest of them.
        bits: How many they are.
    """

    first: int
    bits: int

    def of(self, words: np.ndarray) -> np.ndarray:
        """The substring of each word, uint64."""
        found: np.ndarray = words >> np.uint64(self.first) & np.uint64((1 << self.bits) - 1)
        return found


class MultiIndex:
    """Tables over codes of at most 64 bits; 4 bytes a code each, and at most as much again.

    Step u looks up, in table u mod m, the values that differ from a query's in u div m bits. After
    it every code at most u bits from the query is found.

    Args:
        words: Codes, uint64 `(n,)`; n is at least 2, and times the number of tables below 2^32.
        bits: How many bits of a word can be set, from the lowest.
        finer: A table has up to 2^finer times as many values as there are codes. With 0, tables
            are small, and few of their places empty; with more, a value has fewer codes.
    """

    def __init__(self, words: np.ndarray, bits: int, finer: int = 0):
        self.words, self.bits = words, bits
        count = -(-bits // (len(words).bit_length() - 1 + finer))
        ends = itertools.pairwise(bits * number // count for number in range(count + 1))
        self.substrings = [Substring(first, end - first) for first, end in ends]
        sizes = [0, *(1 << substring.bits for substring in self.substrings)]
        #: Where the values of each table begin in `starts`.
        self.bases = np.cumsum(sizes)
        #: Where the codes of each value begin in `positions`.
        self.starts = np.empty(self.bases[-1] + 1, np.uint32)
        self.starts[-1] = count * len(words)
        self.positions = np.empty(count * len(words), np.uint32)
        self._flips: dict[tuple[int, int], tuple[np.ndarray, ...]] = {}
        for number in range(count):
            self._fill(number)

    @property
    def nbytes(self) -> int:
        """Bytes of the tables."""
        return self.starts.nbytes + self.positions.nbytes

    def _fill(self, number: int) -> None:
        """Fill a table, a part of its values at a time: sorting all would take memory."""
        size, substring = len(self.words), self.substrings[number]
        top = min(PARTS, substring.bits)
        low = substring.bits - top
        upper = Substring(substring.first + low, top)
        begin, place = int(self.bases[number]), number * size
        for part in range(1 << top):
            inside = positions_of(part, upper, self.words)
            keys = self.words.take(inside)
            keys >>= np.uint64(substring.first)
            keys &= np.uint64((1 << low) - 1)
            counts = np.bincount(keys.view(np.int64), minlength=1 << low)
            self.starts[begin : begin + len(counts)] = place + np.cumsum(counts) - counts
            keys <<= np.uint64(32)
            keys |= inside
            keys.sort()
            self.positions[place : place + len(keys)] = keys.astype(np.uint32)
            begin, place = begin + len(counts), place + len(keys)

    def nearest(self, query: np.uint64, k: int, budget: int) -> PositionsDistances | None:
        """The k nearest codes, by (distance, position); k is at most the number of codes.

        Args:
            query: A word.
            k: How many.
            budget: Values and candidates that are looked at before it is given up.

        Returns:
            Positions int64 `(k,)` and distances int32 `(k,)`; `None` if it was given up.
        """
        keys, first, limit, spent = np.zeros(0, np.int64), 0, self.bits, 0
        while first <= limit:
            end = first + 1
            while end <= limit and self.values(first, end + 1) <= max(TOGETHER, spent):
                end += 1
            found, cost = self._look(query, first, end, limit, budget - spent)
            spent += cost
            if spent > budget:
                return None
            keys = distinct(np.concatenate([keys, found]))
            if len(keys) >= k:
                limit = int(keys[k - 1] >> 32)
                keys = keys[:k]
            first = end
        return apart(keys)

    def within(self, query: np.uint64, radius: int, budget: int) -> PositionsDistances | None:
        """All codes up to a distance, `radius` included; see `nearest`."""
        radius = min(radius, self.bits)
        keys, cost = self._look(query, 0, radius + 1, radius, budget)
        return apart(distinct(keys)) if cost <= budget else None

    def values(self, first: int, end: int) -> int:
        """Values that some steps look up for a query."""
        count = len(self.substrings)
        return sum(
            math.comb(self.substrings[step % count].bits, step // count)
            for step in range(first, end)
        )

    def flips(self, first: int, end: int) -> tuple[np.ndarray, ...]:
        """What some steps look up: shift, mask, bits to flip and base of each value, uint64."""
        if (first, end) not in self._flips:
            parts = []
            for step in range(first, end):
                shell, number = divmod(step, len(self.substrings))
                substring = self.substrings[number]
                ones = with_ones(substring.bits, shell).astype(np.uint64)
                about = substring.first, (1 << substring.bits) - 1, int(self.bases[number])
                shift, mask, base = (np.full(len(ones), value, np.uint64) for value in about)
                parts.append((shift, mask, ones, base))
            self._flips[first, end] = tuple(map(np.concatenate, zip(*parts, strict=True)))
        return self._flips[first, end]

    def _look(
        self, query: np.uint64, first: int, end: int, limit: int, budget: int
    ) -> tuple[np.ndarray, int]:
        """Do the steps from the first on.

        Args:
            query: A word.
            first: First step.
            end: The step behind the last.
            limit: Distance up to which codes are of use.
            budget: See `nearest`.

        Returns:
            distance << 32 | position of what is found, int64 `(m,)`, some of them twice; and what
            it cost. Where that is above the budget nothing is looked for.
        """
        nothing, cost = np.zeros(0, np.int64), self.values(first, end)
        if cost > budget:
            return nothing, cost
        shift, mask, ones, base = self.flips(first, end)
        at = ((query >> shift & mask ^ ones) + base).view(np.int64)
        places = self.starts[at].astype(np.int64)
        sizes = self.starts[at + 1] - places
        ends = np.cumsum(sizes)
        cost += int(ends[-1])
        if cost > budget:
            return nothing, cost
        at = np.repeat(places - (ends - sizes), sizes)
        at += np.arange(len(at))
        positions = self.positions.take(at)
        far = np.bitwise_count(self.words.take(positions) ^ query)
        near = np.flatnonzero(far <= limit)
        return far[near].astype(np.int64) << 32 | positions[near], cost


def positions_of(value: int, substring: Substring, words: np.ndarray) -> np.ndarray:
    """Positions of the words that have a value in some bits, ascending, uint32."""
    found = []
    for start in range(0, len(words), BLOCK):
        inside = np.flatnonzero(substring.of(words[start : start + BLOCK]) == value)
        found.append((start + inside).astype(np.uint32))
    return np.concatenate(found)


def distinct(keys: np.ndarray) -> np.ndarray:
    """The keys in order, each once."""
    keys = np.sort(keys)
    new = np.ones(len(keys), bool)
    new[1:] = keys[1:] != keys[:-1]
    return keys[new]


def apart(keys: np.ndarray) -> PositionsDistances:
    """Positions and distances of keys."""
    return keys & 0xFFFFFFFF, (keys >> 32).astype(np.int32)


@cache
def with_ones(bits: int, ones: int) -> np.ndarray:
    """All values of so many bits of which so many are 1, ascending, uint32."""
    if ones == 0:
        return np.zeros(1, np.uint32)
    if ones > bits:
        return np.zeros(0, np.uint32)
    top = np.uint32(1 << bits - 1)
    return np.concatenate([with_ones(bits - 1, ones), with_ones(bits - 1, ones - 1) | top])
