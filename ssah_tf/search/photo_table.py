"""The photos of an index as a table: one Parquet file, columns in memory, a `Photo` when asked."""

import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from ssah_tf.data.perceptual_hash import BYTES
from ssah_tf.encoding.records import DIGEST_BYTES, Record, unchanged
from ssah_tf.system.errors import SsahError
from ssah_tf.system.files import atomic_path

if TYPE_CHECKING:
    import pyarrow

#: Columns that tables of older versions do not have.
LATER = ("taken", "taken_from", "camera", "second_pictures")


@dataclass(frozen=True)
class Photo:
    """A file of the index.

    Attributes:
        path: Absolute.
        digest: SHA-256 of its content, hexadecimal.
        size: Bytes.
        mtime_ns: Time of the last change, nanoseconds.
        labels: Names of its classes, maybe none.
        perceptual_hash: Perceptual hash; see `data.perceptual_hash`.
        taken: When it was taken, as `dates` writes it; "" if that is not known.
        taken_from: What says so: `exif`, the time of the `file`, or `none`; "" if the file was not
            asked yet.
        camera: The model that took it; "" if that is not known.
        second_pictures: What is in the file behind the picture, and beside it; see
            `data.second_pictures`.
    """

    path: str
    digest: str
    size: int
    mtime_ns: int
    labels: tuple[str, ...] = ()
    perceptual_hash: bytes = bytes(BYTES)
    taken: str = ""
    taken_from: str = ""
    camera: str = ""
    second_pictures: str = ""

    def unchanged(self) -> bool:
        """Whether the file has the size and the time of change that it had."""
        return unchanged(self.path, self.size, self.mtime_ns)

    @classmethod
    def of(cls, record: Record) -> "Photo":
        """The photo of a record, without labels."""
        facts = record.digest.hex(), record.size, record.mtime_ns
        return cls(record.path, *facts, perceptual_hash=record.perceptual_hash)

    def read_again(self, record: Record) -> "Photo":
        """The photo as its file is now: its labels stay, and its date if the file is as it was."""
        new = replace(Photo.of(record), labels=self.labels)
        if (new.digest, new.mtime_ns) != (self.digest, self.mtime_ns):
            return new
        return replace(new, **{name: getattr(self, name) for name in LATER})


class PhotoTable(Mapping[int, Photo]):
    """Photos by id, ids ascending.

    Attributes:
        table: PyArrow table with the columns `id`, `path`, `digest`, `size`, `mtime_ns`, `labels`,
            `perceptual_hash`, `taken`, `taken_from`, `camera`, `second_pictures`.
        ids: int64 `(n,)`.
    """

    def __init__(self, table: "pyarrow.Table"):
        self.table = table
        self.ids = fixed_width(table["id"]).view(np.int64)[:, 0]
        # A cell of an array comes seven times as quickly as one of a chunked array.
        self._arrays = [c.chunk(0) if c.num_chunks == 1 else c for c in table.columns]

    @classmethod
    def of(cls, photos: Mapping[int, Photo]) -> "PhotoTable":
        """The table of photos in the order of their ids."""
        arrow = import_pyarrow()
        ids = sorted(photos)
        rows = [photos[number] for number in ids]
        columns: dict[str, list[Any]] = {
            "id": ids,
            "path": [photo.path for photo in rows],
            "digest": [bytes.fromhex(photo.digest) for photo in rows],
            "size": [photo.size for photo in rows],
            "mtime_ns": [photo.mtime_ns for photo in rows],
            "labels": [list(photo.labels) for photo in rows],
            "perceptual_hash": [photo.perceptual_hash for photo in rows],
            **{name: [getattr(photo, name) for photo in rows] for name in LATER},
        }
        arrays = {
            column.name: path_column(arrow, columns["path"])
            if column.name == "path"
            else arrow.array(columns[column.name], column.type)
            for column in schema_of(arrow)
        }
        return cls(arrow.table(arrays))

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids.tolist())

    def __getitem__(self, number: int) -> Photo:
        row = int(np.searchsorted(self.ids, number))
        if row == len(self.ids) or self.ids[row] != number:
            raise KeyError(number)
        return self.at(row)

    def at(self, row: int) -> Photo:
        """The photo of a row."""
        _, path, digest, size, mtime_ns, labels, *others = (
            array[row].as_py() for array in self._arrays
        )
        return Photo(os.fsdecode(path), digest.hex(), size, mtime_ns, tuple(labels), *others)

    def whole(self) -> "PhotoTable":
        """All photos, in memory: these."""
        return self

    def some(self, ids: Iterable[int]) -> Mapping[int, Photo]:
        """Photos of these ids at least, as far as they are there."""
        return self

    def paths(self) -> list[str]:
        """Path of each photo."""
        return [os.fsdecode(path) for path in self.table["path"].to_pylist()]

    def contents(self) -> np.ndarray:
        """The digest of each photo's content, as NumPy can sort and compare it: void `(n,)`."""
        return fixed_width(self.table["digest"]).reshape(-1).view("V32")

    def perceptual_hashes(self) -> np.ndarray:
        """The perceptual hash of each photo, uint8 `(n, bytes)`."""
        return fixed_width(self.table["perceptual_hash"])

    def in_memory(self) -> dict[int, Photo]:
        """All photos by id: quicker than one by one."""
        names = ("digest", "size", "mtime_ns", "labels", "perceptual_hash", *LATER)
        rows = zip(self.paths(), *(self.table[name].to_pylist() for name in names), strict=True)
        photos = [Photo(p, d.hex(), s, c, tuple(tags), *more) for p, d, s, c, tags, *more in rows]
        return dict(zip(self, photos, strict=True))

    def write(self, file: Path) -> None:
        """Write the Parquet file, whole or not at all.

        Raises:
            RunError: The disk is full, or the folder cannot be written.
        """
        import_pyarrow()
        from pyarrow import parquet

        with atomic_path(file) as path:
            parquet.write_table(self.table, path, compression="zstd")

    @classmethod
    def read(cls, file: Path) -> "PhotoTable":
        """Read the Parquet file.

        Raises:
            ValueError: It is not such a table.
            OSError: It cannot be read.
        """
        arrow = import_pyarrow()
        from pyarrow import parquet

        try:
            with parquet.ParquetFile(file) as opened:
                table = opened.read().combine_chunks()
            table.validate(full=True)  # text that is none, lists beyond their end
        except arrow.ArrowException as error:
            raise ValueError(f"{file.name} is damaged ({type(error).__name__})") from None
        return cls.checked(table, file.name)

    @classmethod
    def checked(cls, table: "pyarrow.Table", name: str) -> "PhotoTable":
        """A table that was read, if it has the right columns; an older one has fewer.

        Raises:
            ValueError: It has not.
        """
        arrow = import_pyarrow()
        schema = schema_of(arrow)
        for column in LATER:
            if column not in table.column_names:
                table = table.append_column(column, arrow.array([""] * len(table), arrow.string()))
        fits = table.column_names == schema.names and all(
            column.type == its or column.name == "path"
            for column, its in zip(schema, table.schema.types, strict=True)
        )
        if not fits or any(column.null_count for column in table.columns):
            raise ValueError(f"{name} has other columns")
        found = cls(table)
        if not bool((np.diff(found.ids) > 0).all()):
            raise ValueError(f"{name} is damaged (ids are not ascending)")
        return found


def schema_of(arrow: ModuleType) -> "pyarrow.Schema":
    """The columns of a table; that of paths may be bytes, see `path_column`.

    No array is made for it: `pyarrow.array` and `to_numpy` import pandas where that is installed.
    """
    return arrow.schema(
        {
            "id": arrow.int64(),
            "path": arrow.string(),
            "digest": arrow.binary(DIGEST_BYTES),
            "size": arrow.int64(),
            "mtime_ns": arrow.int64(),
            "labels": arrow.list_(arrow.string()),
            "perceptual_hash": arrow.binary(BYTES),
            **dict.fromkeys(LATER, arrow.string()),
        }
    )


def path_column(arrow: ModuleType, paths: list[str]) -> "pyarrow.Array":
    """Paths as text; as bytes if one of them is not UTF-8, which file systems allow."""
    try:
        return arrow.array(paths, arrow.string())
    except UnicodeEncodeError:
        return arrow.array([os.fsencode(path) for path in paths], arrow.binary())


def fixed_width(column: "pyarrow.ChunkedArray") -> np.ndarray:
    """A column of values of one width as uint8 `(n, width)`."""
    array = column.combine_chunks()
    width = array.type.bit_width // 8
    content = np.frombuffer(array.buffers()[1] or b"", np.uint8)
    return content[array.offset * width : (array.offset + len(array)) * width].reshape(-1, width)


def import_pyarrow() -> ModuleType:
    """PyArrow, or one line that says how to get it.

    Raises:
        SsahError: It is not installed.
    """
    try:
        return importlib.import_module("pyarrow")
    except ImportError:
        raise SsahError("an index of photos needs pyarrow: pip install 'ssah-tf[search]'") from None
