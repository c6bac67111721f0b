"""The table that a person fills in: a label file, with photos that wait for a label at its end."""

import codecs
import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ssah_tf.data.labels import SEPARATOR, normalise, read_labels
from ssah_tf.data.names import class_name
from ssah_tf.system.errors import DataError
from ssah_tf.system.files import write_atomically


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
    if labels is None and path.exists():
        labels = path
    known = {} if labels is None else read_labels(labels).of
    before = b"path,label\n" if labels is None else as_table(labels)
    encoding = encoding_of(before)
    text = before.decode(encoding).lstrip("\ufeff")
    newline = "\r\n" if "\r\n" in text else "\n"
    header = next(csv.reader(io.StringIO(text), skipinitialspace=True))
    place = [class_name(name).lower() for name in header].index("path")
    added = [name for name in names if normalise(name) not in known]
    rows = io.StringIO(newline="")
    if not text.endswith(("\n", "\r")):
        rows.write(newline)
    writer = csv.writer(rows, lineterminator=newline)
    for name in added:
        writer.writerow([name if column == place else "" for column in range(len(header))])
    write_atomically(path, before + rows.getvalue().encode(encoding))
    return len(added)


def as_table(labels: Path) -> bytes:
    """The content of a label file as a table: as it is, if it is one."""
    if labels.suffix.lower() == ".csv":
        return labels.read_bytes()
    known = read_labels(labels)
    rows = io.StringIO(newline="")
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(["path", "label"])
    for path, classes in known.of.items():
        writer.writerow([path, SEPARATOR.join(known.classes[i] for i in classes)])
    return rows.getvalue().encode()


def encoding_of(content: bytes) -> str:
    """The encoding of a label file that `text_of` reads, without a byte order mark."""
    return {
        codecs.BOM_UTF16_LE: "utf-16-le",
        codecs.BOM_UTF16_BE: "utf-16-be",
    }.get(content[:2], "utf-8")


def can_be_named(name: str) -> bool:
    """Whether a label file can name a photo: it is text, and is read as it is written."""
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no text
        return False
    return name == name.strip() and not {"\r", "\0", "\\"} & set(name)
