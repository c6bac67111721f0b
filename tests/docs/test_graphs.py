"""The table of docs/search.md on approximate indexes: each row is run, with the library it names.

Codes as learned ones may be: 100,000, nine tenths of them equal. 200 of the others, all of them
stored, are asked for. What counts is whether a search comes back with distance 0.
"""

import re
import subprocess
import textwrap
from pathlib import Path

import numpy as np
import pytest

from ssah_tf.search.code_index import CodeIndex

PAGE = Path(__file__).parents[2] / "docs" / "search.md"
#: Library, version, index, percentage of the rare codes that are found.
ROWS = re.findall(r"^\| (\w+) \| ([\w.]+) \| ([^|]*) \| (\d+) % \|$", PAGE.read_text(), flags=re.M)
#: Percentage points within which a row is right: graphs are built by chance, on several threads.
CLOSE = 25
BITS, COUNT, ASKED = 48, 100_000, 200

#: Package, and a program that has packed codes `(n, bytes)` and queries `(200, bytes)`, the same as
#: bits, and prints the distance of what it finds first for each query.
PROGRAMS = {
    "FAISS": (
        "faiss-cpu",
        """
        import faiss
        index = faiss.IndexBinaryHNSW(bits, 16)
        index.add(codes)
        index.hnsw.efSearch = 256
        first = index.search(queries, 1)[0][:, 0]
        """,
    ),
    "usearch": (
        "usearch",
        """
        from usearch.index import Index
        index = Index(ndim=bits, metric="hamming", dtype="b1", expansion_search=512)
        index.add(np.arange(len(codes)), codes, threads=1)  # with several, each build differs
        first = index.search(queries, 1).distances[:, 0]
        """,
    ),
    "nmslib": (
        "nmslib",
        """
        import nmslib
        def texts(rows):
            return [" ".join(map(str, row)) for row in np.unpackbits(rows, axis=1)]
        how = nmslib.DataType.OBJECT_AS_STRING, nmslib.DistType.INT
        index = nmslib.init(method="hnsw", space="bit_hamming", data_type=how[0], dtype=how[1])
        index.addDataPointBatch(texts(codes))
        index.createIndex({"M": 16, "efConstruction": 200})
        index.setQueryTimeParams({"efSearch": 500})
        first = [far[0] for _, far in index.knnQueryBatch(texts(queries), 1)]
        """,
    ),
    "NGT": (
        "ngt",
        """
        import ngtpy
        ngtpy.create("graph", codes.shape[1], distance_type="Hamming", object_type="Byte")
        index = ngtpy.Index("graph")
        index.batch_insert(codes)
        index.save()
        first = [index.search(query, 1, epsilon=0.1)[0][1] for query in queries]
        """,
    ),
    "pynndescent": (
        "pynndescent",
        """
        from pynndescent import NNDescent
        index = NNDescent(codes, metric="bit_hamming", random_state=0)
        first = index.query(queries, 1)[1][:, 0]
        """,
    ),
    "annoy": (
        "annoy",
        """
        from annoy import AnnoyIndex
        index = AnnoyIndex(bits, "hamming")
        for number, row in enumerate(np.unpackbits(codes, axis=1)):
            index.add_item(number, row.tolist())
        index.set_seed(0)
        index.build(10)
        asked = np.unpackbits(queries, axis=1).tolist()
        first = [index.get_nns_by_vector(row, 1, include_distances=True)[1][0] for row in asked]
        """,
    ),
}
READ = "import numpy as np\ncodes, queries = np.load('codes.npy'), np.load('queries.npy')\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Codes, and some of the rare ones again as queries."""
    folder, rng = tmp_path_factory.mktemp("codes"), np.random.default_rng(0)
    codes = rng.integers(0, 256, (COUNT, BITS // 8), np.uint8)
    rare = rng.random(COUNT) >= 0.9
    codes[~rare] = codes[0]
    np.save(folder / "codes.npy", codes)
    np.save(folder / "queries.npy", codes[rng.choice(np.flatnonzero(rare), ASKED, replace=False)])
    return folder


def share_found(folder, distances):
    """Percentage of the queries whose own code is found; others lie further away."""
    distances = np.asarray(distances, float)
    assert distances.shape == (ASKED,)
    assert (distances[distances > 0] >= 1).all()
    return 100 * float((distances == 0).mean())


def row_of(library):
    (row,) = [row for row in ROWS if row[0] == library]
    return row[1], int(row[3])


def test_every_row_is_run():
    assert [row[0] for row in ROWS] == [*PROGRAMS, "ssah_tf"]


@pytest.mark.slow
@pytest.mark.parametrize("library", PROGRAMS)
def test_stored_codes_that_a_graph_finds(library, folder, environment_of):
    package, program = PROGRAMS[library]
    version, said = row_of(library)
    python = environment_of(f"{package}=={version}", "numpy")  # not all ask for it
    program = f"{READ}bits = {BITS}\n{textwrap.dedent(program)}\nprint(*map(float, first))"
    done = subprocess.run([python, "-c", program], cwd=folder, capture_output=True, check=True)
    printed = done.stdout.split(b"\n")[-2].split()
    assert share_found(folder, list(map(float, printed))) == pytest.approx(said, abs=CLOSE)


@pytest.mark.slow
def test_stored_codes_that_we_find(folder):
    codes, queries = np.load(folder / "codes.npy"), np.load(folder / "queries.npy")
    index = CodeIndex(BITS, "m")
    index.add(np.arange(COUNT), codes)
    assert share_found(folder, index.search(queries, 1)[1][:, 0]) == row_of("ssah_tf")[1] == 100


@pytest.mark.slow
def test_equal_codes_that_pgvector_ends_after(postgres):
    """Fewer rows than LIMIT, by an index scan; all of them without the index."""
    psycopg = pytest.importorskip("psycopg")
    count, zeros = 20_000, f"repeat('0', {BITS})::bit({BITS})"
    with psycopg.connect(re.sub(r"/x\?", "?", postgres("x")), autocommit=True) as connection:
        (real,) = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        assert f"pgvector's graph ({real[0]})" in PAGE.read_text()
        connection.execute(
            f"CREATE TEMP TABLE equal AS SELECT n AS id, {zeros} AS code "
            f"FROM generate_series(1, {count}) n"
        )
        connection.execute("CREATE INDEX ON equal USING hnsw (code bit_hamming_ops)")
        sql = f"SELECT id FROM equal ORDER BY code <~> {zeros} LIMIT {count}"
        found = {}
        for scan in ("off", "strict_order", "relaxed_order"):
            connection.execute("SET enable_seqscan = off")
            connection.execute(f"SET hnsw.iterative_scan = {scan}")
            assert "Index Scan" in str(connection.execute(f"EXPLAIN {sql}").fetchall())
            found[scan] = len(connection.execute(sql).fetchall())
        assert 100 < found["off"] < 1000
        assert found["off"] < found["strict_order"] == found["relaxed_order"] < count / 2
        connection.execute("DROP INDEX equal_code_idx")
        assert len(connection.execute(sql).fetchall()) == count
