"""Photos in databases: step by step the same as in a folder; kills; the command line."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import CliRunner

from ssah_tf import Encoder
from ssah_tf.cli.app import app
from ssah_tf.data import load_fashion
from ssah_tf.search.backends.storage import State
from ssah_tf.search.duplicates import find_duplicates
from ssah_tf.search.photo_index import PhotoIndex, load_photos
from ssah_tf.search.photo_table import LATER
from ssah_tf.search.stats import index_stats
from ssah_tf.search.sync import Synced
from ssah_tf.system.errors import SsahError

NAMES = map("photos{}".format, itertools.count())


@pytest.fixture(params=["postgres", pytest.param("milvus", marks=pytest.mark.slow)])
def place(request, tmp_path, monkeypatch):
    """Address of an index that is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return request.getfixturevalue(request.param)(next(NAMES))


def photo(path, grey):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (5, 5), grey).save(path)


def state(index):
    """All that an index holds."""
    codes = dict(zip(index.codes.ids.tolist(), index.codes.codes.tolist(), strict=True))
    return (
        index.photos.in_memory(),
        codes,
        index.missing.rows,
        index.next_id,
        index.roots,
        index.image_size,
    )


def answers(index):
    """What an index answers: (path, distance) a neighbour."""
    queries = np.array([[0], [77], [255]], np.uint8)
    return [
        [
            [(hit.photo.path, hit.distance) for hit in row]
            for row in index.neighbours(queries, **how)
        ]
        for how in (
            {"k": 3},
            {"radius": 3},
            {"k": 4, "where": ["label=beach"]},
            {"radius": 8, "where": ["path=*/a/*"]},
        )
    ]


@pytest.mark.slow
def test_step_by_step_as_in_a_folder(place, encoder, tmp_path):
    photos = tmp_path / "photos"
    for k in range(20):
        photo(photos / "ab"[k % 2] / f"{k:02d}.png", 10 * k)
    if sys.platform == "linux":
        photo(photos / "a" / os.fsdecode(b"\xff.png"), 123)  # a name that is not UTF-8

    def first():
        return lambda paths: {p: ("beach", "sea; sun") if "/a/" in p else () for p in paths}

    def second():
        photo(photos / "a" / "00.png", 255)
        photo(photos / "c" / "new.png", 77)
        (photos / "b" / "01.png").unlink()
        os.utime(photos / "a" / "02.png", (1, 1))  # looks changed, is not

    def third():
        (photos / "b" / "03.png").rename(photos / "moved.png")
        return lambda paths: {p: ("beach",) if "0" in p else () for p in paths}

    def fourth():
        (photos / "a").rename(tmp_path / "away")

    def fifth():
        (tmp_path / "away").rename(photos / "a")
        (photos / "a" / "04.png").unlink()

    for step in (first, second, third, fourth, fifth):
        labels = step()
        done = []
        for where in (tmp_path / "index", place):
            with PhotoIndex.open(where, encoder) as index:
                done.append(index.sync(encoder, [photos], labels=labels))
        assert done[0] == done[1]
        with PhotoIndex.open(tmp_path / "index") as one, PhotoIndex.open(place) as other:
            assert len(one) == len(other)
            assert answers(one) == answers(other)  # by the database
            assert state(one) == state(other)
            assert answers(one) == answers(other)
            if step in (first, fifth):
                assert find_duplicates(one, 8) == find_duplicates(other, 8)
            stats = [index_stats(index).to_dict() for index in (one, other)]
        for found in stats:
            del found["disk"], found["memory"]
        assert stats[0] == stats[1]


def test_load_brings_what_changed(place, encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(PhotoIndex, "encoder", lambda self, threads=0: encoder)
    for k in range(10):
        photo(tmp_path / "photos" / f"{k}.png", 20 * k)
    folder = PhotoIndex.open(tmp_path / "index", encoder)
    folder.sync(
        encoder, [tmp_path / "photos"], labels=lambda paths: dict.fromkeys(paths, ("beach",))
    )
    assert load_photos(tmp_path / "index", place) == Synced(added=10)
    with PhotoIndex.open(place) as stored:
        assert state(stored) == state(folder)
        assert stored.storage.store.file("encoder") == encoder.path.read_bytes()
        saved = PhotoIndex.open(tmp_path / "index")
        change = stored.storage.change(State(saved.codes, saved.table, 4))
    assert (len(change.added[0]), len(change.updated[0]), len(change.removed)) == (0, 0, 0)
    assert not change.photos
    assert load_photos(tmp_path / "index", place) == Synced(kept=10)
    (tmp_path / "photos" / "4.png").unlink()
    photo(tmp_path / "photos" / "5.png", 250)
    folder.sync(encoder, [tmp_path / "photos"])
    assert load_photos(tmp_path / "index", place) == Synced(
        changed=1, missing=1, missing_labelled=1, kept=8
    )
    with PhotoIndex.open(place) as stored:
        assert state(stored) == state(folder)


def test_refusals(place, encoder, tmp_path, fake_encoder):
    photo(tmp_path / "photos" / "1.png", 3)
    with pytest.raises(SsahError, match="no index; make one with `ssah index`"):
        PhotoIndex.open(place)
    with (
        PhotoIndex.open(place, encoder) as index,
        pytest.raises(SsahError, match="not an index of photos; make one with"),
    ):
        PhotoIndex.open(place)
    with PhotoIndex.open(place, encoder) as index:
        index.sync(encoder, [tmp_path / "photos"])
        with PhotoIndex.open(place, encoder) as stale:
            photo(tmp_path / "photos" / "2.png", 4)
            index.sync(encoder, [tmp_path / "photos"])
            with pytest.raises(SsahError, match="another process has changed it; run the same"):
                stale.sync(encoder, [tmp_path / "photos"])
    other = fake_encoder("xyz")
    with pytest.raises(SsahError, match="was made by model abc, the encoder is xyz"):
        PhotoIndex.open(place, other)
    with PhotoIndex.open(place) as index:
        assert len(index) == 2
        if place.startswith("milvus"):
            with pytest.raises(
                SsahError,
                match=r"Milvus has no transactions, so .* index the photos under another name",
            ):
                index.migrate(other)
            return
        other.bits = 16
        other.full_codes = lambda images: np.repeat(images[:, 0, 0, :1], 2, axis=1)
        before = dict(index.photos)
        assert not index.migrate(other)
    with PhotoIndex.open(place, other) as index:
        assert dict(index.photos) == before
        assert index.codes.codes.tolist() == [[3, 3], [4, 4]]
        assert index.storage.store.file("encoder") == other.path.read_bytes()
        assert index.neighbours(np.array([[3, 3]], np.uint8), 1)[0][0].distance == 0


def test_an_older_index_is_brought_up_to_date_with_its_labels(postgres, encoder, tmp_path):
    """Its photos have the columns `changed` and `looks`, which `ssah index` renames."""
    place = postgres(next(NAMES))
    photo(tmp_path / "photos" / "1.png", 3)
    index = PhotoIndex.open(place, encoder)
    index.sync(
        encoder, [tmp_path / "photos"], labels=lambda paths: dict.fromkeys(paths, ("beach",))
    )
    before = state(index)
    codes = index.storage.store.index
    about = json.loads(index.storage.store.file("about"))
    line = "made by an older version of ssah-tf: run `ssah index` again, which brings it up to date"

    def run(statement, *values):
        with codes.transaction() as connection:
            connection.execute(codes.sql(statement), values)

    def set_about(**changes):
        content = json.dumps(about | changes).encode()
        run("UPDATE {s}.files SET content = %s WHERE name = 'about'", content)

    for layout, renamed in ((1, True), (2, True), (1, False)):
        if renamed:
            run("ALTER TABLE {s}.photos RENAME COLUMN mtime_ns TO changed")
            run("ALTER TABLE {s}.photos RENAME COLUMN perceptual_hash TO looks")
        set_about(format=1)
        run("UPDATE {s}.about SET layout = %s", layout)
        with pytest.raises(SsahError, match=line) as caught:
            PhotoIndex.open(place)
        assert len(str(caught.value).splitlines()) == 1
        with PhotoIndex.open(place, encoder) as opened:
            assert state(opened) == before
            done = opened.sync(encoder, [tmp_path / "photos"])
            assert (done.kept, done.missing) == (1, 0)
        with PhotoIndex.open(place) as opened:
            assert state(opened) == before
    set_about(format=2)  # without missing photos, else the same
    with PhotoIndex.open(place) as opened:
        assert state(opened) == before
    for name in LATER:
        run(f"ALTER TABLE {{s}}.photos DROP COLUMN {name}")
    with PhotoIndex.open(place) as opened:
        assert {photo.taken for photo in opened.photos.values()} == {""}
        assert opened.table.some([0])[0].taken_from == ""
    with PhotoIndex.open(place, encoder) as opened:
        opened.sync(encoder, [tmp_path / "photos"])
    with PhotoIndex.open(place) as opened:
        assert state(opened) == before
    set_about(format=5)
    with pytest.raises(SsahError, match="made by a newer version"):
        PhotoIndex.open(place, encoder)
    run("UPDATE {s}.about SET layout = 4")
    with pytest.raises(SsahError, match="made by a newer version"):
        PhotoIndex.open(place, encoder)
    index.close()


def ssah(*words):
    """What a command prints, in this process."""
    result = CliRunner().invoke(app, list(map(str, words)))
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def fashion(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fashion")
    for k, pixels in enumerate(load_fashion().pixels[:60]):
        Image.fromarray(pixels).save(folder / f"{k:02d}.png")
    return folder


@pytest.mark.slow
def test_command_line(exported, fashion, place, tmp_path):
    """The same words with an address in place of a folder print the same."""
    _, export = exported
    folder = tmp_path / "index"
    labels = tmp_path / "labels.csv"
    labels.write_text("path,label\n" + "".join(f"{k:02d}.png,{'ab'[k % 2]}\n" for k in range(20)))
    for where in (folder, place):
        told = ssah("index", export, fashion, "--output", where, "--labels", labels)
        assert told.startswith(
            "60 photos: 60 new, 0 changed, 0 moved, 0 back, 0 missing, 0 removed, 0 as they were"
        )
    for words in (
        ["search", "INDEX", fashion / "07.png", fashion / "08.png", "-k", 5],
        ["search", "INDEX", fashion / "07.png", "--radius", 3, "--filter", "path=*1*", "--json"],
        ["search", "INDEX", "--label-like", "a", "-k", 30, "--json"],
        ["search", "INDEX", "--label-like", "b", "--radius", 3, "--filter", "path=*[13579].png"],
        ["duplicates", "INDEX", "--json"],
    ):
        one, other = ([where if w == "INDEX" else w for w in words] for where in (folder, place))
        assert ssah(*one) == ssah(*other)
    assert "distinct codes" in ssah("stats", place)
    assert "0 photos new, 0 changed, 0 missing, 0 removed" in ssah("load", folder, place)
    none = place.replace("photos", "none")
    words = [sys.executable, "-m", "ssah_tf.cli", "search", none, fashion / "07.png"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "no index; make one with" in done.stderr


@pytest.mark.slow
def test_commands_close_their_connections(
    exported, fashion, postgres, connections, tmp_path, monkeypatch
):
    """Those that fail once there is one, too."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _, export = exported
    folder, place, none = tmp_path / "index", postgres(next(NAMES)), postgres(next(NAMES))
    empty, query, broken = tmp_path / "empty", fashion / "07.png", tmp_path / "broken.png"
    empty.mkdir()
    broken.write_bytes(b"no image")
    other = tmp_path / "other.onnx"
    model = onnx.load(export / "encoder.onnx")
    about = {entry.key: entry.value for entry in model.metadata_props}
    onnx.helper.set_model_props(model, {**about, "model_id": "other"})
    onnx.save(model, other)
    ssah("index", export, fashion, "--output", folder)
    for words, code in (
        (["index", export, empty, "--output", place], 1),
        (["stats", place], 1),  # no photo
        (["index", export, fashion, "--output", place], 0),
        (["index", other, fashion, "--output", place], 1),
        (["search", place, query], 0),
        (["search", place, query, "--filter", "label=none"], 1),
        (["search", place, broken], 1),
        (["search", none, query], 1),
        (["duplicates", place], 0),
        (["stats", place], 0),
        (["load", folder, place], 0),
        (["migrate", place, other], 0),
        (["migrate", none, other], 1),
        (["load", folder, place], 1),
    ):
        result = CliRunner().invoke(app, list(map(str, words)))
        assert result.exit_code == code, (words, result.output)
        assert connections, words
        assert all(connection.closed for connection in connections), words
        connections.clear()


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_it_goes_on(exported, fashion, place, tmp_path, kills):
    """`kill -9` at random moments; then the index is whole, nothing is lost, nothing is twice."""
    _, export = exported
    photos = tmp_path / "photos"
    photos.mkdir()
    for k in range(40):
        for path in fashion.iterdir():
            os.link(path, photos / f"{k}-{path.name}")
    rng = np.random.default_rng(kills)
    words = [sys.executable, "-m", "ssah_tf.cli", "index", export, photos, "--output", place]
    for _ in range(kills):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(1, 4))
        process.send_signal(signal.SIGKILL)
        process.wait()
        gone = sorted(photos.iterdir())[:: int(rng.integers(50, 100))]
        for path in gone:  # work for the next one
            path.unlink()
    ssah(*words[3:])
    with PhotoIndex.open(place) as index:
        paths = sorted(map(str, photos.iterdir()))
        assert sorted(index.photos.paths()) == paths
        assert index.codes.ids.tolist() == list(index.photos)
        codes = Encoder.load(export).encode(index.photos.paths()[:100])
        np.testing.assert_array_equal(index.codes.codes[:100], codes)
        assert set(index.storage.store.photos()) == set(index.photos)
