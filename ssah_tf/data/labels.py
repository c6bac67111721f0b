"""Labels in files: a table `path,label` as CSV or JSON Lines, or the list files of research."""

import csv
import difflib
import io
import mmap
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ssah_tf.data.names import class_name
from ssah_tf.system.errors import DataError
from ssah_tf.system.reading import parse_json
from ssah_tf.system.text import printable

#: Separates the labels of an image that has several.
SEPARATOR = ";"

#: The list files of a research set, in one folder; the images of the second one are the queries.
LISTS = ("train.txt", "test.txt", "database.txt")


@dataclass(frozen=True)
class Labels:
    """What label files say, before anybody has looked for the images.

    Attributes:
        source: The file or folder, for messages.
        classes: Class names in the order of their indices.
        of: Path of an image, as `normalise` writes it -> indices of its classes, maybe none.
        queries: Paths of the official queries.
        complete: Whether the files name every image, as research lists do; others are left out.
    """

    source: Path
    classes: tuple[str, ...]
    of: dict[str, tuple[int, ...]]
    queries: frozenset[str] = field(default_factory=frozenset)
    complete: bool = False


def normalise(path: str) -> str:
    """A path as it is compared: forward slashes, no leading `./`, composed Unicode."""
    path = unicodedata.normalize("NFC", path.replace("\\", "/"))
    while path.startswith("./"):
        path = path[2:]
    return path


def read_labels(source: str | Path) -> Labels:
    """Read a label file.

    - `.csv`: a header with the columns `path` and `label`; several labels separated by `;`; an
      empty label means that the image has none.
    - `.jsonl`: an object a line, `{"path": "a/b.jpg", "label": "cat"}`; the label may be a list.
    - `.txt`, or a folder with `train.txt`, `test.txt` and perhaps `database.txt`: the lists of
      hashing research, `path 0 1 0 ...`, one column a class.

    Paths are relative to the folder of the images.

    Raises:
        DataError: No such file, or a line that does not fit; the message names the line.
    """
    source = Path(source)
    if source.is_dir():
        return read_list_folder(source)
    reader = {".csv": read_csv, ".jsonl": read_json_lines, ".txt": read_list}.get(
        source.suffix.lower()
    )
    if reader is None:
        raise DataError(f"{source}: label files end in .csv, .jsonl or .txt")
    if not source.is_file():
        raise DataError(f"{source}: no such file")
    return reader(source)


def read_csv(source: Path) -> Labels:
    """Read a table with the columns `path` and `label`. See `read_labels`."""
    return table(source, csv_rows(source, io.StringIO(text_of(source))))


def csv_rows(source: Path, lines: Iterable[str]) -> Iterator[tuple[int, str, list[str]]]:
    """The rows of a table below its header, which names the columns `path` and `label`.

    Args:
        source: The file, for messages.
        lines: Its lines, with their ends.

    Yields:
        The number of the last line, the path and the class names of each row.

    Raises:
        DataError: No such table, or a row that does not fit; the message names the line.
    """
    reader = csv.reader(lines, strict=True, skipinitialspace=True)
    try:
        header = header_of(next(reader, []))
        path, label = (column(source, header, name) for name in ("path", "label"))
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{source}, line {reader.line_num}: {len(row)} columns, the header has "
                    f"{len(header)} (put a path or label with a comma into quotes)"
                )
            yield reader.line_num, row[path], row[label].split(SEPARATOR)
    except csv.Error as error:
        raise DataError(f"{source}, line {reader.line_num}: {error}") from None


def header_of(row: list[str]) -> list[str]:
    """The names of columns as they are compared."""
    return [class_name(name).lower() for name in row]


def column(source: Path, header: list[str], name: str) -> int:
    """Position of a column; a column that comes twice or not at all is an error."""
    if header.count(name) == 1:
        return header.index(name)
    if len(header) == 1 and any(c in header[0] for c in ";\t"):
        hint = "columns must be separated by commas"
    elif header.count(name):
        hint = f"{name!r} comes twice"
    else:
        near = difflib.get_close_matches(name, header, n=1, cutoff=0.5)
        hint = f"rename {near[0]!r} to {name!r}" if near else "the first line names the columns"
    found = printable(", ".join(header)) or "nothing"
    raise DataError(f"{source}, line 1: expected the columns path and label, found {found}; {hint}")


def read_json_lines(source: Path) -> Labels:
    """Read an object `path`, `label` from each line. See `read_labels`."""
    rows = []
    for number, line in enumerate(text_of(source).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise DataError(f"{source}, line {number}: not JSON ({error})") from None
        if not isinstance(row, dict) or not isinstance(row.get("path"), str):
            raise DataError(f'{source}, line {number}: expected {{"path": "...", "label": "..."}}')
        labels = row.get("label")
        labels = [] if labels is None else [labels] if isinstance(labels, str) else labels
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise DataError(
                f"{source}, line {number}: label must be a text, a list of texts or null"
            )
        rows.append((number, row["path"], labels))
    return table(source, rows)


def table(source: Path, rows: Iterable[tuple[int, str, list[str]]]) -> Labels:
    """Labels of (line, path, class names) rows; a path that comes twice is an error."""
    names = {path: labels for path, (_, labels) in by_path(source, rows).items()}
    if not names:
        raise DataError(f"{source}: no rows")
    classes = tuple(sorted({name for labels in names.values() for name in labels}))
    index = {name: i for i, name in enumerate(classes)}
    of = {path: tuple(index[name] for name in labels) for path, labels in names.items()}
    return Labels(source, classes, of)


def by_path(
    source: Path, rows: Iterable[tuple[int, str, list[str]]]
) -> dict[str, tuple[int, list[str]]]:
    """Line and classes of each path, as `normalise` writes it, of (line, path, class names) rows.

    Raises:
        DataError: A path is empty, or comes twice.
    """
    found: dict[str, tuple[int, list[str]]] = {}
    for number, path, labels in rows:
        key = normalise(path.strip())
        if not key:
            raise DataError(f"{source}, line {number}: the path is empty")
        if key in found:
            raise DataError(
                f"{source}, line {number}: {printable(key)!r} is on line {found[key][0]} already"
            )
        found[key] = number, list(dict.fromkeys(filter(None, map(class_name, labels))))
    return found


def read_list(source: Path) -> Labels:
    """Read one research list, `path 0 1 0 ...`. See `read_labels`."""
    of, width = list_rows(source)
    return Labels(source, tuple(str(i) for i in range(width)), of, complete=True)


def read_list_folder(folder: Path) -> Labels:
    """Read the lists of a research set; the queries are those of `test.txt`. See `read_labels`."""
    if not all((folder / name).is_file() for name in LISTS[:2]):
        raise DataError(f"{folder}: expected the lists train.txt and test.txt in this folder")
    train, width = list_rows(folder / "train.txt")
    of: dict[str, tuple[int, ...]] = dict(train)
    queries: frozenset[str] = frozenset()
    for name in LISTS[1:]:
        if (folder / name).is_file():
            rows, columns = list_rows(folder / name)
            if columns != width:
                raise DataError(f"{folder / name}: {columns} classes, but train.txt has {width}")
            # database.txt usually repeats the training images, and may repeat the queries
            of |= {key: value for key, value in rows.items() if key not in queries}
            if name == "test.txt":
                queries = frozenset(rows)
    if both := queries & set(train):
        raise DataError(f"{folder}: {printable(min(both))!r} is in train.txt and in test.txt")
    return Labels(folder, tuple(str(i) for i in range(width)), of, queries, complete=True)


def list_rows(source: Path) -> tuple[dict[str, tuple[int, ...]], int]:
    """Rows of a list file, and its number of classes."""
    of: dict[str, tuple[int, ...]] = {}
    width = None
    for number, line in enumerate(text_of(source).split("\n"), start=1):
        line = line.rstrip()
        if not line:
            continue
        path, *marks = line.split(" ")
        columns = len(marks)
        width = columns if width is None else width
        if columns != width or columns < 2 or not set(marks) <= {"0", "1"}:
            expected = f"{width} marks" if width and width > 1 else "marks"
            raise DataError(
                f"{source}, line {number}: expected a path and {expected} of 0 or 1, "
                f"separated by single spaces"
            )
        key = normalise(path)
        if key in of:
            raise DataError(f"{source}, line {number}: {printable(key)!r} comes twice")
        of[key] = tuple(i for i, mark in enumerate(marks) if mark == "1")
    if width is None:
        raise DataError(f"{source}: no rows")
    return of, width


def text_of(source: Path) -> str:
    """Text of a file: UTF-8, or UTF-16 if its first bytes say so; Windows line ends are fine.

    Raises:
        DataError: Another encoding; the message names the first line that shows it.
    """
    try:
        content = source.read_bytes()
    except OSError as error:
        raise DataError(f"{source}: {error.strerror}") from None
    return decoded(source, content).replace("\r\n", "\n").replace("\r", "\n")


def decoded(source: Path, content: bytes) -> str:
    """The same of content that is read already, with its line ends as they are."""
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{source}, line {line}: not UTF-8 text; save the file with the encoding UTF-8"
        ) from None
    if "\0" in text:
        raise DataError(f"{source}: not a text file")
    return text


def sparse_zeros(rows: int, columns: int) -> np.ndarray:
    """Zeros, uint8 `(rows, columns)`, that take memory only where something is written to them.

    (NumPy asks Linux for huge pages, with which a label in each row takes the memory of them all.)
    """
    if not hasattr(mmap, "MADV_NOHUGEPAGE") or not rows * columns:
        return np.zeros((rows, columns), np.uint8)
    memory = mmap.mmap(-1, rows * columns, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.uint8, rows * columns).reshape(rows, columns)


def label_rows(labels: Labels, ids: list[str]) -> tuple[np.ndarray, list[str]]:
    """The labels of images, and the labelled paths that are none of them.

    Args:
        labels: What the label files say.
        ids: Paths of the images, relative to the folder that the label files speak of.

    Returns:
        uint8 `(images, classes)`, multi-hot, and the paths without a file, in file order.
    """
    rows = sparse_zeros(len(ids), len(labels.classes))
    known = set()
    for row, name in enumerate(ids):
        key = normalise(name)
        classes = labels.of.get(key)
        if classes is not None:
            known.add(key)
            rows[row, list(classes)] = 1
    return rows, [path for path in labels.of if path not in known]
