import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import pytest

from ssah_tf.system.errors import RunError
from ssah_tf.system.lock import only_one

HOLD = """
import sys
from pathlib import Path
from ssah_tf.system.lock import only_one
with only_one(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLD, tmp_path / ".lock"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_is_refused_by_name(other, tmp_path):
    with pytest.raises(RunError) as caught, only_one(tmp_path / ".lock", "runs/x"):
        pass
    assert str(caught.value) == (
        f"runs/x is in use by another process (number {other.pid}): wait until it has ended, "
        "or name another --output"
    )
    assert (tmp_path / ".lock").exists()  # the refused one must not take it away


def test_the_second_may_wait(other, tmp_path):
    ender = threading.Timer(0.5, other.stdin.close)
    ender.start()
    with only_one(tmp_path / ".lock", "it", wait=True):
        assert other.wait(60) == 0
        assert (tmp_path / ".lock").read_text() == str(os.getpid())
    ender.join()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, None])
def test_it_ends_with_its_process(other, tmp_path, end):
    if end is not None:
        other.send_signal(end)
    other.stdin.close()
    other.wait()
    with only_one(tmp_path / ".lock", "it"):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())
    assert os.listdir(tmp_path) == []


def test_it_ends_with_the_block(tmp_path):
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), only_one(tmp_path / "new" / ".lock", "it"):
            raise KeyboardInterrupt
    assert os.listdir(tmp_path / "new") == []


def hammer(folder, rounds):
    """Take the lock again and again; whoever has it must be alone in the room."""
    done = 0
    while done < rounds:
        try:
            with only_one(folder / ".lock", "it"):
                (folder / "room").mkdir()  # fails if somebody is in it
                (folder / "room").rmdir()
                done += 1
        except RunError:
            continue


def test_never_two(tmp_path):
    """Three processes, 200 turns each, though each turn removes the file."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=hammer, args=(tmp_path, 200)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert os.listdir(tmp_path) == []


def test_where_no_file_can_be_made(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"), only_one(tmp_path / "file" / "l", "x"):
        pass
