"""PostgreSQL: kills, several indexes and clients, refusals that show no password."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from ssah_tf.search.backends.address import is_address
from ssah_tf.search.backends.postgres import PostgresIndex, texts
from ssah_tf.search.backends.schemes import parse_address
from ssah_tf.search.backends.stored import CodesOf
from ssah_tf.search.code_index import CodeIndex
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.system.errors import SsahError

psycopg = pytest.importorskip("psycopg")

#: Adds, 500 ids a call, each with the code of its number modulo 97; tells what is done.
CLIENT = """
import sys
import numpy as np
from ssah_tf.search.backends.postgres import PostgresIndex
from ssah_tf.search.backends.schemes import parse_address
from ssah_tf.search.backends.stored import CodesOf

index = PostgresIndex.open(parse_address(sys.argv[1]), CodesOf(32, "m"))
first = len(index)
print("open", flush=True)
while True:
    ids = np.arange(first, first + 500)
    index.add(ids, (ids % 97).astype(">u4").view(np.uint8).reshape(-1, 4))
    first += 500
    print(first, flush=True)
"""


HNSW = "hnsw (code bit_hamming_ops) WITH (m = 2, ef_construction = 4)"
IVFFLAT = "ivfflat (code bit_hamming_ops) WITH (lists = 20)"


def codes_of(ids):
    return (np.asarray(ids) % 97).astype(">u4").view(np.uint8).reshape(-1, 4)


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_client_killed_in_an_add(postgres, kills):
    """`kill -9` at random moments: what was told is there, a call is there whole or not at all."""
    rng = np.random.default_rng(kills)
    where = postgres(f"killed{kills}")
    for _ in range(kills):
        client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, where], stdout=subprocess.PIPE, text=True
        )
        assert client.stdout.readline() == "open\n"
        told = [client.stdout.readline() for _ in range(2)][-1:]
        threading.Event().wait(rng.uniform(0, 0.1))
        client.send_signal(signal.SIGKILL)
        told = int((told + client.communicate()[0].splitlines())[-1])
        index = PostgresIndex.open(parse_address(where))
        with index.writing():  # what the server still does for the dead client, it does first
            ids, codes = map(np.concatenate, zip(*index.items(), strict=True))
        assert len(ids) % 500 == 0
        assert told <= len(ids) <= told + 500
        np.testing.assert_array_equal(ids, np.arange(len(ids)))
        np.testing.assert_array_equal(codes, codes_of(ids))
        found, distances = index.search(codes_of([5]), 3)
        assert found.tolist() == [[5, 102, 199]]
        assert distances.tolist() == [[0, 0, 0]]
        index.close()


def test_several_clients_at_once(postgres):
    """Four clients add to one index, begun by whoever comes first, with the same codes."""
    address = parse_address(postgres("crowd"))
    faults = []

    def client(number):
        try:
            index = PostgresIndex.open(address, CodesOf(32, "m"))
            for step in range(5):
                ids = np.arange(100) + 1000 * number + 100 * step
                index.add(ids, codes_of(ids))
                assert len(index.search(codes_of([3]), 10)[0][0]) == 10
            index.close()
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=client, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    index = PostgresIndex.open(address)
    assert len(index) == 2000
    assert len(index.rows("SELECT FROM {s}.codes")) == 97
    index.close()


def test_two_indexes_in_a_database(postgres):
    one = PostgresIndex.open(parse_address(postgres("one")), CodesOf(12, "m"))
    two = PostgresIndex.open(parse_address(postgres("two")), CodesOf(40, "other"))
    one.add([1], np.zeros((1, 2), np.uint8))
    two.add([1, 2], np.zeros((2, 5), np.uint8))
    assert (len(one), len(two)) == (1, 2)
    again = PostgresIndex.open(two.address)
    assert (again.bits, again.model_id) == (40, "other")
    for index in (one, two, again):
        index.close()


def test_distances_by_pgvector_where_it_is(postgres):
    for database, told in (("pgvector", "hamming_distance"), ("plain", "bit_count")):
        index = PostgresIndex.open(parse_address(postgres("which", database)), CodesOf(12, "m"))
        distance = index.distance("codes.code", "query", 12)
        assert told in distance.as_string(index.connection)
        index.close()


@pytest.mark.parametrize("made", [HNSW, IVFFLAT])
def test_an_index_that_an_administrator_adds(postgres, made, rng):
    """The planner would take it for the operator; answers stay exact, with `among` and radius."""
    kind, _ = made.split(" ", 1)
    index = PostgresIndex.open(parse_address(postgres(f"added_{kind}")), CodesOf(64, "m"))
    codes = rng.integers(0, 256, (2500, 8), np.uint8)
    ids = rng.permutation(len(codes))
    index.add(ids, codes)
    exact = CodeIndex(64, "m")
    exact.add(ids, codes)
    with index.transaction() as connection:
        connection.execute(index.sql(f"CREATE INDEX added ON {{s}}.codes USING {made}"))
        connection.execute(index.sql("ANALYZE {s}.codes"))
    queries = rng.integers(0, 256, (10, 8), np.uint8)
    by_operator = (
        "SELECT first, (code <~> {query})::int FROM {s}.codes ORDER BY code <~> {query}, first "
        "LIMIT 20"
    ).replace("{query}", f"'{texts(queries[:1], 64)[0]}'::bit(64)")
    assert "using added" in str(index.rows("EXPLAIN " + by_operator))
    right, far = exact.search(queries, 20)
    assert [row for row, _ in index.rows(by_operator)] != right[0].tolist()
    found, distances = index.search(queries, 20)
    np.testing.assert_array_equal(found, right)
    np.testing.assert_array_equal(distances, far)
    some = ids[::3]
    pairs = [(index.search(queries, 20, among=some), exact.search(queries, 20, among=some))]
    pairs += zip(index.range_search(queries, 22), exact.range_search(queries, 22), strict=True)
    for got, wanted in pairs:
        np.testing.assert_array_equal(got[0], wanted[0])
        np.testing.assert_array_equal(got[1], wanted[1])
    index.close()


def test_refusals_show_no_password(postgres):
    """Wrong addresses, servers, names: one line each."""
    with pytest.raises(SsahError, match=r"localhost:1/db/NAME: connection failed.*refused"):
        PostgresIndex.open(parse_address("postgresql://me:s3cret@localhost:1/db/NAME"))
    for text in (
        "postgresql://me:s3cret@host/db",
        "postgresql://me:s3cret@host/db/a b",
        "postgresql://me:s3cret/x@host/db/NAME",
        "postgresql://me:s3cret:x@host/db/NAME?password=s3cret&",
        "postgresql://me:s3cret@host:s3cret/db/NAME",
        "mysql://me:s3cret@host/db/NAME",
    ):
        with pytest.raises(SsahError) as caught:
            PostgresIndex.open(parse_address(text))
        assert "s3cret" not in str(caught.value)
    address = parse_address("postgresql://me:s3cret@host:5/db/NAME?password=s3cret")
    assert str(address) == "postgresql://me@host:5/db/NAME"
    assert "s3cret" not in repr(address)
    assert "s3cret" in address.server
    assert not is_address("photos/index")
    assert not is_address("C:/photos")
    with pytest.raises(SsahError, match="or milvus://HOST:PORT/NAME"):
        parse_address("redis://me:s3cret@host/NAME")
    with pytest.raises(SsahError, match="not the address of an index: expected") as caught:
        PhotoIndex.open(Path("postgresql://me:s3cret@host/db/NAME"))
    assert "s3cret" not in str(caught.value)
    with pytest.raises(SsahError, match="none: no index; make one with `ssah index`"):
        PostgresIndex.open(parse_address(postgres("none")))
    with pytest.raises(SsahError, match="the schema public is no index"):
        PostgresIndex.open(parse_address(postgres("public")), CodesOf(8, "m"))
    with pytest.raises(SsahError, match='database "nowhere" does not exist'):
        PostgresIndex.open(parse_address(postgres("x", "nowhere")), CodesOf(8, "m"))


def test_a_lost_connection_is_one_line(postgres):
    index = PostgresIndex.open(parse_address(postgres("lost")), CodesOf(12, "m"))
    with psycopg.connect(postgres("x").replace("/x?", "?"), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [index.connection.info.backend_pid])
    with pytest.raises(SsahError, match=r"terminat|closed|lost|unexpectedly"):
        index.add([1], np.zeros((1, 2), np.uint8))
    with pytest.raises(SsahError, match=r"closed|lost"):
        len(index)
    index.close()


def test_a_connection_ends_with_its_block(postgres, connections):
    """Also where an index cannot be opened once there is a connection."""
    address = parse_address(postgres("block"))
    with PostgresIndex.open(address, CodesOf(12, "m")) as index:
        assert len(index) == 0
        assert not connections[0].closed
    with pytest.raises(ZeroDivisionError), PostgresIndex.open(address):
        _ = 1 / 0
    for wrong in ("none", "public"):
        with pytest.raises(SsahError, match="no index"):
            PostgresIndex.open(parse_address(postgres(wrong)))
    assert [connection.closed for connection in connections] == [True] * 4


def test_a_server_that_is_too_old(postgres, connections, monkeypatch):
    monkeypatch.setattr(psycopg.ConnectionInfo, "server_version", 130_000)
    with pytest.raises(SsahError, match="PostgreSQL 14 or newer is needed"):
        PostgresIndex.open(parse_address(postgres("old")), CodesOf(12, "m"))
    assert [connection.closed for connection in connections] == [True]
