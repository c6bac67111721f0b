import errno
import os
import tempfile
from pathlib import Path

import pytest

from ssah_tf.cli import app as cli
from ssah_tf.system.errors import RunError
from ssah_tf.system.files import write_atomically
from ssah_tf.system.lock import only_one
from ssah_tf.system.machine import need_room, refusal
from ssah_tf.training.run import Run


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_refusals_of_files(number):
    error = OSError(number, os.strerror(number), "/a/b")
    assert refusal(error) == f"/a/b: {os.strerror(number)}"


def test_errors_that_may_be_bugs():
    for error in (FileNotFoundError(errno.ENOENT, "x", "/a"), ValueError("x"), OSError("x")):
        assert refusal(error) is None


def test_errors_of_tensorflow():
    import tensorflow as tf

    error = tf.errors.ResourceExhaustedError(None, None, "/a/b; No space left on device")
    assert refusal(error) == "No space left on device (/a/b; No space left on device)"
    error = tf.errors.PermissionDeniedError(None, None, "/a/b; Permission denied")
    assert refusal(error) == "Permission denied (/a/b; Permission denied)"
    assert refusal(tf.errors.InvalidArgumentError(None, None, "x")) is None


def test_command_line_prints_them_as_one_line(monkeypatch, capsys):
    def refused():
        raise PermissionError(errno.EACCES, "Permission denied", "/a\nb")

    monkeypatch.setattr(cli, "app", refused)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == "ssah: /a\\nb: Permission denied\n"


def test_room_on_the_disk(tmp_path):
    need_room(tmp_path / "a", 1)
    with pytest.raises(RunError, match=r"a: No space left on device \(1048576 MiB are needed, "):
        need_room(tmp_path / "a", 2**40)


@pytest.fixture
def closed():
    """A folder in which this process may not write, though the tests may run as root."""
    folder = Path(tempfile.mkdtemp())  # pytest's own ones are closed to others
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # nobody
    yield folder
    os.seteuid(user)
    folder.rmdir()


def test_folder_that_cannot_be_written(closed):
    for write in (
        lambda: Run.create(closed / "run"),
        lambda: write_atomically(closed / "a", b"x"),
        lambda: only_one(closed / ".lock", "it").__enter__(),
    ):
        with pytest.raises(RunError, match=r"Permission denied") as caught:
            write()
        assert len(str(caught.value).splitlines()) == 1
