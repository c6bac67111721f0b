"""One form of files for shards and parts; what an older version wrote is called by its name."""

import json
import os

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from ssah_tf.encoding.record_file import read_records, write_records
from ssah_tf.encoding.records import Records
from ssah_tf.system.errors import SsahError


@pytest.fixture(params=[0, 20])
def records(rng, request):
    """Three files with a code, and two without, of which one could not be opened."""
    return Records(
        "abc",
        12,
        request.param,
        ["a.png", "é.png", "c\n.png"],
        rng.integers(0, 256, (3, 2 + -(-request.param // 8)), np.uint8),
        rng.integers(0, 256, (3, 32), np.uint8),
        np.array([1, 2**40, 3]),
        np.array([2**60, -1, 0]),
        rng.integers(0, 256, (3, 16), np.uint8),
        {"d.png": "d.png: empty", "e.png": "e.png: gone"},
        ("e.png",),
    )


def assert_equal(ours, theirs):
    for name, value in vars(theirs).items():
        if isinstance(value, np.ndarray):
            assert getattr(ours, name).dtype == value.dtype
            np.testing.assert_array_equal(getattr(ours, name), value)
        elif name != "not_opened":  # it is said of one machine, and not kept
            assert getattr(ours, name) == value


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_there_and_back(records, tmp_path, suffix):
    file = tmp_path / f"000000{suffix}"
    assert read_records(file) is None  # not there
    write_records(file, records)
    found = read_records(file)
    assert_equal(found, records)
    assert found.not_opened == ()
    assert os.listdir(tmp_path) == [file.name]
    content = file.read_bytes()
    for damaged in (b"", content[:-9], content[:80] + bytes([content[80] ^ 1]) + content[81:]):
        file.write_bytes(damaged)
        assert read_records(file) is None


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_bit_that_turned_is_noticed(records, tmp_path, suffix):
    """In a column, where it would pass for another value."""
    file = tmp_path / f"x{suffix}"
    write_records(file, records)
    content = bytearray(file.read_bytes())
    content[content.index(records.digests[1].tobytes())] ^= 1
    file.write_bytes(content)
    assert read_records(file) is None


@pytest.mark.parametrize("about", ["3", "[]", "{}", "null", '"photos"'])
def test_arrays_of_something_else_are_damage(records, tmp_path, about):
    file = tmp_path / "x.npz"
    write_records(file, records)
    with np.load(file) as arrays:
        right = dict(arrays)
    for missing in right:
        np.savez(file, **{name: array for name, array in right.items() if name != missing})
        assert read_records(file) is None
    if about != '"photos"':
        np.savez(file, **{**right, "about": np.frombuffer(about.encode(), np.uint8)})
        assert read_records(file) is None
    for wrong in ({"bits": None}, {"bits": "x"}, {"paths": 3}, {"bad": 3}, {"bad": ["x"]}):
        text = json.dumps(json.loads(right["about"].tobytes()) | wrong)
        np.savez(file, **{**right, "about": np.frombuffer(text.encode(), np.uint8)})
        assert read_records(file) is None


def test_tables_of_something_else_are_damage(records, tmp_path):
    file = tmp_path / "x.parquet"
    write_records(file, records)
    table = pyarrow.parquet.read_table(file)
    for other in (
        table.replace_schema_metadata(None),
        table.replace_schema_metadata({"model_id": "abc"}),
        table.drop_columns(["size"]),
        table.set_column(1, "code", pyarrow.array([1, 2, 3])),
        table.set_column(3, "size", pyarrow.array(["a", "b", "c"])),
    ):
        pyarrow.parquet.write_table(other, file, write_page_checksum=True)
        assert read_records(file) is None


def test_names_of_any_bytes(records, tmp_path):
    """Arrays keep them; Parquet, which is Unicode alone, marks what is none."""
    strange = os.fsdecode(b"caf\xe9.png")
    given = Records(**{**vars(records), "paths": [strange, "b", "c"], "bad": {strange: strange}})
    for suffix, expected in ((".npz", strange), (".parquet", "caf\ufffd.png")):
        write_records(tmp_path / f"x{suffix}", given)
        found = read_records(tmp_path / f"x{suffix}")
        assert found.paths == [expected, "b", "c"]
        assert found.bad == {expected: expected}


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_columns_that_do_not_fit_are_damage(records, tmp_path, suffix):
    file = tmp_path / f"x{suffix}"
    write_records(file, Records(**{**vars(records), "bits": 20}))
    assert read_records(file) is None
    if suffix == ".npz":
        write_records(file, Records(**{**vars(records), "sizes": records.sizes[:2]}))
        assert read_records(file) is None


def write_older(path, records):
    """What the version before wrote."""
    older = {"changed": records.mtime_ns, "looks": records.perceptual_hash}
    about = {"model_id": records.model_id, "bits": records.bits}
    if path.suffix == ".npz":
        text = json.dumps({**about, "paths": records.paths, "bad": records.bad})
        older |= {"codes": records.codes, "digests": records.digests, "sizes": records.sizes}
        np.savez(path, about=np.frombuffer(text.encode(), np.uint8), **older)
        return
    columns = {
        "path": records.paths,
        "code": [row.tobytes() for row in records.codes],
        "digest": [row.tobytes() for row in records.digests],
        "size": records.sizes,
        "changed": older["changed"],
        "looks": [row.tobytes() for row in older["looks"]],
    }
    metadata = {key: str(value) for key, value in about.items()} | {"bad": "{}"}
    pyarrow.parquet.write_table(
        pyarrow.table(columns).replace_schema_metadata(metadata), path, write_page_checksum=True
    )


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_file_of_an_older_version_is_named(records, tmp_path, suffix):
    file = tmp_path / f"000000{suffix}"
    write_older(file, records)
    with pytest.raises(SsahError) as caught:
        read_records(file)
    assert str(caught.value) == (
        f"{file}: written by an older version of ssah-tf (column changed is now mtime_ns, looks is "
        "now perceptual_hash); encode again into a new --output"
    )
    with pytest.raises(SsahError, match="perceptual_hash\\); remove it"):
        read_records(file, "remove it")
