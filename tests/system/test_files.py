import errno
import os

import pytest

from ssah_tf.system.errors import RunError, SsahError
from ssah_tf.system.files import atomic_path, write_atomically


def test_new_and_replaced(tmp_path):
    path = tmp_path / "metrics.json"
    write_atomically(path, b"one")
    assert path.read_bytes() == b"one"
    write_atomically(str(path), b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["metrics.json"]


def test_old_content_until_the_end(tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"old")
    with atomic_path(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".keras"
        assert temporary.name.startswith(".")
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["model.keras"]


def test_an_open_reader_keeps_the_old_content(tmp_path):
    """The file is replaced, not written over."""
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with open(path, "rb") as reader:
        write_atomically(path, b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), RunError("y")])
def test_exception_leaves_the_old_file(tmp_path, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(type(error)) as caught, atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert caught.value is error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_disk_full(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(RunError) as caught, atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(caught.value) == f"{path}: cannot be written (No space left on device)"
    assert isinstance(caught.value, SsahError)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_error_without_a_number(tmp_path):
    with (
        pytest.raises(RunError, match=r"cannot be written \(Unable to flush file\)"),
        atomic_path(tmp_path / "a"),
    ):
        raise OSError("Unable to flush file")


@pytest.mark.parametrize("name", ["none/a", "file/a", "folder", "x" * 300])
def test_cannot_be_written(tmp_path, name):
    """No such folder, a file in its place, a folder of that name, a name that is too long."""
    (tmp_path / "file").write_bytes(b"kept")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b").write_bytes(b"kept")
    with pytest.raises(RunError) as caught:
        write_atomically(tmp_path / name, b"content")
    assert str(caught.value).startswith(f"{tmp_path / name}: cannot be written (")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_nothing_written_in_the_block(tmp_path):
    with pytest.raises(RunError, match="cannot be written"), atomic_path(tmp_path / "a"):
        pass
    assert os.listdir(tmp_path) == []
