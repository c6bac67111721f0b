"""What docs/other_engines.md says to do in other engines finds what our search finds.

Each block of the page is run as it stands, in an environment with what its section installs, on an
index of ours in a folder; servers are the real ones.
"""

import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ssah_tf.search.backends.folder import FolderStorage
from ssah_tf.search.backends.storage import State
from ssah_tf.search.code_index import CodeIndex
from ssah_tf.search.photo_table import Photo, PhotoTable

pytest.importorskip("pyarrow")

PAGE = Path(__file__).parents[2] / "docs" / "other_engines.md"
SECTIONS = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n?)*)", PAGE.read_text(), flags=re.M))
#: Rows of the table at the top.
ENGINES = re.findall(r"^\| \[(.*?)\]\(#", PAGE.read_text(), flags=re.M)
#: The section whose lines another one takes -> what is other there, as it is told in its text.
SAME_AS = {"Milvus Lite": ("Milvus", 'MilvusClient("http://localhost:19530")')}
#: Has the answer printed.
PRINT = "\nfor number, distance in found:\n    print(number, distance)\n"


def python_of(section):
    return "".join(re.findall(r"^```python\n(.*?)^```", SECTIONS[section], flags=re.M | re.S))


def program_of(engine, query):
    """What the page says for an engine, from the beginning, for another query."""
    section, address = SAME_AS.get(engine, (engine, None))
    own = python_of(section)
    if address is not None:
        assert address in own
        own = own.replace(address, re.search(r"`(MilvusClient\(.*?\))`", SECTIONS[engine])[1])
    begin = python_of("Codes of an index") + python_of("Codes as numbers")
    assert "query, k = codes[0], 20\n" in begin
    return begin.replace("codes[0]", f"codes[{query}]") + own + PRINT


def packages_of(engine):
    (line,) = re.findall(r"^pip install (.*)$", SECTIONS[engine], flags=re.M)
    return shlex.split(line)


@pytest.fixture(scope="module", params=[48, 64])
def world(request, tmp_path_factory):
    """A folder with an index of 3,000 codes, two thirds of them equal, ids with gaps."""
    folder, bits = tmp_path_factory.mktemp("world"), request.param
    rng = np.random.default_rng(bits)
    codes = rng.integers(0, 256, (3000, bits // 8), dtype=np.uint8)
    codes[rng.random(len(codes)) < 2 / 3] = rng.integers(128, 256, bits // 8)
    codes[1], codes[2] = 0x80, 0x7F  # each other's opposites but for the first bit of a byte
    ids = np.sort(rng.permutation(10_000)[: len(codes)])
    index = CodeIndex(bits, "m")
    index.add(ids, codes)
    photos = {number: Photo(f"/photos/{number}.jpg", "00" * 32, 1, 1) for number in ids.tolist()}
    FolderStorage(folder / "index").save(State(index, PhotoTable.of(photos), 64))
    return folder, index


@pytest.fixture(scope="module")
def python(environment_of):
    """The Python of an engine, installed once."""
    made = {}

    def of(engine):
        if engine not in made:
            made[engine] = environment_of(*packages_of(engine))
        return made[engine]

    return of


@pytest.fixture
def place(request, world):
    """Puts the address of a real server in place of that of the page, a collection's name too."""

    def of(engine, program, name):
        if engine == "PostgreSQL":
            address = request.getfixturevalue("postgres")(name, "plain")
            psycopg = pytest.importorskip("psycopg")
            address = address.replace(f"/{name}?", "?")
            with psycopg.connect(address, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}")
            return program.replace("postgresql://me@localhost/mydb", address.replace("plain", name))
        if engine == "Milvus":
            address = request.getfixturevalue("milvus")(name)
            server = address.replace("milvus://", "http://").rpartition("/")[0]
            program = program.replace("http://localhost:19530", server)
            return program.replace('("codes"', f'("{name}"')
        return program

    return of


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_finds_what_our_search_finds(engine, world, python, place, tmp_path):
    folder, index = world
    (tmp_path / "index").symlink_to(folder / "index")
    queries = [0, 1, int(np.flatnonzero((index.codes[3:] != index.codes[3]).any(axis=1))[0]) + 3]
    for query in queries:
        here = tmp_path / str(query)
        here.mkdir()
        (here / "index").symlink_to(folder / "index")
        name = f"other_{index.bits}_{query}"
        program = place(engine, program_of(engine, query), name)
        done = subprocess.run(
            [python(engine), "-c", program], cwd=here, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
        ids, distances = index.search(index.codes[[query]], 20)
        assert found == list(zip(ids[0].tolist(), distances[0].tolist(), strict=True))


def test_every_row_has_its_section():
    assert set(ENGINES) <= set(SECTIONS)
    assert set(ENGINES) == {name for name, text in SECTIONS.items() if "\npip install" in text}
