"""The photos of a folder, by number, for a page of labelling."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ssah_tf.data.labels import normalise
from ssah_tf.system.errors import DataError


class FolderPhotos:
    """Photos below a folder. A photo keeps its number; others may be added at the end.

    Args:
        root: The folder.
        paths: Of the photos, relative to it.
        digests: Of their contents.

    Attributes:
        roots: Folders without links in their paths in which pictures may lie.
        paths, digests: Of each photo.
        keys: Paths as label files are read.
        at: Key -> number.
        copies: Digest -> numbers.
        aside: Number -> where the file lies, of photos that are set aside.
    """

    def __init__(self, root: Path, paths: Sequence[str], digests: Sequence[str]):
        self.root = root
        self.roots = [os.path.realpath(root)]
        self.paths: list[str] = []
        self.digests: list[str] = []
        self.keys: list[str] = []
        self.at: dict[str, int] = {}
        self.copies: dict[str, list[int]] = {}
        self.aside: dict[int, str] = {}
        self.add(zip(paths, digests, strict=True))

    def __len__(self) -> int:
        return len(self.paths)

    def add(self, photos: Iterable[tuple[str, str]]) -> None:
        """Add photos.

        Args:
            photos: (path, digest) of each.
        """
        for path, digest in photos:
            number, key = len(self.paths), normalise(path)
            self.paths.append(path)
            self.digests.append(digest)
            self.keys.append(key)
            self.at[key] = number
            self.copies.setdefault(digest, []).append(number)

    def take_aside(self, places: Mapping[str, str]) -> None:
        """Take up which photos are set aside.

        Args:
            places: Where each was, absolute -> where it is; also of photos elsewhere.
        """
        homes = [os.path.join(home, "") for home in (os.path.abspath(self.root), self.roots[0])]
        self.aside = {
            self.at[key]: now
            for before, now in places.items()
            for home in homes
            if before.startswith(home) and (key := normalise(before[len(home) :])) in self.at
        }

    def path_of(self, number: int) -> str:
        """Where a photo lies.

        Raises:
            DataError: There is none of that number.
        """
        if not 0 <= number < len(self):
            raise DataError("no such photo in this folder")
        return self.aside.get(number) or os.path.join(self.root, self.paths[number])
