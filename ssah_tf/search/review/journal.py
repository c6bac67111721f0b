"""What was set aside, on disk: a line for each step before it begins, and one when it has ended."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ssah_tf.data.formats import ending_of
from ssah_tf.data.side_files import ENDINGS
from ssah_tf.search.review.labels import LabelChange
from ssah_tf.system.line_file import LineFile

#: How far a step is: being done, done, being undone, undone.
State = Literal["begun", "done", "undoing", "undone"]
#: Which state may follow which. A step that was begun and not done is undone.
FOLLOWS: Mapping[str, tuple[State, ...]] = {
    "done": ("begun",),
    "undoing": ("done",),
    "undone": ("begun", "undoing"),
}


@dataclass(frozen=True)
class Moved:
    """A photo that is set aside, with its side files.

    Attributes:
        digest: SHA-256 of the photo, hexadecimal.
        files: Where each file was, absolute, and where it is, relative to the folder; the photo
            first.
    """

    digest: str
    files: tuple[tuple[str, str], ...]


@dataclass
class Step:
    """Photos that were set aside at once.

    Attributes:
        number: Counted from 1.
        at: When.
        photos: What was moved.
        labels: What the photos that were kept got of their labels.
        state: How far it is.
    """

    number: int
    at: str
    photos: tuple[Moved, ...]
    labels: tuple[LabelChange, ...]
    state: State = "begun"


class MoveJournal:
    """The steps of a folder of files that were set aside.

    Args:
        folder: The folder, which is there.

    Attributes:
        steps: All of them, by number.

    Raises:
        RunError: It cannot be read, or a line is none of ours.
    """

    def __init__(self, folder: Path):
        self.lines = LineFile(
            folder / "set_aside.jsonl",
            "its files are all in this folder: move them back by hand",
        )
        self.steps: dict[int, Step] = {}
        for number, entry in enumerate(self.lines.entries, start=1):
            try:
                self.take(entry)
            except (KeyError, TypeError, ValueError, AttributeError):
                raise self.lines.damaged(number) from None

    def take(self, entry: Mapping[str, Any]) -> None:
        """Take up what a line says.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: It is none of ours.
        """
        number = int(entry["step"])
        if entry["state"] == "begun":
            if number != len(self.steps) + 1:
                raise ValueError("steps are counted")
            self.steps[number] = step_of(entry)
        elif self.steps[number].state in FOLLOWS[entry["state"]]:
            self.steps[number].state = entry["state"]
        else:
            raise ValueError("such a state cannot follow")

    def begin(self, at: str, photos: Sequence[Moved], labels: Sequence[LabelChange]) -> Step:
        """Write down what is going to be done.

        Raises:
            RunError: It cannot be written.
        """
        step = Step(len(self.steps) + 1, at, tuple(photos), tuple(labels))
        values = asdict(step)
        self.write({"step": values.pop("number"), "state": values.pop("state"), **values})
        return self.steps[step.number]

    def mark(self, step: Step, state: State) -> None:
        """Write down how far a step is.

        Raises:
            RunError: It cannot be written.
        """
        self.write({"step": step.number, "state": state})

    def write(self, entry: dict[str, Any]) -> None:
        """Write a line and take it up."""
        self.lines.append(entry)
        self.take(entry)

    def in_state(self, *states: State) -> list[Step]:
        """The steps in some states, the newest last."""
        return [step for step in self.steps.values() if step.state in states]


def step_of(entry: Mapping[str, Any]) -> Step:
    """A step as `MoveJournal.begin` wrote it.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: It is something else.
    """
    photos = [
        Moved(str(one["digest"]), tuple(map(file_of, one["files"]))) for one in entry["photos"]
    ]
    if not all(photo.files for photo in photos):
        raise ValueError("a photo without a file")
    labels = [
        LabelChange(str(one["path"]), tuple(map(str, one["before"])), tuple(map(str, one["after"])))
        for one in entry["labels"]
    ]
    return Step(int(entry["step"]), str(entry["at"]), tuple(photos), tuple(labels))


def file_of(values: Sequence[Any]) -> tuple[str, str]:
    """Where a file was, and where it is: inside the folder, and of the ending of a photo or of what
    belongs to one. A journal of strangers can so bring no other file to where it could be run.

    Raises:
        TypeError, ValueError: It is something else.
    """
    before, now = map(str, values)
    inside = not os.path.isabs(now) and ".." not in Path(now).parts
    plain = os.path.isabs(before) and os.path.normpath(before) == before
    if not (inside and plain and ending_of(before) == ending_of(now) and ending_of(now) in ENDINGS):
        raise ValueError("not a photo")
    return before, now
