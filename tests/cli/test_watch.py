"""A real `ssah index --watch`: real changes, other processes, signals, kills."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ssah_tf import Encoder
from ssah_tf.cli.app import app
from ssah_tf.data import load_fashion
from ssah_tf.search.backends.schemes import locked
from ssah_tf.search.photo_index import PhotoIndex

#: Seconds after which something has not happened.
LONG = 240


def ssah(*words):
    """A command in this process."""
    return CliRunner().invoke(app, list(map(str, words)))


class Watching:
    """A process, and the lines that it has printed."""

    def __init__(self, *words):
        command = [sys.executable, "-m", "ssah_tf.cli", "index", *map(str, words), "--watch"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
        self.lines = {"out": [], "err": []}
        streams = {"out": self.process.stdout, "err": self.process.stderr}
        self.threads = [
            threading.Thread(target=self.lines[name].extend, args=[stream])
            for name, stream in streams.items()
        ]
        for thread in self.threads:
            thread.start()

    def wait_for(self, pattern, stream="out"):
        """Wait for a line, and forget the lines until then."""
        deadline = time.monotonic() + LONG
        while time.monotonic() < deadline and self.process.poll() is None:
            for number, line in enumerate(self.lines[stream]):
                if re.search(pattern, line):
                    del self.lines[stream][: number + 1]
                    return
            time.sleep(0.05)
        raise AssertionError(f"{pattern!r} was never printed: {self.lines}")

    def end(self, number=signal.SIGTERM):
        """Send a signal; the exit code, and what was printed on stderr since."""
        self.process.send_signal(number)
        code = self.process.wait(LONG)
        for thread in self.threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code, "".join(self.lines["err"])


@pytest.fixture
def photos(tmp_path):
    """Ten photos, and others to come."""
    for k, pixels in enumerate(load_fashion().pixels[:40]):
        folder = tmp_path / ("photos" if k < 10 else "others")
        folder.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{k:02d}.png")
    return tmp_path / "photos"


@pytest.fixture
def begin(request, exported):
    """Begins to watch folders."""
    _, export = exported

    def one(*words):
        watching = Watching(export, *words)
        request.addfinalizer(lambda: watching.process.poll() is None and watching.end(9))
        watching.wait_for("^watching")
        return watching

    return one


def ids(place):
    with PhotoIndex.open(place) as index:
        return {os.path.basename(photo.path): number for number, photo in index.photos.items()}


@pytest.mark.slow
def test_life(begin, exported, photos, tmp_path):
    """A line for each batch; two watchers and `ssah index` at once; nothing is there twice."""
    _, export = exported
    place, others = tmp_path / "index", tmp_path / "others"
    one = begin(photos, "--output", place)
    other = begin(photos, "--output", place)
    before = ids(place)
    for k in range(10, 14):
        (others / f"{k}.png").rename(photos / f"{k}.png")
    done = ssah("index", export, photos, "--output", place)
    assert done.exit_code == 0 or "in use by another process" in done.output
    one.process.send_signal(signal.SIGSTOP)  # the other one has to do it
    (photos / "00.png").rename(photos / "renamed.png")
    other.wait_for("^14 photos: 1 moved$")
    one.process.send_signal(signal.SIGCONT)
    part = (others / "20.png").read_bytes()
    (photos / "20.png").write_bytes(part[:100])
    with open(photos / "20.png", "ab") as stream:
        stream.write(part[100:])
    deadline = time.monotonic() + LONG
    while "20.png" not in ids(place) and time.monotonic() < deadline:
        time.sleep(0.1)
    after = ids(place)
    assert after["renamed.png"] == before["00.png"]
    assert sorted(after.values()) == list(range(15))
    code, err = one.end()
    assert code == 143
    assert "Traceback" not in err
    for k in range(1, 5):
        (photos / f"0{k}.png").unlink()
    other.wait_for(r"^11 photos: 4 missing$")
    other.wait_for(r"^4 photos vanished at once, more than a fifth of the index: look", "err")
    other.end()
    done = ssah("index", export, photos, "--output", place)
    assert done.output.startswith(
        "11 photos: 0 new, 0 changed, 0 moved, 0 back, 4 missing, 0 removed, 11 as they were"
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_one_line(begin, photos, tmp_path, number):
    """Also while it waits for another process that writes; then nothing is half written."""
    place = tmp_path / "index"
    watching = begin(photos, "--output", place)
    with locked(str(place)):
        (tmp_path / "others" / "10.png").rename(photos / "10.png")
        time.sleep(6)  # it waits by now, or will
        code, err = watching.end(number)
    assert code == 128 + number
    word = {signal.SIGINT: "interrupted", signal.SIGTERM: "stopped"}[number]
    line = f"ssah: {word}; all that was told is in the index; the same command goes on"
    assert err.strip().splitlines() == [line]
    assert len(ids(place)) == 10
    assert sorted(os.listdir(place)) == sorted(
        name for name in os.listdir(place) if re.match(r"codes-[ab]$|encoder-|photos\.json$", name)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "kills"), [("folder", 2), ("folder", 20), ("postgres", 20), ("milvus", 20)]
)
def test_killed_it_goes_on(begin, exported, photos, tmp_path, monkeypatch, request, kind, kills):
    """`kill -9` at random moments while photos come, change and go; nothing is lost or twice."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _, export = exported
    place, rng = tmp_path / "index", np.random.default_rng(kills)
    if kind != "folder":
        place = request.getfixturevalue(kind)("killed_watch")
    pixels = load_fashion().pixels
    for kill in range(kills):
        watching = begin(photos, "--output", place, "--sweep", "1s")
        known = ids(place)
        for k in range(60):
            Image.fromarray(pixels[100 + 60 * kill + k]).save(photos / f"new{kill}-{k}.png")
        for path in sorted(photos.iterdir())[:: int(rng.integers(4, 9))]:
            path.rename(path.with_name(f"m{path.name}"))
        time.sleep(rng.uniform(1.5, 6))
        watching.end(signal.SIGKILL)
        now = ids(place)
        assert len(now) == len(set(now.values()))
        assert all(now[name] == known[name] for name in now.keys() & known.keys())
    assert ssah("index", export, photos, "--output", place).exit_code == 0
    with PhotoIndex.open(place) as index:
        paths = index.photos.paths()
        assert sorted(paths) == sorted(map(str, photos.iterdir()))
        assert len(index.missing) == 0
        np.testing.assert_array_equal(index.codes.codes, Encoder.load(export).encode(paths))


@pytest.mark.slow
def test_an_empty_folder_may_fill(begin, photos, tmp_path):
    inbox, place = tmp_path / "inbox", tmp_path / "index"
    inbox.mkdir()
    watching = begin(inbox, "--output", place)
    (photos / "00.png").rename(inbox / "00.png")
    watching.wait_for("^1 photos: 1 new$")
    assert ids(place) == {"00.png": 0}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--watch", "--prune"], "--watch never removes photos: run --prune by itself"),
        (["--sweep", "10m"], "--sweep goes with --watch"),
        (["--watch", "--sweep", "soon"], "--sweep soon: expected a time such as 90s, 10m or 2h"),
    ],
)
def test_what_does_not_go_together_is_refused(words, line, tmp_path):
    done = ssah("index", tmp_path / "none.onnx", tmp_path, *words)
    assert done.exit_code == 1
    assert str(done.exception) == line
