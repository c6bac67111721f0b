"""What docs/behaviour.md says of engines that search bits, by the engines themselves.

Each runs in an environment of its own, with the version that its rows name.
"""

import re
import subprocess
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "behaviour.md").read_text(encoding="utf-8")

#: Name and version on the page -> what is installed, and what must hold.
PROGRAMS = {
    "FAISS 1.15.1": (
        ["faiss-cpu=={}"],
        """
        import faiss
        import numpy as np
        codes = np.arange(3, dtype=np.uint8)[:, None].copy()
        for index, far in (faiss.IndexBinaryFlat(8), 2**31 - 1), (faiss.IndexBinaryHNSW(8), -2**31):
            index.add(codes)
            distances, ids = index.search(codes[:1], 5)
            assert ids[0].tolist() == [0, 1, 2, -1, -1]
            assert distances[0].tolist() == [0, 1, 1, far, far]
        flat = faiss.IndexBinaryFlat(8)
        flat.add(codes)
        assert flat.range_search(codes[:1], 0)[0].tolist() == [0, 0]
        assert flat.range_search(codes[:1], 1)[2].tolist() == [0]
        """,
    ),
    "usearch 2.26.6": (
        ["numpy==2.4.6", "usearch=={}"],
        """
        import numpy as np
        from usearch.index import Index
        index = Index(ndim=48, metric="hamming", dtype="b1")
        codes = np.zeros((500, 6), np.uint8)
        index.add(np.arange(1, 4), codes[:3])
        assert sorted(index.search(codes[0], 5).keys) == [1, 2, 3]
        for exact in (False, True):
            found = index.search(codes[:2], 5, exact=exact)
            assert found.counts.tolist() == [3, 3]
            assert found.keys[:, 3:].tolist() == [[0, 0], [0, 0]]
            assert np.isnan(found.distances[:, 3:]).all()
        index.add(np.arange(4, 500), codes[4:], threads=1)
        assert index.search(codes[0], 5, exact=True).keys.tolist() != [1, 2, 3, 4, 5]
        """,
    ),
    "LanceDB 0.40.0": (
        ["numpy==2.4.6", "lancedb=={}"],
        """
        import lancedb
        import numpy as np
        import pyarrow
        codes = np.array([[0] * 6, [1] + [0] * 5, [3] + [0] * 5], np.uint8)
        lists = pyarrow.FixedSizeListArray.from_arrays(codes.ravel(), 6)
        rows = pyarrow.table({"id": [0, 1, 2], "code": lists})
        table = lancedb.connect("lance").create_table("codes", rows)
        search = table.search(codes[0]).distance_type("hamming").distance_range(0, 2)
        assert [row["id"] for row in search.limit(9).to_list()] == [0, 1]
        """,
    ),
    "sqlite-vec 0.1.9": (
        ["sqlite-vec=={}", "pysqlite3-binary==0.5.4.post2"],
        """
        import pysqlite3
        import sqlite_vec
        database = pysqlite3.connect(":memory:")
        database.enable_load_extension(True)
        sqlite_vec.load(database)
        database.execute("CREATE VIRTUAL TABLE codes USING vec0(code bit[48])")
        rows = [(number, bytes(6)) for number in range(1, 3001)]
        database.executemany("INSERT INTO codes(rowid, code) VALUES (?, vec_bit(?))", rows)
        sql = "SELECT rowid FROM codes WHERE code MATCH vec_bit(?) AND k = ?"
        found = [row[0] for row in database.execute(sql, (bytes(6), 3000))]
        assert found[:1024] == [*range(1024, 0, -1)]
        assert found[1024:2048] == [*range(2048, 1024, -1)]
        """,
    ),
    "ClickHouse 26.9.2": (
        ["chdb==4.4.0"],
        """
        import chdb
        assert str(chdb.query("SELECT version()")).startswith('"VERSION')
        for more, far in ((1, "1"), (0, "0")):
            sql = f"SELECT bitHammingDistance('a', 'a' || char({more}))"
            assert str(chdb.query(sql)).split() == [far]
        sql = "SELECT bitHammingDistance(toInt32(-1), toUInt64(4294967295))"
        assert str(chdb.query(sql)).split() == ["32"]
        """,
    ),
    "Milvus Lite 3.2.2": (
        ["pymilvus==3.0.2", "milvus-lite=={}"],
        """
        from pymilvus import DataType, MilvusClient
        client = MilvusClient("codes.db")
        schema = client.create_schema()
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("code", DataType.BINARY_VECTOR, dim=48)
        index = client.prepare_index_params()
        index.add_index("code", index_type="BIN_FLAT", metric_type="HAMMING")
        try:
            client.create_collection("codes", schema=schema, index_params=index)
        except Exception as error:
            assert "uses Milvus type BinaryVector which MilvusLite does not support" in str(error)
        else:
            raise SystemExit("it has binary vectors")
        """,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_so(name, environment_of, tmp_path):
    packages, program = PROGRAMS[name]
    version = name.split()[-1]
    python = environment_of(*(package.format(version) for package in packages))
    program = textwrap.dedent(program).replace("VERSION", version)
    done = subprocess.run(
        [python, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_pgvector_0_8_5(postgres):
    """Codes of two lengths are refused; a cast fills up the shorter one."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(re.sub(r"/x\?", "?", postgres("x")), autocommit=True) as connection:
        row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        assert row.fetchone() == ("0.8.5",)
        with pytest.raises(psycopg.errors.DataException, match="different bit lengths"):
            connection.execute("SELECT B'101' <~> B'1010'")
        assert connection.execute("SELECT B'101'::bit(4) <~> B'1010'").fetchone() == (0,)


def test_rows_and_tests_are_of_the_same_versions():
    names = re.findall(r"^\| ([^|]*) \|[^\n]*`tests/docs/test_behaviour\.py` \|$", PAGE, flags=re.M)
    assert set(names) == {*PROGRAMS, "pgvector 0.8.5"}


def test_what_a_row_names_is_there():
    for file in re.findall(r"`((?:tests|findings)/[^`]+)`", PAGE):
        assert (ROOT / file).is_file(), file
