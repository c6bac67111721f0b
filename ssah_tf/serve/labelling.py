"""Labelling: photos, what a person says of them, and what is learnt from it."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from ssah_tf.data.label_round import Layout, Outcome, Progress, Task
from ssah_tf.data.label_table import LabelTable, label_of
from ssah_tf.serve.label_journal import MARKS, Action, Change, Journal, Verdict
from ssah_tf.serve.label_photos import FolderPhotos
from ssah_tf.system.errors import DataError, SsahError

#: Photos of a class that get one key, where it is sure of them; of doubtful ones each has its own.
ROW = 6


class Learner(Protocol):
    """Who learns, in a process of its own."""

    def begin(self, task: Task) -> None:
        """Begin a task; the one before is done."""

    def progress(self) -> Progress:
        """How far the task is."""


class Labelling:
    """Photos to label, their labels in a table, and the rest in a working folder.

    All that changes something takes turns, so that pages beside each other lose nothing, nor do
    other users of the table; what a method has changed is on disk when it returns.

    Args:
        root: Folder of the photos.
        paths: Of the photos, relative to it.
        digests: Of their contents.
        table: The labels.
        journal: What is no label.
        count: Photos that are shown at once, at most.
        no_map: Why no map can be made, "" if one can.

    Attributes:
        photos: The photos.
        groups: Positions of the photos that are shown, alike ones together.
        suggested: Those that are to be labelled next.
        believed: See `Outcome`.
        correcting: The class whose believed photos are shown, "" if the suggested ones are.
        probabilities: Position -> how probable that class is.
        layout: The map, if there is one.
        error: Why the last task failed, "" if it did not.
        revision: Grows with whatever a page shows, but for progress.
        classes: In the order in which they came, so that their keys stay.
    """

    def __init__(
        self,
        root: Path,
        paths: Sequence[str],
        digests: Sequence[str],
        table: LabelTable,
        journal: Journal,
        count: int = 48,
        no_map: str = "",
    ):
        self.photos = FolderPhotos(root, paths, digests)
        self.table = table
        self.journal = journal
        self.count = count
        self.no_map = no_map
        self.layout: Layout | None = None
        self.groups: list[list[int]] = []
        self.suggested: list[list[int]] = []
        self.believed: dict[str, list[tuple[int, float]]] = {}
        self.correcting = ""
        self.probabilities: dict[int, float] = {}
        self.error = ""
        self.revision = 0
        self.learner: Learner | None = None
        self.lock = threading.RLock()
        self.classes = dict.fromkeys(
            name for step in journal.steps for change in step for name in change.after.labels
        )
        self.known = self.known_paths()

    def __len__(self) -> int:
        return len(self.photos)

    def known_paths(self) -> dict[str, str]:
        """See `Journal.known_paths`."""
        return self.journal.known_paths(zip(self.photos.keys, self.photos.digests, strict=True))

    def verdict(self, position: int) -> Verdict:
        """What was said of a photo; a label, whoever gave it, counts more than a mark."""
        digest = self.photos.digests[position]
        labels = self.table.labels.get(self.photos.keys[position], ())
        mark = "" if labels else self.journal.marks.get(digest, "")
        rejected = self.journal.rejected.get(digest, ())
        return Verdict(labels, mark, tuple(name for name in rejected if name not in labels))

    def is_open(self, position: int, name: str) -> bool:
        """Whether a photo is there, and nothing was said of it; see `Verdict.is_open`."""
        return position not in self.photos.aside and self.verdict(position).is_open(name)

    def change(self, photos: Sequence[int], action: Action, label: str = "") -> None:
        """Say something of photos, as one step.

        Args:
            photos: Their positions.
            action: What is said.
            label: The class, for the actions that need one.

        Raises:
            DataError: No such photo, no label, or the table is none any more.
            RunError: It cannot be written.
        """
        for position in photos:
            self.photos.path_of(position)
        name = "" if action in MARKS else label_of(label)

        with self.lock, self.table.held():
            self.apply({p: self.verdict(p).after(action, name) for p in photos})

    def apply(self, verdicts: Mapping[int, Verdict]) -> None:
        """Keep a step, then write its labels: a step without its labels is harmless to undo."""
        changes = self.changes({p: v for p, v in verdicts.items() if v != self.verdict(p)})
        if changes:
            self.journal.step(changes)
            self.write_labels(verdicts)

    def undo(self) -> int:
        """Take the last step back; photos of which something else was said since stay.

        Returns:
            How many photos are what they were before.

        Raises:
            DataError: There is no step; or see `change`.
        """
        with self.lock, self.table.held():
            if not self.journal.steps:
                raise DataError("there is nothing to undo")
            photos, back = self.photos, {}
            for change in self.journal.steps[-1]:
                for position in photos.copies.get(change.digest, ()):
                    same = photos.keys[position] == change.path or change.path not in photos.at
                    if same and self.verdict(position) == change.after:
                        back[position] = change.before
            changes = self.changes(back)
            self.write_labels(back)  # first: undone without its step it is harmless to undo again
            self.journal.step(changes, undo=True)
            return len(back)

    def changes(self, verdicts: Mapping[int, Verdict]) -> list[Change]:
        """The changes that new verdicts are."""
        return [
            Change(self.photos.digests[p], self.photos.keys[p], self.verdict(p), after)
            for p, after in verdicts.items()
        ]

    def write_labels(self, verdicts: Mapping[int, Verdict]) -> None:
        """Write the labels of verdicts where they are others than those in the table."""
        self.revision += 1
        for after in verdicts.values():
            self.classes |= dict.fromkeys(after.labels)
        labels = {
            self.photos.paths[p]: after.labels
            for p, after in verdicts.items()
            if after.labels != self.table.labels.get(self.photos.keys[p], ())
        }
        if labels:
            self.table.set(labels)

    def moved(self) -> dict[int, Verdict]:
        """Photos whose content has a label under a path that is gone, and none under their own."""
        found = {}
        for path, labels in self.table.labels.items():
            if labels and path not in self.photos.at:
                for position in self.photos.copies.get(self.known.get(path, ""), ()):
                    before = self.verdict(position)
                    if not before.labels and not before.mark:
                        found[position] = Verdict(labels, "", before.rejected)
        return found

    def take_moved(self) -> None:
        """Give photos that have moved the labels that they had; rows of old paths stay.

        Raises:
            DataError, RunError: See `change`.
        """
        with self.lock, self.table.held():
            self.apply(self.moved())

    def draw_map(self) -> None:
        """Begin to make the map, unless it is there, with all photos.

        Raises:
            DataError: No map can be made, or something else is going on.
        """
        with self.lock:
            if self.layout is None and self.no_map:
                raise DataError(self.no_map)
            if self.layout is None or self.map_lacks:
                self.begin(Task({}, (), False, lay_out=True))

    @property
    def map_lacks(self) -> int:
        """How many photos are not on the map, since they came later."""
        return len(self) - len(self.layout.places) if self.layout else 0

    def begin(self, task: Task) -> None:
        """Begin a task.

        Raises:
            DataError: Another one is going on.
        """
        if self.learner is None or self.learner.progress().what:
            raise DataError("it is learning already: wait until that is done")
        self.error = ""
        self.learner.begin(replace(task, known=len(self)))
        self.revision += 1

    def learn(self, train: bool) -> None:
        """Begin to learn, or only to suggest.

        Raises:
            DataError: Something is going on, or there are too few labels to train.
        """
        with self.lock:
            self.table.refresh()
            said = [self.verdict(position) for position in range(len(self))]
            labels = {p: verdict.labels for p, verdict in enumerate(said) if verdict.labels}
            passed = tuple(p for p, verdict in enumerate(said) if verdict.mark)
            if train and len({name for names in labels.values() for name in names}) < 2:
                raise DataError("give photos of two classes a label first")
            rejected = {p: v.rejected for p, v in enumerate(said) if v.rejected and not v.labels}
            aside = tuple(self.photos.aside)
            self.begin(Task(labels, passed, train, rejected, tuple(self.journal.measured), aside))

    def take_aside(self, places: Mapping[str, str]) -> None:
        """Take up which photos are set aside: they are not shown any more, and keep their labels.

        Args:
            places: See `FolderPhotos.take_aside`.
        """
        with self.lock:
            self.photos.take_aside(places)
            self.revision += 1

    def take(self, outcome: Outcome) -> None:
        """Take up what a task came to."""
        with self.lock:
            self.revision += 1
            self.error = outcome.error
            self.layout = outcome.layout or self.layout
            try:
                self.take_photos(outcome.added)
                if outcome.measured is not None:
                    self.journal.keep_measured(outcome.measured)
            except SsahError as error:  # it cannot be kept
                self.error = str(error)
            if outcome.error or outcome.groups is None:
                return
            self.suggested = outcome.groups
            self.believed = outcome.believed
            self.show("", self.suggested)

    def take_photos(self, added: Sequence[tuple[str, str]]) -> None:
        """Take up photos that are new in the folder.

        Raises:
            RunError: Where they are cannot be kept.
        """
        if added:
            self.photos.add(added)
            self.known = self.known_paths()

    def correct(self, name: str, doubtful: bool) -> None:
        """Show the photos that are believed to be of a class, and of which nothing was said.

        Args:
            name: The class; "" for the suggested photos again.
            doubtful: Whether the most doubtful ones come first; or else the surest.

        Raises:
            DataError: There is no such photo; or see `change`.
        """
        with self.lock:
            self.table.refresh()
            if not name:
                return self.show("", self.suggested)
            found = self.believed.get(name, ())
            left = [p for p, _ in found if self.is_open(p, name)]
            if not left:
                raise DataError(f"no photo is left that is believed to be {name}: learn again")
            shown, size = (left[::-1], 1) if doubtful else (left, ROW)
            shown = shown[: self.count]
            self.show(name, [shown[i : i + size] for i in range(0, len(shown), size)])

    def show(self, name: str, groups: list[list[int]]) -> None:
        """Show groups: the suggested ones, or of photos that are believed to be of a class."""
        self.groups = groups
        self.correcting = name
        self.probabilities = dict(self.believed.get(name, ()))
        self.revision += 1

    def progress(self) -> tuple[int, Progress]:
        """The revision, also of what others have written to the table, and how far a task is.

        Raises:
            DataError: The table is none any more.
        """
        with self.lock:
            self.revision += self.table.refresh()
            progress = Progress() if self.learner is None else self.learner.progress()
            return self.revision, progress

    def described(self, position: int) -> dict[str, Any]:
        """A photo as a page shows it; the addresses change with its content."""
        at, version = f"labelling/photos/{position}", self.photos.digests[position][:12]
        return {
            "id": position,
            "path": self.photos.paths[position],
            **asdict(self.verdict(position)),
            "probability": self.probabilities.get(position),
            "thumbnail": f"{at}/thumbnail?v={version}",
            "image": f"{at}/image?v={version}",
        }
