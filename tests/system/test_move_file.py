"""A file is moved as it was looked at, to a name that is free, or it stays where it is."""

import errno
import hashlib
import os
import shutil

import pytest

from ssah_tf.system.move_file import Changed, is_free, move, settle


@pytest.fixture
def file(tmp_path):
    """A file, and another one that can take its place."""
    (tmp_path / "a.jpg").write_text("a")
    (tmp_path / "other").write_text("o")
    return tmp_path / "a.jpg"


@pytest.fixture
def no_links(monkeypatch):
    """A file system without hard links."""

    def link(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", link)


def contents(folder):
    return {path.name: path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_name_that_is_taken(file, tmp_path, request):
    for _ in range(2):
        with pytest.raises(FileExistsError):
            move(file, tmp_path / "other")
        assert contents(tmp_path) == {"a.jpg": "a", "other": "o"}
        request.getfixturevalue("no_links")


def test_another_file_takes_its_place_while_it_is_copied(file, tmp_path, no_links, monkeypatch):
    def copystat(source, _):
        os.replace(tmp_path / "other", source)

    monkeypatch.setattr(shutil, "copystat", copystat)
    with pytest.raises(Changed, match=r"a.jpg is gone or has changed since"):
        move(file, tmp_path / "to" / "a.jpg", hashlib.sha256(b"a").hexdigest())
    assert contents(tmp_path) == {"a.jpg": "o"}


def test_another_file_stands_for_it_when_it_is_linked(file, tmp_path, monkeypatch):
    """And then it is there again: it is not what has got the new name, so it stays."""
    right = os.link

    def link(source, target):
        os.rename(source, tmp_path / "away")
        os.rename(tmp_path / "other", source)
        right(source, target)
        os.rename(source, tmp_path / "other")
        os.rename(tmp_path / "away", source)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(Changed):
        move(file, tmp_path / "to" / "a.jpg")
    assert contents(tmp_path) == {"a.jpg": "a", "other": "o"}


def test_what_is_no_file(file, tmp_path):
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "folder", "pipe", "gone", "a.jpg/gone"):
        with pytest.raises(Changed):
            move(tmp_path / name, tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_a_move_that_was_killed_is_settled(file, tmp_path):
    """Both names are of one file, or of one content; a name of another content is taken."""
    new = tmp_path / "b.jpg"
    os.link(file, new)
    assert is_free(new, file)
    settle(file, new, interrupted=False)
    assert contents(tmp_path) == {"b.jpg": "a", "other": "o"}
    file.write_text("a")
    assert not is_free(new, file)
    assert is_free(new, file, interrupted=True)
    settle(file, new, interrupted=True)
    assert contents(tmp_path) == {"b.jpg": "a", "other": "o"}
    assert not is_free(tmp_path / "other", new, interrupted=True)
    (tmp_path / "link").symlink_to(new)
    assert not is_free(tmp_path / "link", new, interrupted=True)
