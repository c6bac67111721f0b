"""Photos as bytes: what is moved is never decoded."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from ssah_tf.search.photo_table import Photo


class Tree:
    """A folder of files.

    Attributes:
        root: Holds photos and what is set aside.
        photos: The folder.
        aside: Where photos are set aside.
    """

    def __init__(self, root: Path):
        self.root = root
        self.photos, self.aside = root / "photos", root / "aside"

    def put(self, *names, content=None):
        """Write files, each of its name if no content is given; the first as a `Photo`."""
        for name in names:
            path = self.photos / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode() if content is None else content)
        return self.photo(names[0])

    def photo(self, name, labels=()):
        path = self.photos / name
        found = path.stat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Photo(str(path), digest, found.st_size, found.st_mtime_ns, labels)

    def files(self, folder=None):
        """Name -> content and time of each file; the journal and the lock left out."""
        folder = folder or self.photos
        return {
            str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "set_aside.jsonl"
        }

    def names(self, folder=None):
        return list(self.files(folder))


@pytest.fixture
def tree(tmp_path):
    """An empty tree."""
    return Tree(tmp_path)


@pytest.fixture
def two_file_systems(monkeypatch, tree):
    """No hard link leads from the photos to what is set aside, or back."""
    right = os.link

    def link(source, target, **more):
        inside = [Path(path).is_relative_to(tree.aside) for path in (source, target)]
        if inside[0] != inside[1]:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        right(source, target, **more)

    monkeypatch.setattr(os, "link", link)


@pytest.fixture
def no_links(monkeypatch):
    """A file system without hard links, as FAT."""

    def link(*_, **__):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)
