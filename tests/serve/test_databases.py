"""`ssah serve` on an index in a database: the same answers, and a new state when there is one."""

import contextlib
import io
import itertools
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.serve.library import LiveLibrary

NAMES = map("served{}".format, itertools.count())


@pytest.fixture(params=["postgres", pytest.param("milvus", marks=pytest.mark.slow)])
def place(request, tmp_path, monkeypatch):
    """Address of an index that is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return request.getfixturevalue(request.param)(next(NAMES))


@pytest.fixture
def opened():
    """Closes at the end of the test what it is given."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context


def ssah(*words):
    command = [sys.executable, "-m", "ssah_tf.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def ask(url, data=None):
    with urllib.request.urlopen(url, data, timeout=30) as answer:
        return json.load(answer)


def pairs(answer):
    return [(hit["distance"], hit["path"]) for hit in answer["neighbours"]]


def until(url, photos):
    """Wait until a service knows so many photos."""
    for _ in range(150):
        if ask(f"{url}/healthz")["photos"] == photos:
            return
        time.sleep(0.1)
    raise AssertionError(ask(f"{url}/healthz"))


@pytest.mark.slow
def test_life(own, place, serve):
    """Indexed, served, searched, shown; then photos come, change and go, and it is served anew."""
    encoder = own.root / "encoder.onnx"
    index = ["index", encoder, own.photos, "--labels", "folders", "--output", place]
    assert ssah(*index).startswith("10 photos: 10 new")
    served = serve(place)
    answer = ask(f"{served.url}/search?k=10", own.body(180, 20, 0))
    assert pairs(answer) == own.nearest(180, 20, 0)
    blue = ask(f"{served.url}/search?filter=label=blue&k=10", own.body(180, 20, 0))
    assert pairs(blue) == own.nearest(180, 20, 0, among="blue")
    photos = ask(f"{served.url}/photos?filter=label=red&count=3")
    assert {photo["path"] for photo in photos} < {f"red/{i}.png" for i in range(4)}
    assert len(photos) == 3
    assert ask(f"{served.url}/about")["labels"] == {"red": 4, "blue": 3, "green": 3}
    for hit in answer["neighbours"][:2]:
        with urllib.request.urlopen(served.url + hit["thumbnail"]) as drawn:
            picture = Image.open(io.BytesIO(drawn.read()))
        assert picture.getpixel((5, 5)) == own.colours[hit["path"]]

    Image.new("RGB", (12, 12), (180, 20, 0)).save(own.photos / "red" / "new.png")
    (own.photos / "blue" / "0.png").unlink()
    Image.new("RGB", (12, 12), (0, 0, 255)).save(own.photos / "green" / "2.png")
    ssah(*index)
    (own.photos / "green" / "1.png").unlink()
    ssah(*index)
    until(served.url, 9)
    own.colours |= {"red/new.png": (180, 20, 0), "green/2.png": (0, 0, 255)}
    del own.colours["blue/0.png"], own.colours["green/1.png"]
    for colour in ((180, 20, 0), (0, 0, 200)):
        found = pairs(ask(f"{served.url}/search?k=20", own.body(*colour)))
        assert sorted(found) == own.nearest(*colour)
        assert [distance for distance, _ in found] == [far for far, _ in own.nearest(*colour)]
    blue = ask(f"{served.url}/search?filter=label=blue", own.body(180, 20, 0))
    assert pairs(blue) == own.nearest(180, 20, 0, among="blue")
    code, stderr = served.stop()
    assert code == 0
    assert "the index was made anew: 9 photos" in stderr
    assert "Traceback" not in stderr


def test_only_a_change_is_read(own, place, opened, monkeypatch):
    """A look reads neither codes nor photos; a state that is held is not touched by what comes."""
    index = opened(PhotoIndex.open(place, own.encoder))
    index.sync(own.encoder, [own.photos])
    live = opened(LiveLibrary(place))
    assert live.encoder_file() == own.encoder.path.read_bytes()
    first = live.current
    reads = []
    right = PhotoIndex.open
    monkeypatch.setattr(PhotoIndex, "open", lambda *a, **k: reads.append(a) or right(*a, **k))
    for _ in range(8):
        assert not live.refresh()
    assert reads == []
    Image.new("RGB", (12, 12), (77, 77, 77)).save(own.photos / "red" / "grey.png")
    index.sync(own.encoder, [own.photos])
    assert live.refresh()
    assert len(reads) == 1
    assert not live.refresh()
    assert (len(first), len(live.current), live.reloads) == (10, 11, 1)
    assert live.current.encoder is first.encoder
    code = np.array([[0, 0, 0]], np.uint8)
    assert len(first.index.neighbours(code, 20)[0]) == 10
    assert len(first.index.neighbours(code, 20, where=["path=*/red/*"])[0]) == 4
    assert live.current.find("red/grey.png") is not None


def test_another_encoder(own, place, opened, tmp_path, write_encoder):
    """After `ssah migrate` the service encodes with the new one."""
    from ssah_tf import Encoder

    if place.startswith("milvus"):
        pytest.skip("Milvus cannot exchange all codes")
    index = opened(PhotoIndex.open(place, own.encoder))
    index.sync(own.encoder, [own.photos])
    live = opened(LiveLibrary(place))
    for _ in range(8):  # the server has seen the statement often by then
        live.refresh()
    index.migrate(Encoder.load(write_encoder(tmp_path / "other.onnx", "other")))
    assert live.refresh()
    assert live.current.encoder.model_id == "other"
    code = live.current.code(3)
    assert live.current.index.neighbours(code, 1)[0][0].id == 3


def test_one_connection_at_most(own, postgres, connections, tmp_path, monkeypatch):
    """What is served needs none, old or new; one looks for changes, until the end."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = postgres(next(NAMES))

    def open_now():
        return sum(not connection.closed for connection in connections)

    with PhotoIndex.open(place, own.encoder) as index:
        index.sync(own.encoder, [own.photos])
    with LiveLibrary(place) as live:
        first = live.current
        assert open_now() == 0
        assert not live.refresh()
        assert open_now() == 1
        (own.photos / "red" / "0.png").unlink()
        with PhotoIndex.open(place, own.encoder) as index:
            index.sync(own.encoder, [own.photos])
        assert live.refresh()
        assert open_now() == 1
    assert open_now() == 0
    code = np.array([[0, 0, 0]], np.uint8)
    assert len(first.index.neighbours(code, 20)[0]) == 10  # of a request that has begun before
    assert len(live.current.index.neighbours(code, 20)[0]) == 9


def test_a_lost_connection(own, place, opened):
    """The state that is served stays; the service says so in a line, and comes back by itself."""
    if place.startswith("milvus"):
        pytest.skip("its connections are not ended by hand")
    psycopg = pytest.importorskip("psycopg")
    with PhotoIndex.open(place, own.encoder) as index:
        index.sync(own.encoder, [own.photos])
    live = opened(LiveLibrary(place))
    assert not live.refresh()
    base, _, name = place.partition("?")[0].rpartition("/")
    server = f"{base}?{place.partition('?')[2]}"
    with psycopg.connect(server, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        assert not live.refresh()
        assert name in live.error
        assert len(live.error.splitlines()) == 1
        assert len(live.current) == 10
        assert not live.refresh()
        assert live.error == ""
        other.execute(f"DROP SCHEMA {name} CASCADE")
    assert not live.refresh()
    assert name in live.error
    assert len(live.current) == 10


def test_refusals_are_one_line_without_the_password(postgres):
    for place, line in (
        ("postgresql://me:s3cret@localhost:1/db/NAME", "connection failed"),
        ("postgresql://me:s3cret@localhost/NAME", "not the address of an index: expected"),
        ("redis://me:s3cret@localhost/NAME", "not the address of an index: expected"),
        (postgres("none"), "no index; make one with `ssah index`"),
    ):
        words = [sys.executable, "-m", "ssah_tf.cli", "serve", place, "--port", "0"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert line in done.stderr
        assert "s3cret" not in done.stderr
