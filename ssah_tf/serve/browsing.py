"""Photos of one state of an index by date and by folder."""

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal

import numpy as np

from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import Photo

#: What photos are ordered by, without a search.
Browse = Literal["random", "newest", "oldest"]
#: Letters of a date up to its seconds, and up to its month.
SECOND, MONTH = 19, 7


class Browsing:
    """Photos by date and by folder; worked out when it is first asked for, then kept.

    Args:
        index: All of it in memory.
        name: The path of a photo as it is shown.
    """

    def __init__(self, index: PhotoIndex, name: Callable[[Photo], str]):
        self.index, self.name = index, name

    @cached_property
    def newest(self) -> np.ndarray:
        """Rows of the table, the newest photo first, those without a date last; int64 `(n,)`."""
        import pyarrow
        import pyarrow.compute as compute

        table = self.index.photos.table
        clock = compute.utf8_slice_codeunits(table["taken"], 0, SECOND)
        keys = pyarrow.table({"clock": clock, "id": table["id"]})
        order = [("clock", "descending"), ("id", "descending")]
        found: np.ndarray = compute.sort_indices(keys, sort_keys=order).to_numpy()
        return found.astype(np.int64)

    @cached_property
    def oldest(self) -> np.ndarray:
        """Rows of the table, the oldest photo first, those without a date last; int64 `(n,)`."""
        import pyarrow.compute as compute

        taken = self.index.photos.table["taken"]
        dated = int(compute.sum(compute.not_equal(taken, "")).as_py() or 0)
        return np.concatenate([self.newest[:dated][::-1], self.newest[dated:]])

    @cached_property
    def ranks(self) -> dict[str, np.ndarray]:
        """Order -> the place of each row of the table in it; int64 `(n,)`."""
        orders = {"newest": self.newest, "oldest": self.oldest}
        return {name: np.argsort(order) for name, order in orders.items()}

    def page(self, order: Browse, where: Sequence[str], count: int, after: int | None) -> list[int]:
        """Ids of the next photos that meet all conditions.

        Args:
            order: What comes first; at random there is no next one.
            where: See `filters.matching`.
            count: How many at most.
            after: The photo that came last; `None` for the first ones.

        Raises:
            SsahError: A condition cannot be met.
        """
        ids = self.index.ids(where)
        if order == "random":
            chosen = np.random.default_rng().choice(len(ids), min(count, len(ids)), replace=False)
            return ids[chosen].tolist()
        table, ranks = self.index.photos, self.ranks[order]
        places = np.sort(ranks[np.searchsorted(table.ids, ids)])
        begin = 0
        if after is not None:
            last = ranks[np.searchsorted(table.ids, after)]
            begin = int(np.searchsorted(places, last, "right"))
        rows = (self.newest if order == "newest" else self.oldest)[places[begin : begin + count]]
        return table.ids[rows].tolist()

    def months(self, where: Sequence[str]) -> dict[str, int]:
        """Month, such as `2024-05`, or "" for no date -> number of photos; the newest first.

        Raises:
            SsahError: A condition cannot be met.
        """
        import pyarrow.compute as compute

        rows = np.searchsorted(self.index.photos.ids, self.index.ids(where))
        taken = self.index.photos.table["taken"].take(rows)
        counts = compute.value_counts(compute.utf8_slice_codeunits(taken, 0, MONTH))
        found = {one["values"]: one["counts"] for one in counts.to_pylist()}
        return dict(sorted(found.items(), reverse=True))

    def folders(self, where: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Folder that holds photos, as it is shown -> their number, and the id of the newest.

        Raises:
            SsahError: A condition cannot be met.
        """
        table, found = self.index.photos, dict[str, tuple[int, int]]()
        rows = np.searchsorted(table.ids, self.index.ids(where))
        places = np.sort(self.ranks["newest"][rows])
        paths = table.paths()
        for row in self.newest[places].tolist():
            folder = os.path.dirname(paths[row])
            count, cover = found.get(folder, (0, int(table.ids[row])))
            found[folder] = count + 1, cover
        shown = {
            os.path.dirname(self.name(table[cover])): (count, cover)
            for count, cover in found.values()
        }
        return dict(sorted(shown.items()))
