"""Thumbnails on disk: by content, in bounds, for their owner alone."""

import os
import shutil

import pytest
from PIL import Image

from ssah_tf.serve.decoders import Decoders
from ssah_tf.serve.pictures import Refused
from ssah_tf.serve.thumbnails import Thumbnails


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photos" / "a.png"
    path.parent.mkdir()
    Image.new("RGB", (9, 9), "red").save(path)
    return path


def find(thumbnails, path, known=None):
    return thumbnails.find(str(path), [str(path.parent)], known)


def files(folder):
    return {path.name: path.stat() for path in folder.rglob("*") if path.is_file()}


def test_kept_by_content(photo, tmp_path):
    """Also of a copy elsewhere, for another service, and not of other content at the same path."""
    thumbnails = Thumbnails(tmp_path / "cache", 1000)
    kept, known = find(thumbnails, photo)
    assert kept is None
    thumbnails.keep(known, known[0], b"drawn")
    assert find(Thumbnails(tmp_path / "cache", 1000), photo) == (b"drawn", known)
    shutil.copy(photo, photo.with_name("b.png"))
    assert find(thumbnails, photo.with_name("b.png"))[0] == b"drawn"
    Image.new("RGB", (9, 9), "blue").save(photo)
    kept, changed = find(thumbnails, photo, known)  # what was known is of another stamp
    assert kept is None
    assert changed[1] != known[1]
    with pytest.raises(Refused):
        thumbnails.find(str(photo), [str(tmp_path / "elsewhere")])


def test_what_the_index_knows_is_not_read_again(photo, tmp_path):
    thumbnails = Thumbnails(tmp_path / "cache", 1000)
    found = photo.stat()
    known = (found.st_size, found.st_mtime_ns), "0" * 64
    assert find(thumbnails, photo, known) == (None, known)
    assert find(thumbnails, photo, ((1, 2), "0" * 64))[1][1] != "0" * 64


def test_not_kept_if_another_file_was_drawn(photo, tmp_path):
    thumbnails = Thumbnails(tmp_path / "cache", 1000)
    _, known = find(thumbnails, photo)
    thumbnails.keep(known, (known[0][0], known[0][1] + 1), b"drawn")
    assert find(thumbnails, photo)[0] is None


def test_bounds(photo, tmp_path):
    """What was not wanted longest goes; files of others in the folder stay."""
    folder = tmp_path / "cache" / "thumbnails"
    both = Thumbnails(tmp_path / "cache", 1000), Thumbnails(tmp_path / "cache", 1000)
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_bytes(bytes(5000))
    stamp = (1, 1)
    for number in range(30):
        both[number % 2].keep((stamp, f"{number:064x}"), stamp, bytes(100))
        os.utime(folder / f"{number:064x}-320-2-1", (number, number))
    kept = files(folder)
    assert kept.pop("mine.txt").st_size == 5000
    assert sum(one.st_size for one in kept.values()) <= 2000  # each counts its own in between
    assert f"{29:064x}-320-2-1" in kept
    assert f"{0:064x}-320-2-1" not in kept
    os.utime(folder / f"{20:064x}-320-2-1") if f"{20:064x}-320-2-1" in kept else None
    assert both[0].shrink() <= 1000


def test_for_the_owner_alone(photo, tmp_path):
    thumbnails = Thumbnails(tmp_path / "cache", 1000)
    folder = tmp_path / "cache" / "thumbnails"
    folder.mkdir(parents=True, mode=0o755)
    _, known = find(thumbnails, photo)
    thumbnails.keep(known, known[0], b"drawn")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [one.st_mode & 0o777 for one in files(folder).values()] == [0o600]


@pytest.mark.parametrize("size", [0, 1000])
def test_no_cache(photo, tmp_path, size, monkeypatch):
    """A folder that cannot be made, a disk that is full, or none wanted: nothing is kept."""
    (tmp_path / "file").write_bytes(b"")
    thumbnails = Thumbnails(tmp_path / "file", size)
    _, known = find(thumbnails, photo)
    thumbnails.keep(known, photo and (photo.stat().st_size, photo.stat().st_mtime_ns), b"drawn")
    assert find(thumbnails, photo)[0] is None
    if size:
        full = Thumbnails(tmp_path / "cache", size)
        _, known = find(full, photo)
        monkeypatch.setattr("ssah_tf.system.files.os.fsync", no_space)
        full.keep(known, known[0], b"drawn")
        assert find(full, photo)[0] is None
        assert files(tmp_path / "cache") == {}


def no_space(_):
    raise OSError(28, "No space left on device")


def test_after_a_restart_nothing_is_drawn(own, client, tmp_path, monkeypatch):
    first = client(own, cache=tmp_path / "cache").get("/photos/7/thumbnail")
    assert first.status_code == 200

    async def draw(*_):
        raise AssertionError("drawn")

    monkeypatch.setattr(Decoders, "draw", draw)
    again = client(own, cache=tmp_path / "cache").get("/photos/7/thumbnail")
    assert again.content == first.content
    assert again.headers["content-type"] == "image/png"
