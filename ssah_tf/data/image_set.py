"""A set of images with ids, labels and content hashes, wherever its pixels lie."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from ssah_tf.data.decode import decode, refuse
from ssah_tf.data.threads import decoder_pool
from ssah_tf.data.upright import Upright
from ssah_tf.system.errors import DataError
from ssah_tf.system.signals import raise_if_ending


@dataclass(frozen=True)
class ImageSet:
    """Images as values: what they are called, what they show, what they contain.

    Attributes:
        name: What the set is called in reports.
        ids: One unique name an image: the path below `root`, or a name such as `train/00042`.
        labels: uint8 `(n, classes)`, multi-hot. A row of zeros is an image without a label.
        classes: Class names, in the order of the columns of `labels`.
        digests: SHA-256 (hex) of each image's content; equal for exact duplicates.
        pixels: uint8 `(n, side, side, 3)` if the set is held in memory, else `None`.
        root: Folder of the files if the set is read from disk, else `None`.
        official_queries: Ids of the queries, if the set comes with its own test part.
        files: Paths below `root` if they are not the ids: of files that were renamed.
    """

    name: str
    ids: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    digests: tuple[str, ...]
    pixels: np.ndarray | None = None
    root: Path | None = None
    official_queries: tuple[str, ...] = ()
    files: tuple[str, ...] | None = None

    def __post_init__(self):
        if not self.ids:
            raise DataError(f"{self.name}: no images found")
        if self.labels.shape != (len(self.ids), len(self.classes)):
            raise DataError(
                f"{self.name}: labels of shape {self.labels.shape}, "
                f"expected {(len(self.ids), len(self.classes))}"
            )
        if len(set(self.ids)) != len(self.ids):
            raise DataError(f"{self.name}: two images have the same id")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def multi_label(self) -> bool:
        """Whether any image has more than one label."""
        return bool((self.labels.sum(axis=1) > 1).any())

    def positions(self, ids: tuple[str, ...]) -> np.ndarray:
        """Positions of `ids` in this set, int64 `(len(ids),)`.

        Raises:
            DataError: An id is not in the set.
        """
        where = {name: position for position, name in enumerate(self.ids)}
        missing = [name for name in ids if name not in where]
        if missing:
            raise DataError(
                f"{self.name}: {len(missing)} images of the split are not there any more, "
                f"for example {missing[0]!r}"
            )
        return np.array([where[name] for name in ids], dtype=np.int64)

    def hold(self, size: int, budget_mb: int) -> "ImageSet":
        """The same set with all pixels in memory at `size`, if they fit a budget.

        Args:
            size: Side of the images in pixels.
            budget_mb: Memory in MiB that they may take; beyond it the set stays as it is, and
                files are decoded whenever they are read.

        Raises:
            ImageError: A file cannot be read any more.
        """
        held = self.pixels is not None and self.pixels.shape[1] == size
        if held or not fits(len(self), size, budget_mb):
            return self
        return replace(self, pixels=self.read(np.arange(len(self)), size))

    def unheld(self) -> "ImageSet | None":
        """The same set read from its files whenever it is read; `None` if it has none."""
        return None if self.root is None else replace(self, pixels=None)

    def read(
        self,
        positions: np.ndarray,
        size: int,
        change: Callable[[int, np.ndarray], np.ndarray] | None = None,
    ) -> np.ndarray:
        """Pixels of the images at `positions`, decoded and resized in parallel.

        Args:
            positions: int `(n,)`.
            size: Side in pixels.
            change: What to do to each image in the thread that reads it: called with its row and
                its pixels `(size, size, 3)`, gives the pixels to take instead.

        Returns:
            uint8 `(n, size, size, 3)`.

        Raises:
            ImageError: A file cannot be read.
        """
        positions = np.asarray(positions, dtype=np.int64)
        held = self.pixels if self.pixels is not None and self.pixels.shape[1] == size else None
        if held is not None and change is None:
            return held[positions]
        out = np.empty((len(positions), size, size, 3), dtype=np.uint8)

        def one(row: int) -> None:
            raise_if_ending()
            position = positions[row]
            pixels = self.read_one(position, size) if held is None else held[position]
            out[row] = pixels if change is None else change(row, pixels)

        # Pillow releases the interpreter lock while it decodes and resizes: threads are enough,
        # and in memory there is too little to do for more than one.
        list((decoder_pool().map if held is None else map)(one, range(len(positions))))
        return out

    def read_one(self, position: int, size: int) -> np.ndarray:
        """Pixels of one image, in the calling thread. See `read`.

        Returns:
            uint8 `(size, size, 3)`.
        """
        if self.pixels is not None:
            return Upright(Image.fromarray(self.pixels[position])).square(size)
        file = os.path.join(self.root or "", (self.files or self.ids)[position])
        return decode(file, size, damaged=refuse)


def fits(count: int, size: int, budget_mb: int) -> bool:
    """Whether the pixels of so many images of a side of `size` px take at most some MiB."""
    return count * size * size * 3 <= budget_mb * 2**20


def content_digest(content: bytes) -> str:
    """SHA-256 of an image's content, as hexadecimal text."""
    return hashlib.sha256(content).hexdigest()
