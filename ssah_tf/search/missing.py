"""Photos that are not in results now, but that nothing is forgotten of: ids, labels and codes."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

from ssah_tf.encoding.records import DIGEST_BYTES
from ssah_tf.search.photo_table import Photo, PhotoTable, import_pyarrow


@dataclass(frozen=True)
class Aside:
    """A photo whose file is gone, cannot be read, or lies outside the sources.

    Attributes:
        photo: As it was.
        code: Its code; empty where it has none of the index's encoder, so that it is made anew.
    """

    photo: Photo
    code: bytes


class Missing:
    """The missing photos of an index by id; read when they are first needed.

    Args:
        read: Reads them.
    """

    def __init__(self, read: Callable[[], Mapping[int, Aside]] = dict):
        self._read = read

    @classmethod
    def of(cls, rows: Mapping[int, Aside]) -> "Missing":
        """Those that are in memory already."""
        return cls(lambda: rows)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def rows(self) -> Mapping[int, Aside]:
        """Id -> photo and code."""
        return self._read()

    @property
    def labelled(self) -> int:
        """How many of them have labels."""
        return sum(bool(one.photo.labels) for one in self.rows.values())


def to_bytes(rows: Mapping[int, Aside]) -> bytes:
    """Missing photos as a Parquet file: the columns of photos, and `code`."""
    arrow = import_pyarrow()
    from pyarrow import parquet

    table = PhotoTable.of({number: one.photo for number, one in rows.items()}).table
    codes = arrow.array([rows[number].code for number in sorted(rows)], arrow.binary())
    stream = BytesIO()
    parquet.write_table(table.append_column("code", codes), stream, compression="zstd")
    return stream.getvalue()


def from_bytes(content: bytes, name: str) -> dict[int, Aside]:
    """The missing photos of a Parquet file.

    Args:
        content: Of the file.
        name: For messages.

    Raises:
        ValueError: It is not such a table.
    """
    arrow = import_pyarrow()
    from pyarrow import parquet

    try:
        table = parquet.read_table(BytesIO(content)).combine_chunks()
        table.validate(full=True)
        codes = table["code"].cast(arrow.binary()).to_pylist()
        photos = PhotoTable.checked(table.drop_columns(["code"]), name).in_memory()
    except (arrow.ArrowException, KeyError) as error:
        raise ValueError(f"{name} is damaged ({type(error).__name__})") from None
    rows = zip(photos.items(), codes, strict=True)
    return {number: Aside(photo, code or b"") for (number, photo), code in rows}


def read_older(file: Path) -> dict[int, Aside]:
    """The photos of an index that an older version made, without codes.

    Its columns had other names, `changed` for `mtime_ns`, and maybe no perceptual hash.

    Raises:
        ValueError: It is not such a table.
        OSError: It cannot be read.
    """
    arrow = import_pyarrow()
    from pyarrow import parquet

    try:
        table = parquet.read_table(BytesIO(file.read_bytes()))
        rows = table.select(["id", "path", "digest", "labels"]).to_pylist()
        return {int(row["id"]): Aside(older_photo(row), b"") for row in rows}
    except (arrow.ArrowException, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file.name} is damaged ({type(error).__name__})") from None


def older_photo(row: dict[str, Any]) -> Photo:
    """The photo of a row; its size fits no file, so that the file is read.

    Raises:
        ValueError: The digest is none.
    """
    digest = bytes.fromhex(row["digest"]) if isinstance(row["digest"], str) else row["digest"]
    if len(digest) != DIGEST_BYTES:
        raise ValueError("a digest is damaged")
    return Photo(os.fsdecode(row["path"]), digest.hex(), -1, 0, tuple(row["labels"]))
