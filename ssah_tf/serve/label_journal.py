"""What is no label, on disk: photos that were skipped, doubts, rejected classes; steps to undo."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ssah_tf.system.files import make_folder, write_atomically
from ssah_tf.system.line_file import LineFile
from ssah_tf.system.reading import parse_json

#: What a person says of a photo instead of a label.
Mark = Literal["", "skipped", "unsure"]
#: What can be done with photos: set, add or take away a label; say of which class they are not; say
#: something instead; say nothing.
Action = Literal["label", "add", "remove", "reject", "skip", "unsure", "clear"]
MARKS: Mapping[str, Mark] = {"skip": "skipped", "unsure": "unsure", "clear": ""}


@dataclass(frozen=True)
class Verdict:
    """What a person says of a photo.

    Attributes:
        labels: Its classes.
        mark: What was said instead.
        rejected: Classes that it is not of.
    """

    labels: tuple[str, ...] = ()
    mark: Mark = ""
    rejected: tuple[str, ...] = ()

    def after(self, action: Action, name: str) -> "Verdict":
        """The verdict after something more was said.

        Args:
            action: What is said.
            name: The class, for the actions that need one.
        """
        if action == "clear":
            return Verdict()
        if action in MARKS:
            return Verdict((), MARKS[action], self.rejected)
        labels, rejected = (
            tuple(known for known in names if known != name)
            for names in (self.labels, self.rejected)
        )
        if action == "reject":
            return Verdict(labels, self.mark, (*rejected, name))
        if action == "label":
            return Verdict((name,), "", rejected)
        if action == "remove":
            return Verdict(labels, "", rejected)
        return self if name in self.labels else Verdict((*labels, name), "", rejected)

    def is_open(self, name: str) -> bool:
        """Whether nothing was said of the photo, nor that it is not of a class."""
        return not self.labels and not self.mark and name not in self.rejected


@dataclass(frozen=True)
class Change:
    """Another verdict on a photo.

    Attributes:
        digest: Of its content, by which it is known.
        path: Where it was; it may be elsewhere since.
        before: The verdict until then.
        after: The verdict from then on.
    """

    digest: str
    path: str
    before: Verdict
    after: Verdict


class Journal:
    """The steps of labelling, a line each, in the order in which they were made.

    A step is on disk when `step` returns.

    Args:
        folder: Working folder; made if need be.

    Attributes:
        marks: Digest -> what was said of the photo instead of a label.
        rejected: Digest -> classes that the photo is not of.
        steps: Those that can be undone, the newest last.
        measured: What each training was measured with, the newest last.

    Raises:
        RunError: The folder cannot be made, or the file in it read; or a line is none of ours.
    """

    def __init__(self, folder: Path):
        make_folder(folder)
        self.lines = LineFile(
            folder / "steps.jsonl",
            "move the file away to begin without skipped photos and undo (labels stay)",
        )
        self.paths = folder / "paths.json"
        self.marks: dict[str, Mark] = {}
        self.rejected: dict[str, tuple[str, ...]] = {}
        self.steps: list[list[Change]] = []
        self.measured: list[dict[str, Any]] = []
        for number, entry in enumerate(self.lines.entries, start=1):
            try:
                self.take(entry)
            except (ValueError, TypeError, KeyError, AttributeError, IndexError):
                raise self.lines.damaged(number) from None

    def take(self, entry: dict[str, Any]) -> None:
        """Take up what a line says."""
        if "measured" in entry:
            self.measured.append(dict(entry["measured"]))
            return
        changes = [change_of(values) for values in entry["changes"]]
        if entry["undo"]:
            self.steps.pop()
        else:
            self.steps.append(changes)
        for change in changes:
            self.marks[change.digest] = change.after.mark
            self.rejected[change.digest] = change.after.rejected

    def step(self, changes: Sequence[Change], undo: bool = False) -> None:
        """Keep a step; of one that takes the last step back, the changes that it comes to.

        Raises:
            RunError: It cannot be written.
        """
        self.write({"undo": undo, "changes": [asdict(change) for change in changes]})

    def keep_measured(self, measured: dict[str, Any]) -> None:
        """Keep what a training was measured with.

        Raises:
            RunError: It cannot be written.
        """
        self.write({"measured": measured})

    def write(self, entry: dict[str, Any]) -> None:
        """Write a line, whole or not at all, and take it up."""
        self.lines.append(entry)
        self.take(entry)

    def known_paths(self, now: Iterable[tuple[str, str]]) -> dict[str, str]:
        """Path -> digest of all photos that were ever here; those of now are kept, too.

        Args:
            now: (path, digest) of the photos.

        Raises:
            RunError: It cannot be written.
        """
        try:
            before = parse_json(self.paths.read_bytes())
            known = {str(path): str(digest) for path, digest in before.items()}
        except (OSError, ValueError, AttributeError):  # only where photos were is lost
            known = {}
        known |= dict(now)
        write_atomically(self.paths, json.dumps(known).encode())
        return known


def change_of(values: dict[str, Any]) -> Change:
    """A change as `asdict` wrote it.

    Raises:
        ValueError, TypeError, KeyError: It is something else.
    """
    verdicts = {
        when: Verdict(
            tuple(map(str, values[when]["labels"])),
            values[when]["mark"],
            tuple(map(str, values[when]["rejected"])),
        )
        for when in ("before", "after")
    }
    if any(verdict.mark not in get_args(Mark) for verdict in verdicts.values()):
        raise ValueError("no such mark")
    return Change(str(values["digest"]), str(values["path"]), **verdicts)
