"""An index in PostgreSQL, with or without the extension pgvector."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, LiteralString, Self

import numpy as np

from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.search.backends.address import Address, older
from ssah_tf.search.backends.stored import CodesOf
from ssah_tf.search.index import IdsCodes, IdsDistances, Index
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import first_line

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composable, Composed

#: The form of our tables; 2 has the columns `mtime_ns` and `perceptual_hash` of photos, 3 can have
#: appearance codes.
LAYOUT = 3
#: The oldest that is read as it is.
READ = 2
#: Layout, metric, and what codes are.
About = tuple[int, str, CodesOf]
#: Name of the lock under which an index is begun.
LOCK = "ssah-tf: new index"
#: Rows that `items` reads at a time.
BLOCK = 1 << 16

TABLES = """
CREATE SCHEMA {s};
CREATE TABLE {s}.about (layout int, model_id text, bits int, metric text, appearance_bits int);
-- Of an index of photos: what they are, and its encoder. A path that is not UTF-8 is `raw`.
CREATE TABLE {s}.photos (
    id bigint PRIMARY KEY, path text, raw bytea, digest bytea, size bigint, mtime_ns bigint,
    labels text[], perceptual_hash bytea, taken text NOT NULL DEFAULT '',
    taken_from text NOT NULL DEFAULT '', camera text NOT NULL DEFAULT '',
    second_pictures text NOT NULL DEFAULT ''
);
CREATE TABLE {s}.files (name text PRIMARY KEY, content bytea);
-- Each distinct code once, and the smallest id that has it.
CREATE TABLE {s}.codes (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code bit({bits}) NOT NULL UNIQUE,
    first bigint NOT NULL
);
CREATE TABLE {s}.postings (
    id bigint PRIMARY KEY, code bigint NOT NULL REFERENCES {s}.codes{appearance_column}
);
CREATE INDEX ON {s}.postings (code, id);
"""

# The codes are ordered by their smallest ids, too, so whatever comes behind the k nearest of them
# has k ids before it; and of one code the first k ids are enough.
SEARCH = """
WITH near AS MATERIALIZED (
    SELECT number, {distance} AS distance FROM {s}.codes ORDER BY distance, first LIMIT %(k)s
)
SELECT owner.id, near.distance::int FROM near CROSS JOIN LATERAL (
    SELECT id FROM {s}.postings WHERE code = near.number ORDER BY id LIMIT %(k)s
) AS owner
ORDER BY near.distance, owner.id LIMIT %(k)s
"""
WITHIN = """
SELECT id, near.distance::int
FROM (SELECT number, {distance} AS distance FROM {s}.codes) AS near
JOIN {s}.postings ON postings.code = near.number
WHERE near.distance <= %(radius)s ORDER BY near.distance, {apart}id
"""
# All codes of the distance at which k ids are reached have to be looked at.
SEARCH_BY_APPEARANCE = """
WITH near AS MATERIALIZED (
    SELECT number, {distance} AS distance FROM {s}.codes ORDER BY distance, first LIMIT %(k)s
), counted AS (
    SELECT distance, (
        SELECT count(*) FROM (SELECT FROM {s}.postings WHERE code = near.number LIMIT %(k)s) AS few
    ) AS owners FROM near
), reached AS (
    SELECT distance, sum(owners) OVER (ORDER BY distance) AS owners FROM counted
)
SELECT id, near.distance::int
FROM (SELECT number, {distance} AS distance FROM {s}.codes) AS near
JOIN {s}.postings ON postings.code = near.number
WHERE near.distance <= (
    SELECT coalesce(min(distance) FILTER (WHERE owners >= %(k)s), {bits}) FROM reached
)
ORDER BY near.distance, {apart}id LIMIT %(k)s
"""
AMONG = """
SELECT id, ({distance})::int FROM {s}.postings JOIN {s}.codes ON number = postings.code
WHERE id = ANY(%(among)s) AND {distance} <= %(radius)s
ORDER BY {distance}, {apart}id LIMIT %(k)s
"""

ADD = """
INSERT INTO {s}.codes (code, first) SELECT code, min(id) FROM incoming GROUP BY code ORDER BY 2
    ON CONFLICT (code) DO UPDATE SET first = least(codes.first, excluded.first);
INSERT INTO {s}.postings (id, code{appearance})
    SELECT id, number{appearance} FROM incoming JOIN {s}.codes USING (code) ORDER BY id;
"""
REMOVE = "DELETE FROM {s}.postings WHERE id = ANY(%s) RETURNING id, code"
# First the codes that nobody has any more, then the smallest ids of the others.
DESERTED = """
DELETE FROM {s}.codes WHERE number = ANY(%(codes)s)
    AND NOT EXISTS (SELECT FROM {s}.postings WHERE code = number)
"""
FIRSTS = """
UPDATE {s}.codes SET first = (SELECT min(id) FROM {s}.postings WHERE code = number)
WHERE number = ANY(%(codes)s)
"""


class PostgresIndex(Index):
    """A schema of a PostgreSQL database; each call is one transaction.

    Distinct codes are one table, the ids that have them another, with appearance codes. Distances
    are taken by pgvector where it is there, by `bit_count` otherwise. One process writes at a time,
    the others wait; readers wait for nobody. A call sees one state of the index.

    Args:
        address: Where it is.
        connection: An open one, of psycopg.

    Attributes:
        address: Where it is.
        connection: For what else is kept there.
    """

    def __init__(self, address: Address, connection: "Connection[tuple[Any, ...]]", codes: CodesOf):
        self.address = address
        self.connection = connection
        self.take(codes)

    def take(self, codes: CodesOf) -> None:
        """Be an index of such codes."""
        self.bits, self.model_id = codes.bits, codes.model_id
        self.appearance_bits = codes.appearance_bits
        self.vectors = self.pgvector()

    @classmethod
    def open(cls, address: Address, codes: CodesOf | None = None) -> Self:
        """Open an index, or begin one of such codes if there is none.

        Raises:
            SsahError: No connection, no index, or one of other codes.
        """
        connection = connect(address)
        try:
            with faults(address):
                found = about(connection, address)
                if found is None and codes is not None:
                    # One process at a time; another may have been first.
                    connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [LOCK])
                    with connection.transaction():
                        found = about(connection, address) or make(connection, address, codes)
                    connection.execute("SELECT pg_advisory_unlock(hashtext(%s))", [LOCK])
            if found is None:
                raise SsahError(f"{address}: no index; make one with `ssah index`")
            layout, metric, its = found
            if layout < READ:
                if codes is None:
                    raise older(address)
                with faults(address):
                    upgrade(connection, address)
            if layout > LAYOUT or metric != "hamming":
                raise SsahError(
                    f"{address} was made by a newer version of ssah-tf: "
                    "pip install --upgrade ssah-tf"
                )
            return cls(address, connection, its)
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def __len__(self) -> int:
        [(count,)] = self.rows("SELECT count(*) FROM {s}.postings")
        return int(count)

    def __contains__(self, number: int) -> bool:
        return bool(self.rows("SELECT FROM {s}.postings WHERE id = %s", [int(number)]))

    def items(self) -> Iterator[IdsCodes]:
        """See `Index.items`."""
        with self.transaction() as connection, connection.cursor("items") as cursor:
            cursor.execute(
                self.sql(
                    "SELECT id, codes.code::text{appearance_text} FROM {s}.postings JOIN {s}.codes "
                    "ON number = postings.code ORDER BY id"
                )
            )
            lengths = [bits for bits in (self.bits, self.appearance_bits) if bits]
            while rows := cursor.fetchmany(BLOCK):
                ids, *columns = zip(*rows, strict=True)
                codes = [packed("".join(c), n) for c, n in zip(columns, lengths, strict=True)]
                yield np.array(ids, np.int64), np.concatenate(codes, axis=1)

    @contextmanager
    def transaction(self) -> Iterator["Connection[tuple[Any, ...]]"]:
        """All or nothing, on one state of the database; calls within one belong to it."""
        with faults(self.address), self.connection.transaction():
            yield self.connection

    @contextmanager
    def writing(self) -> Iterator["Connection[tuple[Any, ...]]"]:
        """A transaction beside which no other writes."""
        with self.transaction() as connection:
            connection.execute(self.sql("LOCK TABLE {s}.codes IN SHARE ROW EXCLUSIVE MODE"))
            yield connection

    def rows(
        self, text: str, values: Sequence[Any] | Mapping[str, Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Rows of a statement, in a transaction of its own or in the one that is open."""
        with self.transaction() as connection:
            return connection.execute(self.sql(text), values).fetchall()

    def sql(self, text: str, by_appearance: bool = False) -> "Composed":
        """A statement with our names in it.

        Args:
            text: The statement.
            by_appearance: Whether ids of one distance are ordered by appearance.
        """
        from psycopg import sql

        parts = names_of(self.address, self.bits, self.appearance_bits)
        parts["apart"] = sql.SQL("")
        if "{distance}" in text:
            parts["distance"] = self.distance("codes.code", "query", self.bits)
        if by_appearance:
            look = self.distance("postings.appearance", "look", self.appearance_bits)
            parts["apart"] = sql.SQL("{}, ").format(look)
        return sql.SQL(text).format(**parts)

    def begin_anew(self, codes: CodesOf) -> None:
        """Empty the index, of all that it holds, for codes of another model; see `transaction`."""
        with self.writing() as connection:
            connection.execute(self.sql("DROP SCHEMA {s} CASCADE"))
            make(connection, self.address, codes)
            self.take(codes)

    def pgvector(self) -> str | None:
        """The schema of the extension, None if it is not there or cannot do bits."""
        found = self.rows(
            "SELECT nspname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace "
            "WHERE proname = 'hamming_distance' AND proargtypes::text = '1560 1560'"
        )
        return found[0][0] if found else None

    def distance(self, column: LiteralString, query: LiteralString, bits: int) -> "Composed":
        """Distance of a column to a value as SQL: by pgvector if it is there, or by the core.

        Never by the operator `<~>`: an index that somebody adds (HNSW, IVFFlat) serves it, and
        gives some of the nearest codes only.
        """
        from psycopg import sql

        ours = sql.SQL(column)
        given = sql.SQL("{}::bit({})").format(sql.Placeholder(query), sql.Literal(bits))
        if self.vectors is None:
            return sql.SQL("bit_count({} # {})").format(ours, given)
        function = sql.SQL("{}.hamming_distance({}, {})")
        return function.format(sql.Identifier(self.vectors), ours, given)

    def columns(self, codes: np.ndarray) -> list[list[str]]:
        """Full codes as text: codes, and appearance codes if they are there."""
        code, appearance = self.split(codes)
        found = [texts(code, self.bits)]
        return [*found, texts(appearance, self.appearance_bits)] if appearance.shape[1] else found

    def _add(self, ids: np.ndarray, codes: np.ndarray) -> None:
        with self.writing() as connection:
            self._insert(connection, ids, codes)

    def _remove(self, ids: np.ndarray) -> None:
        with self.writing() as connection:
            self._delete(connection, ids)

    def _update(self, ids: np.ndarray, codes: np.ndarray) -> None:
        with self.writing() as connection:
            self._delete(connection, np.sort(ids))
            self._insert(connection, ids, codes)

    def _insert(
        self, connection: "Connection[tuple[Any, ...]]", ids: np.ndarray, codes: np.ndarray
    ) -> None:
        incoming = "(id bigint, code bit({bits}){appearance_column})"
        connection.execute(self.sql(f"CREATE TEMPORARY TABLE incoming {incoming} ON COMMIT DROP"))
        with connection.cursor() as cursor:
            with cursor.copy("COPY incoming FROM STDIN") as copy:
                for row in zip(map(str, ids.tolist()), *self.columns(codes), strict=True):
                    copy.write("\t".join(row) + "\n")
            cursor.execute("ANALYZE incoming")
            there = "SELECT min(id) FROM incoming JOIN {s}.postings USING (id)"
            [(first,)] = cursor.execute(self.sql(there)).fetchall()
            if first is not None:
                raise SsahError(f"id {first} is in the index already")
            for statement in filter(str.strip, ADD.split(";")):
                cursor.execute(self.sql(statement))
            cursor.execute("DROP TABLE incoming")

    def _delete(self, connection: "Connection[tuple[Any, ...]]", ids: np.ndarray) -> None:
        gone = connection.execute(self.sql(REMOVE), [ids.tolist()]).fetchall()
        if len(gone) < len(ids):
            missing = np.setdiff1d(ids, [number for number, _ in gone])
            raise SsahError(f"id {missing[0]} is not in the index")
        codes = {"codes": list({code for _, code in gone})}
        for statement in (DESERTED, FIRSTS):
            connection.execute(self.sql(statement), codes)

    def _search(self, queries: np.ndarray, k: int, among: np.ndarray | None) -> IdsDistances:
        looks = queries.shape[1] > code_bytes(self.bits)
        with self.transaction() as connection:
            if among is None:
                statement = self.sql(SEARCH_BY_APPEARANCE if looks else SEARCH, looks)
                values: dict[str, Any] = {"k": k}
            else:
                statement = self.sql(AMONG, looks)
                values = {"k": k, "among": among.tolist(), "radius": self.bits}
            found = self._each(connection, statement, values, queries)
        # The k nearest, or all that there are: as many for each query.
        return np.stack([ids for ids, _ in found]), np.stack([far for _, far in found])

    def _within(
        self, queries: np.ndarray, radius: int, among: np.ndarray | None
    ) -> list[IdsDistances]:
        looks = queries.shape[1] > code_bytes(self.bits)
        with self.transaction() as connection:
            if among is None:
                statement = self.sql(WITHIN, looks)
                values: dict[str, Any] = {"radius": radius}
            else:
                statement = self.sql(AMONG, looks)
                values = {"k": None, "among": among.tolist(), "radius": radius}
            return self._each(connection, statement, values, queries)

    def _each(
        self,
        connection: "Connection[tuple[Any, ...]]",
        statement: "Composed",
        values: dict[str, Any],
        queries: np.ndarray,
    ) -> list[IdsDistances]:
        found = []
        for row in zip(*self.columns(queries), strict=True):
            given = dict(zip(("query", "look"), row, strict=False))
            rows = connection.execute(statement, values | given).fetchall()
            table = np.array(rows, np.int64).reshape(-1, 2)
            found.append((table[:, 0], table[:, 1].astype(np.int32)))
        return found


#: Columns of photos that an older version called otherwise.
RENAMED = {"changed": "mtime_ns", "looks": "perceptual_hash"}


def upgrade(connection: "Connection[tuple[Any, ...]]", address: Address) -> None:
    """Bring the tables of an older version into a form that is read, in one transaction."""
    from psycopg import sql

    name = sql.Identifier(address.name)
    with connection.transaction():
        # Nobody else does so at the same time.
        connection.execute(sql.SQL("LOCK TABLE {}.photos").format(name))
        rows = connection.execute(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = %s AND table_name = 'photos'",
            [address.name],
        ).fetchall()
        there = {column for (column,) in rows}
        for old, new in RENAMED.items():
            if old in there:
                parts = name, sql.Identifier(old), sql.Identifier(new)
                rename = sql.SQL("ALTER TABLE {}.photos RENAME COLUMN {} TO {}")
                connection.execute(rename.format(*parts))
        connection.execute(sql.SQL("UPDATE {}.about SET layout = %s").format(name), [READ])


def connect(address: Address) -> "Connection[tuple[Any, ...]]":
    """A connection whose transactions see one state of the database.

    Raises:
        SsahError: There is none.
    """
    try:
        import psycopg
    except ImportError:
        raise SsahError("PostgreSQL needs psycopg: pip install 'ssah-tf[pgvector]'") from None
    with faults(address):
        connection = psycopg.connect(
            address.server, autocommit=True, application_name="ssah-tf", connect_timeout=10
        )
        try:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            if connection.info.server_version < 140_000:
                raise SsahError(f"{address}: PostgreSQL 14 or newer is needed")
        except BaseException:
            connection.close()
            raise
        return connection


@contextmanager
def faults(address: Address) -> Iterator[None]:
    """What the server refuses, as one line that shows no password.

    Raises:
        SsahError: Whatever psycopg raises.
    """
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise SsahError(f"{address}: {first_line(error)}") from None


def about(connection: "Connection[tuple[Any, ...]]", address: Address) -> About | None:
    """What the index says of itself, None if there is none.

    Raises:
        SsahError: The name is taken by something else.
    """
    from psycopg import sql

    found = connection.execute(
        "SELECT to_regclass(quote_ident(nspname) || '.about') IS NOT NULL AND "
        "to_regclass(quote_ident(nspname) || '.postings') IS NOT NULL "
        "FROM pg_namespace WHERE nspname = %s",
        [address.name],
    ).fetchone()
    if found is None:
        return None
    if not found[0]:
        raise SsahError(f"{address}: the schema {address.name} is no index: choose another name")
    # An index of an older version has no such column.
    looks = "coalesce((to_jsonb(about) ->> 'appearance_bits')::int, 0)"
    statement = f"SELECT layout, metric, bits, model_id, {looks} FROM {{}}.about"
    row = connection.execute(sql.SQL(statement).format(sql.Identifier(address.name))).fetchone()
    if row is None:
        return None
    layout, metric, *codes = row
    return layout, metric, CodesOf(*codes)


def make(connection: "Connection[tuple[Any, ...]]", address: Address, codes: CodesOf) -> About:
    """Make the tables of an index; give what `about` does."""
    from psycopg import sql

    parts = names_of(address, codes.bits, codes.appearance_bits)
    connection.execute(sql.SQL(TABLES).format(**parts))
    insert = sql.SQL("INSERT INTO {s}.about VALUES (%s, %s, %s, 'hamming', %s)").format(**parts)
    connection.execute(insert, [LAYOUT, codes.model_id, codes.bits, codes.appearance_bits])
    return LAYOUT, "hamming", codes


def names_of(address: Address, bits: int, appearance_bits: int) -> "dict[str, Composable]":
    """What our statements name; nothing for appearance codes where there are none."""
    from psycopg import sql

    name, length = sql.Identifier(address.name), sql.Literal(bits)
    column = sql.SQL(", appearance bit({}) NOT NULL").format(sql.Literal(appearance_bits))
    none = sql.SQL("")
    return {
        "s": name,
        "bits": length,
        "appearance_column": column if appearance_bits else none,
        "appearance": sql.SQL(", appearance") if appearance_bits else none,
        "appearance_text": sql.SQL(", appearance::text") if appearance_bits else none,
    }


def texts(codes: np.ndarray, bits: int) -> list[str]:
    """Codes as text of 0 and 1."""
    digits = (np.unpackbits(codes, axis=1, count=bits) + ord("0")).tobytes().decode()
    return [digits[start : start + bits] for start in range(0, len(digits), bits)]


def packed(digits: str, bits: int) -> np.ndarray:
    """The inverse of `texts`, its texts joined."""
    ones = np.frombuffer(digits.encode(), np.uint8).reshape(-1, bits) - ord("0")
    return np.packbits(ones, axis=1).reshape(-1, code_bytes(bits))
