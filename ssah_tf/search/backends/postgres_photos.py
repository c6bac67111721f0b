"""Photos of an index in PostgreSQL."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, LiteralString, Self

from ssah_tf.search.backends.address import Address
from ssah_tf.search.backends.postgres import PostgresIndex, upgrade
from ssah_tf.search.backends.stored import ABOUT, MISSING, Change, CodesOf
from ssah_tf.search.photo_table import LATER, Photo

if TYPE_CHECKING:
    from psycopg import Connection

COLUMNS = (
    *("path", "raw", "digest", "size", "mtime_ns", "labels", "perceptual_hash"),
    *LATER,
)
#: What stands in for a column that an older version did not make.
NONE: Mapping[str, LiteralString] = dict.fromkeys(LATER, "''")


WRITE = f"""
INSERT INTO {{s}}.photos (id, {", ".join(COLUMNS)})
    SELECT id, {", ".join(COLUMNS)} FROM incoming_photos
    ON CONFLICT (id) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS)}
"""


class PostgresPhotos:
    """Tables beside those of a `PostgresIndex`; a change is one transaction. See `PhotoStore`."""

    cannot: Mapping[str, str] = {}

    def __init__(self, index: PostgresIndex):
        self.index = index
        self.address = index.address
        self._columns: set[str] = set()

    @classmethod
    def open(cls, address: Address, codes: CodesOf | None = None) -> Self:
        """See `PostgresIndex.open`."""
        return cls(PostgresIndex.open(address, codes))

    def photos(self, ids: Iterable[int] | None = None) -> dict[int, Photo]:
        """See `PhotoStore.photos`."""
        which, values = ("", ()) if ids is None else ("WHERE id = ANY(%s)", [list(ids)])
        there = self.columns()
        names = ", ".join(name if name in there else NONE[name] for name in COLUMNS)
        rows = self.index.rows(f"SELECT id, {names} FROM {{s}}.photos {which}", values)
        return {
            number: Photo(
                path if raw is None else os.fsdecode(raw),
                digest.hex(),
                size,
                mtime_ns,
                tuple(labels),
                *more,
            )
            for number, path, raw, digest, size, mtime_ns, labels, *more in rows
        }

    def columns(self) -> set[str]:
        """Names of the columns of photos; an older version made fewer."""
        if not self._columns.issuperset(LATER):
            rows = self.index.rows(
                "SELECT column_name FROM information_schema.columns "
                "WHERE table_schema = %s AND table_name = 'photos'",
                [self.address.name],
            )
            self._columns = {name for (name,) in rows}
        return self._columns

    def file(self, name: str) -> bytes | None:
        """See `PhotoStore.file`."""
        rows = self.index.rows("SELECT content FROM {s}.files WHERE name = %s", [name])
        return bytes(rows[0][0]) if rows else None

    def missing(self) -> bytes | None:
        """See `PhotoStore.missing`."""
        return self.file(MISSING)

    def upgrade(self) -> None:
        """See `PhotoStore.upgrade`."""
        with self.index.transaction() as connection:
            upgrade(connection, self.address)

    def stamp(self) -> str:
        """See `PhotoStore.stamp`."""
        return hashlib.sha256(self.file(ABOUT) or b"").hexdigest()

    def writing(self) -> AbstractContextManager["Connection[tuple[Any, ...]]"]:
        """See `PhotoStore.writing`."""
        return self.index.writing()

    def write(self, change: Change) -> None:
        """See `PhotoStore.write`."""
        with self.writing() as connection:
            sql = self.index.sql
            if change.codes_of is not None:
                self.index.begin_anew(change.codes_of)
            here = "SELECT id FROM {s}.postings WHERE id = ANY(%s)"
            gone = self.index.rows(here, [change.removed.tolist()])
            self.index.remove([number for (number,) in gone])
            self.index.add(*change.added)
            self.index.update(*change.updated)
            connection.execute(
                sql("DELETE FROM {s}.photos WHERE id = ANY(%s)"), [change.removed.tolist()]
            )
            for name in set(LATER) - self.columns():
                add = "ALTER TABLE {s}.photos ADD COLUMN " + name + " text NOT NULL DEFAULT ''"
                connection.execute(sql(add))
            connection.execute(
                sql("CREATE TEMPORARY TABLE incoming_photos (LIKE {s}.photos) ON COMMIT DROP")
            )
            with connection.cursor() as cursor:
                into = f"incoming_photos (id, {', '.join(COLUMNS)})"
                with cursor.copy(f"COPY {into} FROM STDIN") as copy:
                    for number, photo in change.photos.items():
                        copy.write_row((number, *as_row(photo)))
                cursor.execute(sql(WRITE))
            files = change.files | ({} if change.missing is None else {MISSING: change.missing})
            for name, content in files.items():
                connection.execute(
                    sql(
                        "INSERT INTO {s}.files VALUES (%s, %s) "
                        "ON CONFLICT (name) DO UPDATE SET content = excluded.content"
                    ),
                    [name, content],
                )

    def disk(self) -> dict[str, int]:
        """See `PhotoStore.disk`."""
        rows = self.index.rows(
            "SELECT relname, pg_total_relation_size(c.oid) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = %s AND relkind = 'r'",
            [self.address.name],
        )
        sizes = dict(rows)
        return {
            "codes": sizes["codes"] + sizes["postings"],
            "photos": sizes["photos"],
            "encoder": sizes["files"],
        }


def as_row(photo: Photo) -> tuple[Any, ...]:
    """A photo as columns; a path that is not UTF-8 is kept as bytes, too."""
    raw = os.fsencode(photo.path)
    path = raw.decode("utf-8", "replace")
    exact = None if path.encode() == raw else raw
    digest, labels = bytes.fromhex(photo.digest), list(photo.labels)
    facts = photo.size, photo.mtime_ns, labels, photo.perceptual_hash
    return path, exact, digest, *facts, *(getattr(photo, name) for name in LATER)
