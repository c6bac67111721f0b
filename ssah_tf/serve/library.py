"""The index that is served: one state of it at a time, exchanged when it changes on disk."""

import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.search.code_index import CodeIndex
from ssah_tf.search.filters import matching
from ssah_tf.search.photo_index import MANIFEST, PhotoIndex
from ssah_tf.search.photo_table import Photo
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import as_unicode

#: Filters whose codes are kept.
FILTERS = 8


@dataclass(frozen=True)
class Found:
    """A photo of a result.

    Attributes:
        id: Its number in the index.
        photo: The file.
        distance: In bits.
    """

    id: int
    photo: Photo
    distance: int


class Library:
    """One state of an index, with its encoder; never changed, so that threads can share it.

    Attributes:
        index: The `PhotoIndex`.
        encoder: Its encoder.
        roots: Folders and files, links resolved, outside of which nothing is ever opened.
        base: Folder to which shown paths are relative.
        labels: Label -> number of photos, the most frequent first.
    """

    def __init__(self, index: PhotoIndex, encoder: Encoder):
        self.index = index
        self.encoder = encoder
        self.roots = [os.path.realpath(root) for root in index.roots]
        folders = [root if os.path.isdir(root) else os.path.dirname(root) for root in index.roots]
        self.base = os.path.commonpath(folders) if folders else os.sep
        counts = Counter(
            label for labels in index.photos.table["labels"].to_pylist() for label in labels
        )
        self.labels = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
        self._filtering = threading.Lock()
        self._filtered: OrderedDict[tuple[str, ...], CodeIndex] = OrderedDict()
        self._by_name: dict[str, int] | None = None

    @classmethod
    def open(cls, folder: Path, encoder: Encoder | None = None) -> "Library":
        """Read an index.

        Args:
            folder: What `ssah index` wrote.
            encoder: One that is loaded already; taken if it is that of the index.

        Raises:
            SsahError: Not an index, or a damaged one.
        """
        index = PhotoIndex.open(folder)
        if encoder is None or encoder.model_id != index.codes.model_id:
            encoder = index.encoder(threads=1)  # it is requests that run side by side
        library = cls(index, encoder)
        library.warm_up()
        return library

    def warm_up(self) -> None:
        """Do what the first search would have to wait for."""
        size = self.encoder.image_size
        code = self.encoder.encode(np.zeros((1, size, size, 3), np.uint8))
        self.neighbours(code, 1, None, ())

    def __len__(self) -> int:
        return len(self.index)

    def codes(self, filters: Sequence[str]) -> CodeIndex:
        """The codes of the photos that meet all filters; those of the last few are kept.

        Raises:
            SsahError: A filter cannot be met.
        """
        whole, key = self.index.codes, tuple(filters)
        if not key:
            return whole
        with self._filtering:
            if key not in self._filtered:
                keep = matching(self.index.photos, key)
                part = CodeIndex(whole.bits, whole.model_id, whole.engine_name)
                part.add(whole.ids[keep], whole.codes[keep])
                self._filtered[key] = part
                if len(self._filtered) > FILTERS:
                    self._filtered.popitem(last=False)
            self._filtered.move_to_end(key)
            return self._filtered[key]

    def neighbours(
        self, code: np.ndarray, k: int, radius: int | None, filters: Sequence[str]
    ) -> list[Found]:
        """The nearest photos, by (distance, id).

        Args:
            code: uint8 `(1, bytes)`.
            k: How many at most.
            radius: Largest distance, included; any by default.
            filters: See `photo_filter.matching`.

        Raises:
            SsahError: A filter cannot be met.
        """
        codes = self.codes(filters)
        limit = codes.bits if radius is None else radius
        ids, distances = codes.search(code, k)
        return [
            Found(number, self.index.photos[number], distance)
            for number, distance in zip(ids[0].tolist(), distances[0].tolist(), strict=True)
            if distance <= limit
        ]

    def code(self, number: int) -> np.ndarray:
        """The code of a photo of the index, `(1, bytes)`."""
        row = np.searchsorted(self.index.photos.ids, number)
        return np.array(self.index.codes.codes[row : row + 1])

    def photo(self, number: int) -> Photo | None:
        """A photo by its number."""
        return self.index.photos.get(number)

    def name(self, photo: Photo) -> str:
        """The path that is shown: relative, and text whatever the bytes of the file's name."""
        return as_unicode(photo.path.removeprefix(self.base.rstrip(os.sep) + os.sep))

    def find(self, name: str) -> int | None:
        """The number of the photo with a shown path."""
        if self._by_name is None:
            photos = self.index.photos.in_memory()
            self._by_name = {self.name(photo): number for number, photo in photos.items()}
        return self._by_name.get(name)

    def sample(self, count: int, filters: Sequence[str]) -> list[int]:
        """Numbers of some photos that meet all filters, at random.

        Raises:
            SsahError: A filter cannot be met.
        """
        ids = self.codes(filters).ids
        chosen = np.random.default_rng().choice(len(ids), min(count, len(ids)), replace=False)
        return ids[chosen].tolist()


class LiveLibrary:
    """The newest state of an index on disk.

    Attributes:
        folder: The index.
        current: The `Library` to search; a request takes it once and keeps it to its end.
        error: Why the state on disk could not be taken, "" if it was.
        reloads: How often it was exchanged.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.stamp = stamp_of(folder)
        self.current = Library.open(folder)
        self.error = ""
        self.reloads = 0
        self._refreshing = threading.Lock()

    def refresh(self) -> bool:
        """Take the state on disk if it is another one; the old one stays if that cannot be read.

        Returns:
            Whether it was taken.
        """
        with self._refreshing:
            stamp = stamp_of(self.folder)
            if stamp == self.stamp:
                return False
            try:
                fresh = Library.open(self.folder, self.current.encoder)
            except SsahError as error:  # damaged, or gone: looked at again
                self.error = str(error)
                return False
            self.current, self.stamp, self.error = fresh, stamp, ""
            self.reloads += 1
            return True


def stamp_of(folder: Path) -> tuple[int, ...]:
    """What differs once the index was saved again."""
    try:
        found = os.stat(folder / MANIFEST)
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
