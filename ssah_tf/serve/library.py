"""The index that is served: one state of it at a time, exchanged when it was saved again."""

import os
import threading
from collections.abc import Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.search.backends.schemes import open_storage
from ssah_tf.search.backends.storage import Storage
from ssah_tf.search.filters import label_counts
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import Photo
from ssah_tf.serve.browsing import Browsing
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import as_unicode


class Library:
    """One state of an index, in memory, with its encoder; never changed, so threads can share it.

    Attributes:
        index: The `PhotoIndex`; its storage is closed.
        encoder: Its encoder.
        roots: Folders and files, links resolved, outside of which nothing is ever opened.
        base: Folder to which shown paths are relative.
        browsing: Its photos by date and by folder.
    """

    def __init__(self, index: PhotoIndex, encoder: Encoder):
        self.index = index
        self.encoder = encoder
        self.roots = [os.path.realpath(root) for root in index.roots]
        self.base = index.base
        self.browsing = Browsing(index, self.name)
        self._by_name: dict[str, int] | None = None

    @cached_property
    def labels(self) -> dict[str, int]:
        """Label -> number of photos, the most frequent first."""
        return label_counts(self.index.photos)

    @classmethod
    def open(
        cls,
        place: str | Path,
        encoder: Encoder | None = None,
        runtime: str | None = None,
        export: Path | None = None,
    ) -> Self:
        """Read an index.

        Args:
            place: A folder, or the address of a database.
            encoder: One that is loaded already; taken if it is that of the index.
            runtime: See `PhotoIndex.encoder`.
            export: Likewise.

        Raises:
            SsahError: Not an index, or a damaged one.
        """
        with PhotoIndex.open(place, whole=True) as index:
            if encoder is None or encoder.model_id != index.codes.model_id:
                # It is requests that run side by side.
                encoder = index.encoder(1, runtime, export)
        library = cls(index, encoder)
        library.warm_up()
        return library

    def warm_up(self) -> None:
        """Do what the first search would have to wait for."""
        size = self.encoder.image_size
        code = self.encoder.full_codes(np.zeros((1, size, size, 3), np.uint8))
        self.index.neighbours(code, 1)
        self.index.codes.whole().full_at(slice(1))

    def __len__(self) -> int:
        return len(self.index)

    def code(self, number: int) -> np.ndarray:
        """The full code of a photo of the index, uint8 `(1, bytes)`."""
        row = int(np.searchsorted(self.index.photos.ids, number))
        return self.index.codes.whole().full_at(slice(row, row + 1))

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

    def like(self, word: str, where: Sequence[str]) -> tuple[list[str], np.ndarray, list[str]]:
        """What a search by a word comes to.

        Returns:
            The labels that it matches, the best first; the full code to search with for that one,
            uint8 `(1, bytes)`; and the conditions, which leave photos without a label.

        Raises:
            SsahError: No label matches, or every photo has one.
        """
        labels = self.index.labels_like(word)
        return labels, self.index.label_codes(labels[:1]), self.index.unlabelled(where)


class LiveLibrary:
    """The newest saved state of an index, and the connection by which it is looked at.

    Args:
        place: A folder, or the address of a database.
        runtime: See `PhotoIndex.encoder`.
        export: Likewise.

    Attributes:
        current: The `Library` to search; a request takes it once and keeps it to its end.
        error: Why the saved state could not be looked at or taken, "" if it was.
        reloads: How often it was exchanged.
    """

    def __init__(self, place: str | Path, runtime: str | None = None, export: Path | None = None):
        self.place, self.runtime, self.export = place, runtime, export
        self.current = Library.open(place, None, runtime, export)
        self.error = ""
        self.reloads = 0
        self._storage: Storage | None = None
        self._refreshing = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection; the state that is held needs none."""
        with self._refreshing:
            if self._storage is not None:
                self._storage.close()
                self._storage = None

    def encoder_file(self) -> bytes:
        """The ONNX file of the encoder that is served.

        Raises:
            SsahError: The index has another one by now, or the place cannot be read.
        """
        model_id = self.current.encoder.model_id
        with closing(open_storage(self.place)) as storage, storage.encoder_file(model_id) as path:
            try:
                return path.read_bytes()
            except OSError:
                raise SsahError(f"the encoder {model_id} is not in the index any more") from None

    def refresh(self) -> bool:
        """Take the saved state if it is another one; the old one stays if that cannot be read.

        Returns:
            Whether it was taken.
        """
        with self._refreshing:
            try:
                if self.stamp() == self.current.index.stamp:
                    self.error = ""
                    return False
                self.current = Library.open(
                    self.place, self.current.encoder, self.runtime, self.export
                )
            except SsahError as error:  # damaged, or gone: looked at again
                self.error = str(error)
                return False
            self.error = ""
            self.reloads += 1
            return True

    def stamp(self) -> str:
        """A quick look at what is saved now; a connection that was lost is made anew next time.

        Raises:
            SsahError: See `Storage.stamp`.
        """
        if self._storage is None:
            self._storage = open_storage(self.place)
        try:
            return self._storage.stamp()
        except SsahError:
            self._storage.close()
            self._storage = None
            raise
