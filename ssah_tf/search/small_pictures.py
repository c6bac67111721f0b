"""Small pictures of the photos of an index, and how alike two photos are."""

import numpy as np

from ssah_tf.data.orientation import UPRIGHT, Orientation
from ssah_tf.data.threads import decoder_pool
from ssah_tf.search.likeness import FINE, SMALL, WORTH, likeness, same_shape, ssim, whole_frame
from ssah_tf.search.on_disk import Disk
from ssah_tf.system.errors import ImageError

#: SSIM of the small pictures from which a second look at turned ones is worth it, and the share of
#: what is between them the other way up that may be left: things that look alike from all sides,
#: as a sky does, are alike without being turned.
TURNED_WORTH, CLEARER = 0.65, 0.6


class SmallPictures:
    """Small pictures of photos, each decoded once, when it is needed.

    Args:
        disk: What there is of the photos; it takes note of those that cannot be read.
        rows: Rows of them; the methods speak of positions in this array.
    """

    def __init__(self, disk: Disk, rows: np.ndarray):
        self.disk = disk
        self.rows = rows
        self.seen = np.zeros(len(rows), bool)
        self.there = np.zeros(len(rows), bool)
        self.wide = np.ones(len(rows))
        # Pages of memory that nobody writes to are not taken.
        self.pixels = np.zeros((len(rows), SMALL, SMALL, 3), np.uint8)

    def alike(self, one: int, others: np.ndarray, orientation: Orientation = UPRIGHT) -> np.ndarray:
        """How alike a photo is to others, float32 `(n,)`; -1 where a file cannot be read now.

        Those that are somewhat alike when they are small are looked at again, finely.

        Args:
            one: Its position.
            others: Theirs, int64 `(n,)`.
            orientation: How the one is turned before it is laid over the others.
        """
        like = np.full(len(others), -1, np.float32)
        self.read(np.array([one]))
        if not self.there[one]:
            return like
        self.read(others)
        known = np.flatnonzero(self.there[others])
        wide = 1 / self.wide[one] if orientation.transposed else self.wide[one]
        like[known] = self.small(one, others[known], orientation)
        like[known[~same_shape(wide, self.wide[others[known]])]] = 0
        again = np.flatnonzero(like >= (WORTH if orientation == UPRIGHT else TURNED_WORTH))
        if orientation != UPRIGHT and len(again):
            apart = 1 - self.small(one, others[again], UPRIGHT)
            again = again[1 - like[again] <= CLEARER * apart]
        like[known] = np.minimum(like[known], 0)
        mine = self.picture(one, FINE) if len(again) else None
        if mine is None:
            return like
        turned = orientation.pixels(mine[0])

        def compared(place: int) -> float:
            other = self.picture(others[place], FINE)
            return -1 if other is None else likeness(turned, other[0], wide, other[1])

        like[again] = list(decoder_pool().map(compared, again.tolist()))
        return like

    def small(self, one: int, others: np.ndarray, orientation: Orientation) -> np.ndarray:
        """SSIM of small pictures that are read, the one of them turned before; float32 `(n,)`."""
        return ssim(orientation.pixels(self.pixels[one]), self.pixels[others])

    def read(self, positions: np.ndarray) -> None:
        """Read the small pictures that are still unknown."""
        new = positions[~self.seen[positions]]
        self.seen[new] = True
        found = decoder_pool().map(lambda position: self.picture(position, SMALL), new)
        for position, picture in zip(new, found, strict=True):
            if picture is not None:
                self.pixels[position], self.wide[position] = picture
                self.there[position] = True

    def picture(self, position: int, side: int) -> tuple[np.ndarray, float] | None:
        """A picture and its width for its height, `None` if it cannot be read."""
        row = int(self.rows[position])
        try:
            return whole_frame(self.disk.paths[row], side)
        except ImageError:
            self.disk.lose(row, "unreadable")
            return None
