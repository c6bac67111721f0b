"""PostgreSQL: kills, several indexes and clients, refusals that show no password."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from ssah_tf.search.backends.address import is_address
from ssah_tf.search.backends.postgres import PostgresIndex
from ssah_tf.search.backends.schemes import parse_address
from ssah_tf.search.backends.stored import CodesOf
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
    for database, told in (("pgvector", "<~>"), ("plain", "bit_count")):
        index = PostgresIndex.open(parse_address(postgres("which", database)), CodesOf(12, "m"))
        distance = index.distance("codes.code", "query", 12)
        assert told in distance.as_string(index.connection)
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
