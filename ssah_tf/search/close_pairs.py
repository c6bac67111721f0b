"""Pairs of photos with close codes and close perceptual hashes: none is missed.

The codes are joined with themselves by the tables of `multi_index`, block after block; a hash is
looked at where codes are close. Where so many codes are close that this would take longer, as where
all photos share ten codes, the hashes are searched instead. Both find the same pairs.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from ssah_tf.metrics.hamming import hamming_distances
from ssah_tf.search.engines import make_engine
from ssah_tf.search.multi_index import MultiIndex, Substring, with_ones
from ssah_tf.search.scan import widened
from ssah_tf.system.parallel import cores, parallel

#: Answers of a search of hashes that are held at once, at most.
BLOCK = 1 << 22
#: Values that are looked up at once, and codes that are compared: they stay in the caches.
PART = 1 << 19
#: Codes from which the tables are worth making, and at most so many queries of a block.
FROM, QUERIES = 1 << 12, 1 << 11
#: Tables have up to 2^FINER times as many values as codes: fewer codes share a value.
FINER = 4
#: What looking up a value and what a code that it gives cost, in pairs of hashes that are searched.
VALUE, ANSWER = 5, 12
#: Photos that tell which way is the shorter one.
SAMPLE = 512

#: A photo, later ones that are close to it, and the distances of their codes.
Close = tuple[int, np.ndarray, np.ndarray]


def close_pairs(
    hashes: np.ndarray,
    codes: np.ndarray,
    radius: int,
    hash_radius: int,
    engine: str,
    free: np.ndarray,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Close]:
    """Photos with the later ones whose code and perceptual hash are close.

    Args:
        hashes: Perceptual hashes, uint8 `(n, bytes)`.
        codes: Packed codes, uint8 `(n, bytes)`.
        radius: Largest distance of codes, included.
        hash_radius: Largest distance of hashes, included.
        engine: Searches hashes; see `make_engine`.
        free: bool `(n,)`. What is not free is left out; the caller may change it meanwhile.
        progress: Called with how many photos are done, and how many there are.

    Yields:
        Position, later positions int64 `(m,)` by (distance of hashes, position), and the distances
        of their codes `(m,)`; in the order of positions, those alone that have some.
    """
    join = CodeJoin(codes, radius) if len(codes) >= FROM else None
    if join is not None and join.cost(free) < len(codes) / 2:
        blocks = by_codes(join, hashes, hash_radius, free, progress)
    else:
        blocks = by_hashes(hashes, codes, radius, hash_radius, engine, free, progress)
    for one, others, far in blocks:
        if free[one]:
            still = free[others]
            if still.any():
                yield one, others[still], far[still]
    progress(len(hashes), len(hashes))


def by_hashes(
    hashes: np.ndarray,
    codes: np.ndarray,
    radius: int,
    hash_radius: int,
    engine: str,
    free: np.ndarray,
    progress: Callable[[int, int], None],
) -> Iterator[Close]:
    """See `close_pairs`: hashes are searched, and codes compared where they are close."""
    step = int(np.clip(BLOCK // max(1, len(hashes)), 1, 256))
    for start in range(0, len(hashes), step):
        progress(start, len(hashes))
        queries = start + np.flatnonzero(free[start : start + step])
        found = make_engine(engine, hashes[start:]).within(hashes[queries], hash_radius)
        for one, (others, _) in zip(queries.tolist(), found, strict=True):
            others = start + others
            others = others[(others > one) & free[others]]
            far = hamming_distances(codes[one : one + 1], codes[others])[0]
            yield one, others[far <= radius], far[far <= radius]


def by_codes(
    join: "CodeJoin",
    hashes: np.ndarray,
    hash_radius: int,
    free: np.ndarray,
    progress: Callable[[int, int], None],
) -> Iterator[Close]:
    """See `close_pairs`: codes are joined, and hashes compared where they are close."""
    looks = np.ascontiguousarray(widened(hashes).view("<u8").T)
    find = partial(close_of_block, join, looks, hash_radius, free)
    blocks, together = join.blocks(), 4 * cores()
    for start in range(0, len(blocks), together):
        progress(blocks[start].start, len(hashes))
        for ones, others, far in parallel(find, blocks[start : start + together]):
            starts = np.flatnonzero(np.diff(ones, prepend=-1))
            for first, end in itertools.pairwise([*starts.tolist(), len(ones)]):
                yield int(ones[first]), others[first:end], far[first:end]


def close_of_block(
    join: "CodeJoin", looks: np.ndarray, hash_radius: int, free: np.ndarray, block: range
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of a block, by (position, distance of hashes, later position).

    Args:
        join: The codes.
        looks: The hashes as words, uint64 `(words, n)`.
        hash_radius: See `close_pairs`.
        free: See `close_pairs`.
        block: Positions.

    Returns:
        Positions, later positions, both int64 `(m,)`, and distances of codes, uint8 `(m,)`.
    """
    found = []
    for ones, others, far in join.pairs(block, free):
        kind = np.uint8 if 64 * len(looks) < 256 else np.uint16
        apart: np.ndarray = np.zeros(len(ones), kind)
        for column in looks:
            apart += np.bitwise_count(column[ones] ^ column[others])
        near = np.flatnonzero((apart <= hash_radius) & free[others])
        found.append((ones[near], others[near], far[near], apart[near]))
    ones, others, far, apart = map(np.concatenate, zip(*found, strict=True))
    order = np.lexsort((others, apart, ones))
    return ones[order], others[order], far[order]


@dataclass(frozen=True)
class Lookups:
    """What is looked up in a table.

    Attributes:
        substring: The bits that it is of.
        base: Where its values begin.
        flips: Bits to flip, uint64 `(values,)`.
        shell: So many bits are flipped, at most.
    """

    substring: Substring
    base: int
    flips: np.ndarray
    shell: int


class CodeJoin:
    """Joins codes with themselves: pairs of at most a distance.

    Tables are over the first 64 bits of a code. The rest is looked at where these are close.

    Args:
        codes: Packed codes, uint8 `(n, bytes)`; n is at least 2.
        radius: Largest distance, included.
    """

    def __init__(self, codes: np.ndarray, radius: int):
        words = widened(codes[:, :8])
        words = np.pad(words, ((0, 0), (0, 8 - words.shape[1]))).view("<u8")[:, 0]
        self.words = np.ascontiguousarray(words)
        self.rest, self.radius = codes[:, 8:], radius
        self.tables = MultiIndex(self.words, 8 * min(8, codes.shape[1]), FINER)

    @cached_property
    def lookups(self) -> list[Lookups]:
        """What is looked up in each table for a query."""
        count = len(self.tables.substrings)
        found = []
        for number, substring in enumerate(self.tables.substrings[: self.radius + 1]):
            shell = (self.radius - number) // count
            ones = [with_ones(substring.bits, n) for n in range(shell + 1)]
            flips = np.concatenate(ones).astype(np.uint64)
            found.append(Lookups(substring, int(self.tables.bases[number]), flips, shell))
        return found

    def cost(self, free: np.ndarray) -> float:
        """What a query costs, on average of some, in pairs of hashes; see `ANSWER`."""
        values = self.tables.values(0, self.radius + 1)
        if values * VALUE > len(self.words):
            return math.inf
        rows = np.flatnonzero(free)
        some = rows[:: max(1, len(rows) // SAMPLE)]
        answers = sum(int(self.sizes(some, one)[1].sum()) for one in self.lookups)
        return values * VALUE + ANSWER * answers / max(1, len(some))

    def blocks(self) -> list[range]:
        """Blocks of positions."""
        count = len(self.words)
        return [range(i, min(i + QUERIES, count)) for i in range(0, count, QUERIES)]

    def sizes(self, rows: np.ndarray, one: Lookups) -> tuple[np.ndarray, np.ndarray]:
        """Where what a table says of each value begins, and how much it is, `(rows, values)`."""
        at = (one.substring.of(self.words[rows])[:, None] ^ one.flips).view(np.int64)
        at += one.base
        places = self.tables.starts[at]
        return places, self.tables.starts[at + 1] - places

    def pairs(
        self, block: range, free: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Pairs whose first is in a block, in parts.

        Yields:
            Positions, later positions, both int64 `(m,)`, and distances `(m,)`.
        """
        rows = block.start + np.flatnonzero(free[block.start : block.stop])
        yield rows[:0], rows[:0], np.zeros(0, np.uint16)
        for number, one in enumerate(self.lookups):
            step = max(1, PART // len(one.flips))
            for first in range(0, len(rows), step):
                yield from self.pairs_of(rows[first : first + step].astype(np.uint32), number, one)

    def pairs_of(
        self, rows: np.ndarray, number: int, one: Lookups
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """The pairs of some rows that a table gives, but for those that one before it gives."""
        places, sizes = self.sizes(rows, one)
        counts = sizes.sum(axis=1, dtype=np.int64)
        totals = np.cumsum(counts)
        # As many rows together as make a part of answers.
        cuts = np.searchsorted(totals, np.arange(PART, int(totals[-1]) + PART, PART))
        for first, end in itertools.pairwise([0, *np.unique(cuts + 1).tolist()]):
            some = slice(first, min(end, len(rows)))
            size = sizes[some].ravel().astype(np.int64)
            ends = np.cumsum(size)
            at = np.repeat(places[some].ravel() - (ends - size), size)
            at += np.arange(len(at))
            others = self.tables.positions[at]
            ones = np.repeat(rows[some], counts[some])
            later = others > ones
            # NumPy is quickest at places that are intp.
            ones, others = ones[later].astype(np.intp), others[later].astype(np.intp)
            differ = self.words[ones] ^ self.words[others]
            far = np.bitwise_count(differ)
            near = far <= self.radius
            for before in self.lookups[:number]:
                near &= np.bitwise_count(before.substring.of(differ)) > before.shell
            kept = np.flatnonzero(near)
            ones, others, far = ones[kept], others[kept], far[kept]
            if self.rest.shape[1]:
                more = np.bitwise_count(self.rest[ones] ^ self.rest[others])
                far = far + more.sum(axis=1, dtype=np.uint16)
                kept = np.flatnonzero(far <= self.radius)
                ones, others, far = ones[kept], others[kept], far[kept]
            yield ones, others, far
