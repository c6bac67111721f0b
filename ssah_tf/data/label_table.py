"""A label file in CSV that is filled in: a row is edited, all else stays as it is, byte for byte.

It may be edited by others meanwhile, in a spreadsheet say: see `LabelTable`.
"""

import codecs
import copy
import csv
import io
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from ssah_tf.data.labels import (
    SEPARATOR,
    by_path,
    csv_rows,
    decoded,
    header_of,
    normalise,
    read_labels,
)
from ssah_tf.data.names import class_name
from ssah_tf.system.errors import DataError, RunError
from ssah_tf.system.files import write_atomically
from ssah_tf.system.lock import only_one

#: A table without rows.
NEW = b"path,label\n"
#: A cell as it stands in a row: in quotes, or up to the next comma.
CELL = re.compile(r' *"(?:[^"]|"")*"|[^,\r\n]*')
#: Characters of a label, at most.
LONGEST = 200
#: Byte order marks -> the encoding of what follows.
MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


class TableText:
    """The text of a table, of which rows are edited.

    Args:
        source: The file, for messages.
        content: What is in it.

    Attributes:
        labels: Path, as `normalise` writes it -> its classes, maybe none.

    Raises:
        DataError: See `read_labels`; but there may be no row.
    """

    def __init__(self, source: Path, content: bytes):
        text = decoded(source, content)
        self.mark = next((mark for mark in MARKS if content.startswith(mark)), b"")
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.lines = [*io.StringIO(text, newline="")]
        rows = by_path(source, csv_rows(source, self.lines))
        self.labels = {path: tuple(names) for path, (_, names) in rows.items()}
        self.place = {path: end - 1 for path, (end, _) in rows.items()}
        reader = csv.reader(self.lines, skipinitialspace=True)
        self.header = header_of(next(reader))
        begin = reader.line_num
        for last in self.place.values():
            while not self.lines[begin].strip("\r\n"):
                begin += 1
            # A row with a line end in quotes is kept in the place of its last line.
            whole = "".join(self.lines[begin : last + 1])
            self.lines[begin : last + 1] = [""] * (last - begin) + [whole]
            begin = last + 1

    def copy(self) -> Self:
        """The same, to be edited by itself."""
        other = copy.copy(self)
        other.labels, other.place = dict(self.labels), dict(self.place)
        other.lines = list(self.lines)
        return other

    def set(self, labels: Mapping[str, Sequence[str]]) -> list[str]:
        """Give photos other labels.

        Args:
            labels: Path -> its classes, maybe none.

        Returns:
            The paths that were in no row; each has one now.
        """
        added = []
        for name, classes in labels.items():
            path, cell = normalise(name), SEPARATOR.join(classes)
            if path not in self.place:
                self.add(path, name, cell)
                added.append(name)
            elif self.labels[path] != tuple(classes):
                line = self.lines[self.place[path]]
                start, end = spans(line)[self.header.index("label")]
                self.lines[self.place[path]] = line[:start] + as_cell(cell) + line[end:]
            self.labels[path] = tuple(classes)
        return added

    def add(self, path: str, name: str, cell: str) -> None:
        """Add a row."""
        if self.lines and not self.lines[-1].endswith(("\n", "\r")):
            self.lines[-1] += self.newline
        cells = {"path": as_cell(name), "label": as_cell(cell)}
        row = ",".join(cells.get(column, "") for column in self.header)
        self.place[path] = len(self.lines)
        self.lines.append(row + self.newline)

    def content(self) -> bytes:
        """What is to be in the file."""
        return self.mark + "".join(self.lines).encode(MARKS.get(self.mark, "utf-8"))


def spans(row: str) -> list[tuple[int, int]]:
    """Where the cells of a row begin and end."""
    found, place = [], 0
    while cell := CELL.match(row, place):
        found.append(cell.span())
        place = cell.end() + 1
        if not row.startswith(",", cell.end()):
            break
    return found


def as_cell(text: str) -> str:
    """A text as a cell of a table."""
    stream = io.StringIO(newline="")
    csv.writer(stream).writerow([text, ""])
    return stream.getvalue().removesuffix(",\r\n")


@contextmanager
def turn(path: Path) -> Iterator[None]:
    """Wait until no other thread or process of ours writes a table, and keep them out meanwhile.

    Raises:
        RunError: The folder of the table is not there, or cannot be written.
    """
    real = Path(os.path.realpath(path))
    if not real.parent.is_dir():
        raise RunError(f"{path}: cannot be written (there is no such folder)")
    with only_one(real.with_name(f".{real.name}.lock"), path, wait=True):
        yield


class LabelTable:
    """A label file on disk: the only truth for the labels of photos.

    Several may use it at once, as threads, as processes, or in a spreadsheet. What is written is
    read anew before, so what others have changed in the file stays.

    Args:
        path: The file, with the columns `path` and `label`; made with the first label.

    Raises:
        DataError: See `TableText`.
    """

    def __init__(self, path: Path):
        if path.suffix.lower() != ".csv":
            raise DataError(f"{path}: the table to fill in must end in .csv")
        self.path = path
        self.lock = threading.RLock()
        self.has_turn = False
        self.written = NEW
        self.text = TableText(path, NEW)
        self.refresh()

    @property
    def labels(self) -> Mapping[str, tuple[str, ...]]:
        """Path, as `normalise` writes it -> its classes, maybe none; a later state is another."""
        return self.text.labels

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is read and written in the block is one step: nobody else of ours writes meanwhile.

        It begins with what others have written. It may be nested.

        Raises:
            DataError: The file is no table any more.
            RunError: It cannot be written.
        """
        with self.lock:
            if self.has_turn:
                yield
                return
            with turn(self.path):
                self.has_turn = True
                try:
                    self.refresh()
                    yield
                finally:
                    self.has_turn = False

    def refresh(self) -> bool:
        """Take up what others have written; whether that is something new.

        A file that is gone is being exchanged, or was removed: what was in it stays.

        Raises:
            DataError: See `TableText`; what was known stays.
        """
        with self.lock:
            try:
                content = self.path.read_bytes()
            except FileNotFoundError:
                return False
            except OSError as error:
                raise DataError(f"{self.path}: {error.strerror}") from None
            if content == self.written:
                return False
            self.text = TableText(self.path, content)
            self.written = content
            return True

    def set(self, labels: Mapping[str, Sequence[str]]) -> list[str]:
        """Give photos other labels, on disk when this returns. See `TableText.set`.

        Raises:
            DataError, RunError: See `held`.
        """
        with self.held():
            text = self.text.copy()
            added = text.set(labels)
            content = text.content()
            write_atomically(os.path.realpath(self.path), content)
            self.text, self.written = text, content
            return added


def check_table(path: Path, labels: Path | None) -> None:
    """Refuse to write a table in the place of labels that somebody has filled in.

    Args:
        path: The table.
        labels: The label file that is known; its rows will be in the table.

    Raises:
        DataError: The table has labels and is not the label file; or it is no table.
    """
    if path.suffix.lower() != ".csv":
        raise DataError(f"{path}: the table to fill in must end in .csv")
    is_known = labels is not None and labels.exists() and path.exists() and path.samefile(labels)
    if path.exists() and not is_known and any(read_labels(path).of.values()):
        raise DataError(
            f"{path} has labels already: go on from them with --labels {path}, or name another "
            "--output"
        )


def write_table(path: Path, labels: Path | None, names: Sequence[str]) -> int:
    """Write the rows of a label file, and after them photos without a label.

    What is in the file stays as it is, byte for byte; photos that it names are not added again.

    Args:
        path: The table, with the columns `path` and `label`, and perhaps others.
        labels: The label file; without one, the table itself if it is there.
        names: Photos, as paths relative to their folder; see `can_be_named`.

    Returns:
        How many rows were added.

    Raises:
        DataError: See `read_labels`.
        RunError: The table cannot be written.
    """
    with turn(path):
        if labels is None and path.exists():
            labels = path
        text = TableText(labels or path, NEW if labels is None else as_table(labels))
        added = text.set({name: () for name in names if normalise(name) not in text.labels})
        write_atomically(os.path.realpath(path), text.content())
    return len(added)


def as_table(labels: Path) -> bytes:
    """The content of a label file as a table: as it is, if it is one."""
    known = read_labels(labels)
    if labels.suffix.lower() == ".csv":
        return labels.read_bytes()
    text = TableText(labels, NEW)
    text.set({path: [known.classes[i] for i in classes] for path, classes in known.of.items()})
    return text.content()


def label_of(text: str) -> str:
    """A class name as a person typed it, if a label file can hold it.

    Raises:
        DataError: It is empty, holds `SEPARATOR` or a control character, or is very long.
    """
    name = class_name(text)
    if not name or SEPARATOR in name or not name.isprintable() or len(name) > LONGEST:
        raise DataError(
            f"a label has 1 to {LONGEST} characters, and no {SEPARATOR!r}, which separates several"
        )
    return name


def can_be_named(name: str) -> bool:
    """Whether a label file can name a photo: it is text, and is read as it is written."""
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no text
        return False
    return name == name.strip() and not {"\r", "\0", "\\"} & set(name)
