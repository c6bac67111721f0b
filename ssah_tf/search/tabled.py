"""A scan, and tables beside it once they pay."""

import threading
from collections.abc import Callable

import numpy as np

from ssah_tf.search.multi_index import MultiIndex
from ssah_tf.search.scan import PositionsDistances, Scan, words_of
from ssah_tf.system.parallel import parallel

#: Codes from which tables can be quicker than a scan.
FROM = 1 << 19
#: Queries after which the tables are made: that takes as long as so many scans.
QUERIES = 256
#: A candidate of the tables costs as much as so many codes of a scan.
CANDIDATE = 60
#: Queries without success, beyond those with it, after which the tables are dropped.
PATIENCE = 64


class TabledEngine:
    """Scans; once many queries have come, it makes tables, and scans only where they do not help.

    Tables take at most 20 bytes a code. Where most queries are answered sooner by a scan, as among
    a million random codes, they are dropped again.

    Args:
        scan: Over codes of 5 to 8 bytes.
        bits: Of these bytes.
    """

    def __init__(self, scan: Scan, bits: int):
        self.scan, self.bits = scan, bits
        self.tables: MultiIndex | None = None
        self.asked, self.patience = 0, PATIENCE
        self.making = threading.Lock()

    def nearest(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """See `Engine.nearest`."""
        budget = self.scan.count // CANDIDATE
        if k > budget:
            return self.scan.nearest(queries, k)
        found = self.look_up(queries, lambda tables, word: tables.nearest(word, k, budget))
        rows = [row for row in range(len(queries)) if row not in found]
        positions = np.empty((len(queries), k), np.int64)
        distances = np.empty((len(queries), k), np.int32)
        positions[rows], distances[rows] = self.scan.nearest(queries[rows], k)
        for row, one in found.items():
            positions[row], distances[row] = one
        return positions, distances

    def within(self, queries: np.ndarray, radius: int) -> list[PositionsDistances]:
        """See `Engine.within`."""
        budget = self.scan.count // CANDIDATE
        found = self.look_up(queries, lambda tables, word: tables.within(word, radius, budget))
        rows = [row for row in range(len(queries)) if row not in found]
        found |= zip(rows, self.scan.within(queries[rows], radius), strict=True)
        return [found[row] for row in range(len(queries))]

    def look_up(
        self,
        queries: np.ndarray,
        ask: Callable[[MultiIndex, np.uint64], PositionsDistances | None],
    ) -> dict[int, PositionsDistances]:
        """Row of a query -> what the tables say, where they are there and do not give up."""
        tables = self.ready(len(queries))
        if tables is None:
            return {}
        answers = parallel(lambda word: ask(tables, word), list(words_of(queries)))
        found = {row: one for row, one in enumerate(answers) if one is not None}
        self.patience = min(self.patience + 2 * len(found) - len(answers), PATIENCE)
        if self.patience <= 0:
            self.tables = None
        return found

    def ready(self, queries: int) -> MultiIndex | None:
        """The tables, made now if it is time; one caller makes them, and others scan meanwhile."""
        if self.tables is None and self.patience > 0 and self.making.acquire(blocking=False):
            try:
                self.asked += queries
                if self.tables is None and self.asked >= QUERIES:
                    self.tables = MultiIndex(self.scan.words, self.bits)
            finally:
                self.making.release()
        return self.tables
