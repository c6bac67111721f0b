"""One step of an index towards its sources: what differs is found, read, then taken in."""

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssah_tf.data.scan import PassedOver
from ssah_tf.encoding.encode import NoImages, find_images
from ssah_tf.encoding.records import Known, Record, Uint8, flat_pictures
from ssah_tf.metrics.hamming import full_bytes
from ssah_tf.search.dates import with_dates
from ssah_tf.search.missing import Aside, Missing
from ssah_tf.search.moved import inherited, moved
from ssah_tf.search.photo_table import Photo, PhotoTable

if TYPE_CHECKING:
    from ssah_tf.search.photo_index import PhotoIndex

#: Path -> labels.
Named = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Synced:
    """What a `sync` did.

    Attributes:
        added: New photos.
        changed: Photos whose content is another.
        moved: Photos whose file has another path now.
        back: Photos that were missing and are there again.
        missing: Photos that are missing now, all of them.
        missing_labelled: Those of them that have labels.
        removed: Photos of which nothing is left.
        kept: Photos that are as they were.
        vanished: Photos that were not missing before and are now.
        labels: Photos that were given labels, whose labels are others now, and whose labels were
            taken away, by what `sync` was told of labels.
        bad: Files that cannot be read -> the reason; they are not in results.
        passed: What was left out of the folders.
        flat: Those of the new and changed photos that are of one level. See `flat_pictures`.
        damaged: A line for each of them whose file was read as far as it goes.
    """

    added: int = 0
    changed: int = 0
    moved: int = 0
    back: int = 0
    missing: int = 0
    missing_labelled: int = 0
    removed: int = 0
    kept: int = 0
    vanished: int = 0
    labels: tuple[int, int, int] = (0, 0, 0)
    bad: dict[str, str] = field(default_factory=dict)
    passed: PassedOver = field(default_factory=PassedOver)
    flat: tuple[str, ...] = field(default=(), compare=False)
    damaged: tuple[str, ...] = ()

    @property
    def photos(self) -> int:
        """Photos in results now."""
        return self.kept + self.added + self.changed + self.moved + self.back


class Comparison:
    """An index beside its sources: what differs, and the index that follows from it.

    Args:
        index: The index; `take_in` changes and saves it.
        sources: Image files, and folders of them.
        exclude: Patterns of what is passed over in folders; see `data.scan.Exclude`.
        may_be_empty: Whether an index may begin without a photo.

    Attributes:
        photos: Id -> photo in results.
        aside: Id -> missing photo.
        by_path: Path -> id of each photo in results.
        away: Path -> id of each missing photo.
        paths: Image files of the sources, absolute.
        passed: What was passed over.
        to_read: Those of the paths whose code is not known without reading the file.
        gone: Paths of photos in results that are no file of the sources any more.
        back: Paths of missing photos that are there again, as they were.

    Raises:
        NoImages: The sources have no image, and the index has none.
        SsahError: A source does not exist.
    """

    def __init__(
        self,
        index: "PhotoIndex",
        sources: Sequence[str | Path],
        exclude: Sequence[str] = (),
        may_be_empty: bool = False,
    ):
        self.index, self.sources = index, sources
        self.photos = index.photos.in_memory()
        self.by_path = {photo.path: number for number, photo in self.photos.items()}
        self.aside = {
            number: one
            for number, one in index.missing.rows.items()  # in Milvus a kill may have left both
            if number not in self.photos and one.photo.path not in self.by_path
        }
        self.away = {one.photo.path: number for number, one in self.aside.items()}
        begun = may_be_empty or bool(self.photos or self.aside)
        self.paths, self.passed = list_images(sources, exclude, begun)
        self.to_read = [path for path in self.paths if not self.as_it_was(path)]
        unread = set(self.to_read)
        self.back = [path for path in self.paths if path in self.away and path not in unread]
        # What lies in a folder that cannot be listed now is not known to be gone.
        closed = tuple(os.path.abspath(folder) + "/" for folder in self.passed.unlisted)
        listed = set(self.paths)
        self.gone = [p for p in self.by_path if p not in listed and not p.startswith(closed)]

    def as_it_was(self, path: str) -> bool:
        """Whether the code of a path is known without reading the file."""
        if path in self.by_path:
            return self.photos[self.by_path[path]].unchanged()
        one = self.aside[self.away[path]] if path in self.away else None
        return one is not None and bool(one.code) and one.photo.unchanged()

    def known_paths(self) -> list[str]:
        """The paths that labels may name: those of the sources, then all others of the index."""
        return list(dict.fromkeys((*self.paths, *self.by_path, *self.away)))

    def known(self) -> Known:
        """The contents that need not be encoded again."""
        codes = zip(self.index.codes.ids.tolist(), self.index.codes.full_codes, strict=True)
        known = {
            bytes.fromhex(self.photos[number].digest): (self.photos[number].perceptual_hash, code)
            for number, code in codes
        }
        for one in self.aside.values():
            if one.code:
                code = np.frombuffer(one.code, np.uint8)
                known.setdefault(bytes.fromhex(one.photo.digest), (one.photo.perceptual_hash, code))
        return known

    def take_in(
        self,
        found: Mapping[str, Record],
        bad: Mapping[str, str],
        named: Named,
        replace_labels: bool = False,
        waiting: Collection[str] = (),
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Synced:
        """Make results those of the sources, and save the index; to be called once.

        Files of `to_read` that were not read stay as they are.

        Args:
            found: What was read of `to_read`, by path.
            bad: Files that cannot be read -> the reason.
            named: Path -> its labels, where any are said.
            replace_labels: Photos of which nothing is said lose their labels.
            waiting: Those of `gone` and `back` that stay as they are nevertheless.
            progress: Called with how many of the files are asked for their dates, and how many
                there are.
        """
        photos, aside = self.photos, self.aside
        before = {n: p.labels for n, p in photos.items()}
        before |= {n: one.photo.labels for n, one in aside.items()}
        already = set(aside)
        gone = [*set(self.gone).difference(waiting), *(p for p in self.by_path if p in bad)]
        self.put_aside(sorted({self.by_path[path] for path in gone}))
        there = [path for path in self.back if path not in waiting]
        new = self.put_back([*there, *(path for path in found if path in self.away)])
        back, again = len(new), dict[int, Uint8]()
        was, copies = self.recognise(found, named)
        added = 0
        for path, record in found.items():
            photo = Photo.of(record)
            number = self.by_path.get(path, self.away.get(path, was.get(path, -1)))
            if number < 0:
                number, self.index.next_id = self.index.next_id, self.index.next_id + 1
                added += 1
                photo = replace(photo, labels=copies.get(path, ()))
            else:
                photo = photos[number].read_again(record)
            if path not in self.by_path:
                new[number] = record.code
            elif photos[number].digest != photo.digest:
                again[number] = record.code
            photos[number] = photo
        if "dates" not in self.index.storage.cannot:
            photos.update(with_dates(photos, progress))
        if named or replace_labels:
            self.label(named, replace_labels)
        self.save(new, again)
        looks = ((path, record.perceptual_hash) for path, record in found.items())
        return Synced(
            added,
            len(again),
            len(was),
            back,
            len(aside),
            self.index.missing.labelled,
            kept=len(photos) - len(new) - len(again),
            vanished=len(aside.keys() - already),
            labels=label_changes(before, photos, aside),
            bad=dict(bad),
            passed=self.passed,
            flat=tuple(flat_pictures(self.index.image_size, looks)),
            damaged=tuple(record.damaged for record in found.values() if record.damaged),
        )

    def put_aside(self, numbers: list[int]) -> None:
        """Count photos as missing."""
        codes = self.index.codes
        rows = codes.full_codes[np.searchsorted(codes.ids, np.array(numbers, np.int64))]
        for number, code in zip(numbers, rows, strict=True):
            self.aside[number] = Aside(self.photos.pop(number), code.tobytes())
        codes.remove(numbers)

    def put_back(self, paths: Iterable[str]) -> dict[int, Uint8]:
        """Take missing photos into results, as they were; id -> code of each."""
        back = {}
        for number in (self.away[path] for path in paths):
            one = self.aside.pop(number)
            self.photos[number], back[number] = one.photo, np.frombuffer(one.code, np.uint8)
        return back

    def recognise(self, found: Mapping[str, Record], named: Named) -> tuple[dict[str, int], Named]:
        """Which photos files of new paths were, and the labels that those have which are copies.

        Photos that were missing under another path are taken back; where labels are said of that
        path, they are said of the new one.

        Returns:
            Path -> id, and path -> labels.
        """
        ours = self.by_path.keys() | self.away.keys()
        fresh = {path: r.digest.hex() for path, r in found.items() if path not in ours}
        if not fresh:
            return {}, {}
        rows = self.aside.items()
        was = moved(fresh, {n: o.photo for n, o in rows if not os.path.lexists(o.photo.path)})
        for path, number in was.items():
            self.photos[number] = self.aside.pop(number).photo
            before = self.photos[number].path
            if path not in named and before in named:
                named[path] = named[before]
        known = {**self.photos, **{n: one.photo for n, one in self.aside.items()}}
        return was, inherited({p: d for p, d in fresh.items() if p not in was}, known)

    def label(self, named: Named, replace_labels: bool) -> None:
        """Give all photos the labels that are said of them."""

        def labelled(photo: Photo) -> Photo:
            labels = named.get(photo.path, () if replace_labels else photo.labels)
            return photo if labels == photo.labels else replace(photo, labels=labels)

        for number, photo in self.photos.items():
            self.photos[number] = labelled(photo)
        for number, one in self.aside.items():
            self.aside[number] = replace(one, photo=labelled(one.photo))

    def save(self, new: Mapping[int, Uint8], again: Mapping[int, Uint8]) -> None:
        """Save the index with new codes, and with other ones."""
        index = self.index
        width = full_bytes(index.codes.bits, index.codes.appearance_bits)
        for put, change in ((index.codes.add, new), (index.codes.update, again)):
            put(list(change), np.array(list(change.values()), np.uint8).reshape(-1, width))
        index.table = PhotoTable.of(self.photos)
        index.roots = tuple(map(os.path.abspath, self.sources))
        index.missing = Missing.of(self.aside)
        index.save()


def label_changes(
    before: Mapping[int, tuple[str, ...]],
    photos: Mapping[int, Photo],
    aside: Mapping[int, Aside],
) -> tuple[int, int, int]:
    """How many photos have labels now and had none, have others now, and have none any more."""
    now = {n: p.labels for n, p in photos.items()} | {n: a.photo.labels for n, a in aside.items()}
    given = changed = taken = 0
    for number, labels in now.items():
        had = before.get(number, ())
        given += bool(labels and not had)
        changed += bool(labels and had and labels != had)
        taken += bool(had and not labels)
    return given, changed, taken


def list_images(
    sources: Sequence[str | Path], exclude: Sequence[str], may_be_none: bool
) -> tuple[list[str], PassedOver]:
    """The image files of the sources, absolute, each once, and what was passed over.

    Raises:
        NoImages: There are none, and that is a mistake.
        SsahError: A source does not exist.
    """
    try:
        scanned = find_images(sources, exclude)
    except NoImages as none:
        if not may_be_none:
            raise
        return [], none.passed
    return list(dict.fromkeys(map(os.path.abspath, scanned.paths))), scanned.passed
