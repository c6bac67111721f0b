"""An index in PostgreSQL, with or without the extension pgvector."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.search.backends.address import Address, older
from ssah_tf.search.index import IdsCodes, IdsDistances, Index
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import first_line

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composable, Composed

#: The form of our tables; 2 has the columns `mtime_ns` and `perceptual_hash` of photos.
LAYOUT = 2
#: Name of the lock under which an index is begun.
LOCK = "ssah-tf: new index"
#: Rows that `items` reads at a time.
BLOCK = 1 << 16

TABLES = """
CREATE SCHEMA {s};
CREATE TABLE {s}.about (layout int, model_id text, bits int, metric text);
-- Of an index of photos: what they are, and its encoder. A path that is not UTF-8 is `raw`.
CREATE TABLE {s}.photos (
    id bigint PRIMARY KEY, path text, raw bytea, digest bytea, size bigint, mtime_ns bigint,
    labels text[], perceptual_hash bytea
);
CREATE TABLE {s}.files (name text PRIMARY KEY, content bytea);
-- Each distinct code once, and the smallest id that has it.
CREATE TABLE {s}.codes (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code bit({bits}) NOT NULL UNIQUE,
    first bigint NOT NULL
);
CREATE TABLE {s}.postings (id bigint PRIMARY KEY, code bigint NOT NULL REFERENCES {s}.codes);
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
WHERE near.distance <= %(radius)s ORDER BY near.distance, id
"""
AMONG = """
SELECT id, distance::int FROM (
    SELECT id, {distance} AS distance FROM {s}.postings JOIN {s}.codes ON number = postings.code
    WHERE id = ANY(%(among)s)
) AS allowed
WHERE distance <= %(radius)s ORDER BY distance, id LIMIT %(k)s
"""

ADD = """
INSERT INTO {s}.codes (code, first) SELECT code, min(id) FROM incoming GROUP BY code ORDER BY 2
    ON CONFLICT (code) DO UPDATE SET first = least(codes.first, excluded.first);
INSERT INTO {s}.postings (id, code)
    SELECT id, number FROM incoming JOIN {s}.codes USING (code) ORDER BY id;
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

    Distinct codes are one table, the ids that have them another. Distances are taken by pgvector
    where it is there, by `bit_count` otherwise. One process writes at a time, the others wait;
    readers wait for nobody. A call sees one state of the index.

    Args:
        address: Where it is.
        connection: An open one, of psycopg.

    Attributes:
        address: Where it is.
        connection: For what else is kept there.
    """

    def __init__(
        self, address: Address, connection: "Connection[tuple[Any, ...]]", bits: int, model_id: str
    ):
        self.address = address
        self.connection = connection
        self.bits = bits
        self.model_id = model_id
        self.distance = self.distance_by(self.pgvector())

    @classmethod
    def open(cls, address: Address, bits: int | None = None, model_id: str | None = None) -> Self:
        """Open an index, or begin one if `bits` and `model_id` are given and there is none.

        Raises:
            SsahError: No connection, no index, or one of other codes.
        """
        connection = connect(address)
        try:
            with faults(address):
                found = about(connection, address)
                if found is None and bits is not None and model_id is not None:
                    # One process at a time; another may have been first.
                    connection.execute("SELECT pg_advisory_lock(hashtext(%s))", [LOCK])
                    with connection.transaction():
                        found = about(connection, address) or make(
                            connection, address, bits, model_id
                        )
                    connection.execute("SELECT pg_advisory_unlock(hashtext(%s))", [LOCK])
            if found is None:
                raise SsahError(f"{address}: no index; make one with `ssah index`")
            layout, *_ = found
            if layout < LAYOUT:
                if bits is None:
                    raise older(address)
                with faults(address):
                    upgrade(connection, address)
                layout = LAYOUT
            _, bits, model_id, metric = found
            if (layout, metric) != (LAYOUT, "hamming"):
                raise SsahError(
                    f"{address} was made by a newer version of ssah-tf: "
                    "pip install --upgrade ssah-tf"
                )
            return cls(address, connection, bits, model_id)
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
                    "SELECT id, codes.code::text FROM {s}.postings JOIN {s}.codes "
                    "ON number = postings.code ORDER BY id"
                )
            )
            while rows := cursor.fetchmany(BLOCK):
                ids, texts = zip(*rows, strict=True)
                yield np.array(ids, np.int64), packed("".join(texts), self.bits)

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

    def sql(self, text: str) -> "Composed":
        """A statement with our names in it."""
        from psycopg import sql

        name, bits = sql.Identifier(self.address.name), sql.Literal(self.bits)
        parts: dict[str, Composable] = {"s": name, "bits": bits}
        if "{distance}" in text:
            parts["distance"] = self.distance
        return sql.SQL(text).format(**parts)

    def begin_anew(self, bits: int, model_id: str) -> None:
        """Empty the index, of all that it holds, for codes of another model; see `transaction`."""
        with self.writing() as connection:
            connection.execute(self.sql("DROP SCHEMA {s} CASCADE"))
            make(connection, self.address, bits, model_id)
            self.bits, self.model_id = bits, model_id
            self.distance = self.distance_by(self.pgvector())

    def pgvector(self) -> str | None:
        """The schema of the extension, None if it is not there or cannot do bits."""
        found = self.rows(
            "SELECT nspname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace "
            "WHERE proname = 'hamming_distance' AND proargtypes::text = '1560 1560'"
        )
        return found[0][0] if found else None

    def distance_by(self, schema: str | None) -> "Composed":
        """Distance of a code to the query as SQL: by pgvector in a schema, or by the core."""
        from psycopg import sql

        query = sql.SQL("%(query)s::bit({})").format(sql.Literal(self.bits))
        if schema is None:
            return sql.SQL("bit_count(codes.code # {})").format(query)
        operator = sql.SQL("codes.code OPERATOR({}.<~>) {}")
        return operator.format(sql.Identifier(schema), query)

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
        connection.execute(
            self.sql("CREATE TEMPORARY TABLE incoming (id bigint, code bit({bits})) ON COMMIT DROP")
        )
        with connection.cursor() as cursor:
            with cursor.copy("COPY incoming FROM STDIN") as copy:
                for number, text in zip(ids.tolist(), texts(codes, self.bits), strict=True):
                    copy.write(f"{number}\t{text}\n")
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
        with self.transaction() as connection:
            if among is None:
                statement, values = self.sql(SEARCH), {"k": k}
            else:
                statement = self.sql(AMONG)
                values = {"k": k, "among": among.tolist(), "radius": self.bits}
            found = self._each(connection, statement, values, queries)
        # The k nearest, or all that there are: as many for each query.
        return np.stack([ids for ids, _ in found]), np.stack([far for _, far in found])

    def _within(
        self, queries: np.ndarray, radius: int, among: np.ndarray | None
    ) -> list[IdsDistances]:
        with self.transaction() as connection:
            if among is None:
                statement = self.sql(WITHIN)
                values: dict[str, Any] = {"radius": radius}
            else:
                statement = self.sql(AMONG)
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
        for text in texts(queries, self.bits):
            rows = connection.execute(statement, {**values, "query": text}).fetchall()
            table = np.array(rows, np.int64).reshape(-1, 2)
            found.append((table[:, 0], table[:, 1].astype(np.int32)))
        return found


#: Columns of photos that an older version called otherwise.
RENAMED = {"changed": "mtime_ns", "looks": "perceptual_hash"}


def upgrade(connection: "Connection[tuple[Any, ...]]", address: Address) -> None:
    """Bring the tables of an older version into the form of this one, in one transaction."""
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
        connection.execute(sql.SQL("UPDATE {}.about SET layout = %s").format(name), [LAYOUT])


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


def about(
    connection: "Connection[tuple[Any, ...]]", address: Address
) -> tuple[int, int, str, str] | None:
    """What the index says of itself (layout, bits, model id, metric), None if there is none.

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
    statement = "SELECT layout, bits, model_id, metric FROM {}.about"
    row = connection.execute(sql.SQL(statement).format(sql.Identifier(address.name))).fetchone()
    if row is None:
        return None
    layout, bits, model_id, metric = row
    return layout, bits, model_id, metric


def make(
    connection: "Connection[tuple[Any, ...]]", address: Address, bits: int, model_id: str
) -> tuple[int, int, str, str]:
    """Make the tables of an index; give what `about` does."""
    from psycopg import sql

    name = sql.Identifier(address.name)
    parts: dict[str, Composable] = {"s": name, "bits": sql.Literal(bits)}
    connection.execute(sql.SQL(TABLES).format(**parts))
    insert = sql.SQL("INSERT INTO {s}.about VALUES (%s, %s, %s, 'hamming')").format(**parts)
    connection.execute(insert, [LAYOUT, model_id, bits])
    return LAYOUT, bits, model_id, "hamming"


def texts(codes: np.ndarray, bits: int) -> list[str]:
    """Codes as text of 0 and 1."""
    digits = (np.unpackbits(codes, axis=1, count=bits) + ord("0")).tobytes().decode()
    return [digits[start : start + bits] for start in range(0, len(digits), bits)]


def packed(digits: str, bits: int) -> np.ndarray:
    """The inverse of `texts`, its texts joined."""
    ones = np.frombuffer(digits.encode(), np.uint8).reshape(-1, bits) - ord("0")
    return np.packbits(ones, axis=1).reshape(-1, code_bytes(bits))
