"""Real changes of real folders are heard; those that do not matter, and links, are not."""

import os
import shutil
import sys

import pytest

from ssah_tf.system import folder_events
from ssah_tf.system.errors import SsahError
from ssah_tf.system.folder_events import FolderEvents

#: Seconds after which a change was not heard.
LONG = 60


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "photos" / "sub" / "a.png").write_bytes(b"a")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "photos" / "link").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "photos"


def is_png(folder, path, is_folder):
    return is_folder or path.endswith(".png")


def listening(folder, recursive=True):
    return FolderEvents({str(folder): recursive}, is_png, pytest.fail)


CHANGES = {
    "new": lambda folder: (folder / "b.png").write_bytes(b""),
    "below": lambda folder: (folder / "sub" / "b.png").write_bytes(b""),
    "changed": lambda folder: (folder / "sub" / "a.png").write_bytes(b"b"),
    "renamed": lambda folder: (folder / "sub" / "a.png").rename(folder / "sub" / "b.txt"),
    "from elsewhere": lambda folder: (folder.parent / "b.png").rename(folder / "b.png"),
    "gone": lambda folder: (folder / "sub" / "a.png").unlink(),
    "a folder": lambda folder: (folder / "new" / "newer").mkdir(parents=True),
    "a folder is gone": lambda folder: shutil.rmtree(folder / "sub"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_heard(folder, what):
    (folder.parent / "b.png").write_bytes(b"")
    with listening(folder) as events:
        CHANGES[what](folder)
        assert events.wait(LONG)


def test_a_new_folder_is_listened_to(folder):
    with listening(folder) as events:
        (folder / "new").mkdir()
        assert events.wait(LONG)
        events.forget()
        (folder / "new" / "b.png").write_bytes(b"")
        assert events.wait(LONG)


def test_what_does_not_matter_is_not_heard(folder):
    """Other files, what is behind a link, what is read, and what is below where nobody looks."""
    with listening(folder) as events, listening(folder, recursive=False) as flat:
        (folder.parent / "elsewhere" / "b.png").write_bytes(b"")
        (folder / "sub" / "b.txt").write_bytes(b"")
        (folder / "sub" / "a.png").read_bytes()
        os.listdir(folder)
        assert not events.wait(2)
        (folder / "sub" / "b.png").write_bytes(b"")
        assert events.wait(LONG)
        assert not flat.wait(0.1)


def test_a_folder_that_is_another_one_now_is_listened_to(folder, monkeypatch):
    monkeypatch.setattr(folder_events, "PULSE", 0.05)
    with listening(folder) as events:
        folder.rename(folder.parent / "away")
        assert events.wait(LONG)
        events.forget()
        folder.mkdir()
        assert events.wait(LONG)
        events.forget()
        (folder / "b.png").write_bytes(b"")
        assert events.wait(LONG)


def test_a_system_that_cannot_listen_is_told(folder, monkeypatch):
    told = []
    with FolderEvents({}, is_png, told.append) as events:

        def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(events.observer, "schedule", full)
        events.folders = {str(folder): True}
        assert events.wait(LONG)  # so that somebody looks
        assert not events.wait(0.1)
    line = f"{folder}: the system does not tell of changes (No space left on device)"
    assert told == [line]


def test_without_watchdog_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "watchdog", None)
    with pytest.raises(SsahError, match=r"needs watchdog: pip install 'ssah-tf\[search\]'"):
        FolderEvents({}, is_png, pytest.fail)
