"""Where the labels of reviewed photos are: in a label file if there is one, else in the index."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from ssah_tf.data.label_table import LabelTable, can_be_named
from ssah_tf.data.labels import normalise
from ssah_tf.search.backends.schemes import locked
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import Photo, PhotoTable

Names = tuple[str, ...]


@dataclass(frozen=True)
class LabelChange:
    """Other labels of a photo.

    Attributes:
        path: The photo, absolute.
        before: Its labels until then.
        after: Its labels from then on.
    """

    path: str
    before: Names
    after: Names

    def back(self) -> "LabelChange":
        """The change that undoes this one."""
        return LabelChange(self.path, self.after, self.before)


class LabelPlace(Protocol):
    """Where labels are kept."""

    def of(self, photo: Photo) -> Names:
        """The labels of a photo."""

    def held(self) -> AbstractContextManager[None]:
        """A block that begins with what others have changed until then; see `LabelTable.held`.

        Raises:
            SsahError: They cannot be read.
        """

    def change(self, changes: Sequence[LabelChange]) -> None:
        """Make changes, on disk when it returns; a photo that has other labels meanwhile keeps
        them.

        Raises:
            SsahError: They cannot be written.
        """


class IndexLabels:
    """The labels of an index, as `ssah index` keeps them.

    Args:
        place: A folder, or the address of a database.
    """

    def __init__(self, place: str):
        self.place = place
        self.known: dict[str, Names] = {}
        self.stamp = ""

    def of(self, photo: Photo) -> Names:
        """See `LabelPlace.of`."""
        return self.known.get(photo.path, photo.labels)

    @contextmanager
    def held(self) -> Iterator[None]:
        """See `LabelPlace.held`; the index is locked only while it is written."""
        with PhotoIndex.open(self.place) as index:
            if index.stamp != self.stamp:
                self.known = {photo.path: photo.labels for photo in index.photos.values()}
                self.stamp = index.stamp
        yield

    def change(self, changes: Sequence[LabelChange]) -> None:
        """See `LabelPlace.change`; the index is locked meanwhile, and written once."""
        if not changes:
            return
        wanted = {change.path: change for change in changes}
        with locked(self.place), PhotoIndex.open(self.place) as index:
            photos = index.photos.in_memory()
            made = {}
            for number, photo in photos.items():
                change = wanted.get(photo.path)
                if change is not None and photo.labels == change.before:
                    made[number] = replace(photo, labels=change.after)
            if made:
                index.table = PhotoTable.of({**photos, **made})
                index.save()
        self.known |= {photo.path: photo.labels for photo in made.values()}


class TableLabels:
    """The labels of a label file in CSV, which others may use meanwhile.

    Args:
        table: The file.
        roots: Files and folders of photos; paths in the file are relative to one of the folders, or
            absolute.
    """

    def __init__(self, table: LabelTable, roots: Sequence[str]):
        self.table = table
        self.roots = [root.rstrip(os.sep) + os.sep for root in roots]

    def of(self, photo: Photo) -> Names:
        """See `LabelPlace.of`."""
        return self.table.labels.get(normalise(self.name(photo.path)), ())

    def held(self) -> AbstractContextManager[None]:
        """See `LabelPlace.held`."""
        return self.table.held()

    def name(self, path: str) -> str:
        """How the file calls a photo, or would call it."""
        names = [path.removeprefix(root) for root in self.roots if path.startswith(root)]
        known = (name for name in (*names, path) if normalise(name) in self.table.labels)
        return next(known, (*names, path)[0])

    def change(self, changes: Sequence[LabelChange]) -> None:
        """See `LabelPlace.change`. A photo that no label file can name is left out."""
        with self.held():
            labels = {}
            for change in changes:
                name = self.name(change.path)
                now = self.table.labels.get(normalise(name), ())
                if now == change.before and can_be_named(name):
                    labels[name] = change.after
            if labels:
                self.table.set(labels)


def handed_on(
    kept: Iterable[Photo], moved: Iterable[Photo], of: Callable[[Photo], Names]
) -> list[LabelChange]:
    """What each photo that stays gets of the labels of those that are set aside.

    Args:
        kept: Photos that stay.
        moved: Photos that are set aside.
        of: Gives the labels of a photo.
    """
    given: Mapping[str, None] = dict.fromkeys(name for photo in moved for name in of(photo))
    changes = (
        LabelChange(p.path, of(p), (*of(p), *(n for n in given if n not in of(p)))) for p in kept
    )
    return [change for change in changes if change.before != change.after]
