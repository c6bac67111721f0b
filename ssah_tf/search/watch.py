"""An index that follows its sources: looked at when something changes, and now and then."""

import os
import time
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ssah_tf.data.formats import ending_of, endings_read
from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.records import Known, Record, encode_records
from ssah_tf.search.backends.schemes import locked
from ssah_tf.search.labels import FOLDERS, PhotoLabels
from ssah_tf.search.photo_index import OtherModel, PhotoIndex
from ssah_tf.search.sync import Comparison, Synced
from ssah_tf.system.errors import SsahError
from ssah_tf.system.folder_events import FolderEvents

#: Seconds for which size and time of a file must stand still before it is read.
SETTLE = 2.0
#: Seconds after which it is tried again what went wrong, at most.
AGAIN = 60.0
#: New files that are taken in at once, at most: what a kill costs.
BATCH = 1024

#: Size in bytes and time of change in nanoseconds; `None` for what is not there.
Look = tuple[int, int] | None


@dataclass
class LabelFile:
    """The label file, read again when it has changed.

    Attributes:
        labels: What it said when it was read last, or the class folders.
        seen: Its size and time then.
    """

    labels: PhotoLabels
    seen: Look

    @classmethod
    def read(cls, source: str, sources: Sequence[str | Path]) -> "LabelFile":
        """Read it.

        Raises:
            DataError: It cannot be read.
        """
        seen = None if source == FOLDERS else look_at(source)
        return cls(PhotoLabels(source, sources), seen)


class Watcher:
    """Takes in what is new, changed, or gone, a batch at a time.

    What differs from the index is taken in when it has stood still from one look to the next. The
    index is locked only while it is written.

    Args:
        place: The index: a folder, or the address of a database.
        encoder: Its encoder.
        sources: Image files, and folders of them.
        exclude: Patterns of what is passed over; see `data.scan.Exclude`.
        labels: Where labels come from, if from anywhere.
        replace_labels: See `PhotoIndex.sync`.
        bad: Files that are known to be unreadable -> the reason, so that it is not told twice.

    Attributes:
        pending: Whether something differs that was not taken in yet.
    """

    def __init__(
        self,
        place: str,
        encoder: Encoder,
        sources: Sequence[str | Path],
        exclude: Sequence[str] = (),
        labels: LabelFile | None = None,
        replace_labels: bool = False,
        bad: Mapping[str, str] | None = None,
    ):
        self.place, self.encoder, self.sources, self.exclude = place, encoder, sources, exclude
        self.labels, self.replace_labels = labels, replace_labels
        named = [str(source) for source in sources if not os.path.isdir(source)]
        if labels is not None and labels.labels.source != FOLDERS:
            named.append(labels.labels.source)
        self.files, self.endings = set(map(os.path.abspath, named)), endings_read()
        self.told = dict(bad or {})
        self.pending = True
        # Path -> what it looked like, of what differed at the last look.
        self.seen: dict[str, Look] = {}
        # The same of files that cannot be read as they are.
        self.bad: dict[str, Look] = {}
        self.index: PhotoIndex | None = None

    def batches(self, events: FolderEvents, sweep: float) -> Iterator[Synced | SsahError]:
        """What was taken in, batch after batch, and what went wrong meanwhile; without an end.

        Args:
            events: Of `folders`, listening.
            sweep: Seconds after which all is looked at if nothing is heard.

        Raises:
            OtherModel: The index is of another encoder now.
        """
        wrong = ""
        try:
            while True:
                events.forget()
                began = time.monotonic()
                done: Synced | SsahError | None = None
                rest, before, wrong = sweep, wrong, ""
                try:
                    done = self.look()
                except OtherModel:
                    raise
                except SsahError as error:
                    self.close()
                    rest, wrong, self.pending = min(sweep, AGAIN), str(error), False
                    done = error if wrong != before else None
                if done is not None:
                    yield done
                # Half of the time at most, however large the index is.
                pause = max(SETTLE, time.monotonic() - began)
                if self.pending or events.wait(rest):
                    time.sleep(pause)
        finally:
            self.close()

    def look(self) -> Synced | None:
        """Look at the sources, and take in what has stood still since the last look.

        Returns:
            What was taken in; `None` for nothing.

        Raises:
            SsahError: The index or a source cannot be looked at, or nothing can be written.
        """
        self.pending = True
        index = self.opened()
        beside = Comparison(index, self.sources, self.exclude, may_be_empty=True)
        before, self.seen = self.seen, self.differences(beside)
        self.bad = {path: look for path, look in self.bad.items() if self.seen.get(path) == look}
        self.told = {path: why for path, why in self.told.items() if path in self.seen}
        still = {path for path, look in self.seen.items() if before.get(path, ()) == look}
        settled = still.intersection((*beside.gone, *beside.back))
        ready = self.ready(beside, still)
        labels, relabelled = self.labels, False
        if labels is not None and labels.labels.source in still:
            labels, relabelled = LabelFile.read(labels.labels.source, self.sources), True
        found, bad = self.read(ready, beside.known()) if ready else ({}, {})
        done = None
        if found or settled or relabelled or not beside.by_path.keys().isdisjoint(bad):
            with locked(self.place, wait=True):
                if index.storage.stamp() != index.stamp:  # another process has written: look again
                    return None
                named = {} if labels is None else labels.labels(beside.known_paths())
                waiting = {*beside.gone, *beside.back} - settled
                done = beside.take_in(found, bad, named, self.replace_labels, waiting)
            self.labels = labels
            self.close()
        left = self.seen.keys() - self.bad.keys() - found.keys() - bad.keys() - settled
        self.pending = bool(left - ({labels.labels.source} if labels and relabelled else set()))
        self.bad |= {path: self.seen[path] for path in bad}
        news = {path: why for path, why in bad.items() if self.told.get(path) != why}
        self.told |= news
        if done is None:
            return Synced(bad=news, missing=len(index.missing)) if news else None
        return replace(done, bad=news)

    def differences(self, beside: Comparison) -> dict[str, Look]:
        """What is other than the index has it, and what it looks like now."""
        there = {path: look_at(path) for path in (*beside.to_read, *beside.back)}
        found = there | dict.fromkeys(beside.gone)
        if (labels := self.labels) is not None and labels.labels.source != FOLDERS:
            look = look_at(labels.labels.source)
            if look != labels.seen:
                found[labels.labels.source] = look
        return found

    def ready(self, beside: Comparison, still: Container[str]) -> list[str]:
        """The files to read now: all that may be photos that were moved, and some of the others.

        Which photo a file was is decided among all files of its content: see `moved`.
        """
        sizes, leaving = {one.photo.size for one in beside.aside.values()}, set[int]()
        for path in beside.gone:
            (sizes if path in still else leaving).add(beside.photos[beside.by_path[path]].size)
        moving: list[str] = []
        others: list[str] = []
        for path in beside.to_read:
            look = self.seen[path]
            if look is None or path not in still or path in self.bad:
                continue
            if path in beside.by_path or look[0] not in sizes | leaving:
                others.append(path)
            elif look[0] not in leaving:
                moving.append(path)
        return moving + others[:BATCH]

    def read(self, paths: list[str], known: Known) -> tuple[dict[str, Record], dict[str, str]]:
        """Records of files, and why there are none, by path."""
        found: dict[str, Record] = {}
        bad: dict[str, str] = {}
        for batch in encode_records(self.encoder, paths, known=known):
            for one in batch:
                if isinstance(one, Record):
                    found[one.path] = one
                else:
                    bad[one.path] = one.reason
        return found, bad

    def opened(self) -> PhotoIndex:
        """The index as it is saved now.

        Raises:
            OtherModel: It is of another encoder.
            SsahError: It cannot be read.
        """
        if self.index is not None:
            with suppress(SsahError):  # a connection that was lost is made anew
                if self.index.storage.stamp() == self.index.stamp:
                    return self.index
            self.close()
        self.index = PhotoIndex.open(self.place)
        self.index.check(self.encoder)
        return self.index

    def close(self) -> None:
        """Let go of the index."""
        if self.index is not None:
            self.index.close()
        self.index = None

    def folders(self) -> dict[str, bool]:
        """Where changes are to be heard: folder -> whether the folders below it count, too."""
        found: dict[str, bool] = {}
        for path in map(os.path.abspath, self.sources):
            if os.path.isdir(path):
                found[path] = True
        for path in self.files:
            found.setdefault(os.path.dirname(path), False)
        return found

    def matters(self, folder: str, path: str, is_folder: bool) -> bool:
        """Whether a change below a folder may be one of photos or labels."""
        if path in self.files:
            return True
        below = path.removeprefix(folder).split("/")
        return not any(name.startswith(".") for name in below) and (
            is_folder or ending_of(path) in self.endings
        )


def look_at(path: str) -> Look:
    """What a file looks like without reading it."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
