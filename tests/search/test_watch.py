"""An index that follows its folder, look by look: what is taken in, when, and by what name."""

import os
import shutil
import threading

import pytest
from PIL import Image

from ssah_tf.search import watch
from ssah_tf.search.backends.schemes import locked
from ssah_tf.search.labels import FOLDERS
from ssah_tf.search.photo_index import OtherModel, PhotoIndex
from ssah_tf.search.watch import LabelFile, Watcher
from ssah_tf.system.errors import SsahError


def photo(path, grey):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (5, 5), grey).save(path)


@pytest.fixture(params=["folder", "postgres", pytest.param("milvus", marks=pytest.mark.slow)])
def place(request, tmp_path, monkeypatch):
    """Where an index is to be."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if request.param == "folder":
        return str(tmp_path / "index")
    return request.getfixturevalue(request.param)("watch" + os.urandom(4).hex())


class World:
    """Ten photos, their index, and a watcher of it."""

    def __init__(self, folder, place, encoder):
        self.folder, self.place, self.encoder = folder, place, encoder
        self.photos = folder / "photos"
        for k in range(10):
            photo(self.photos / f"{k}.png", 10 * k)
        self.sync()
        self.watcher = self.new()

    def new(self, **given):
        return Watcher(self.place, self.encoder, [self.photos], **given)

    def sync(self, **given):
        with PhotoIndex.open(self.place, self.encoder) as index:
            return index.sync(self.encoder, [self.photos], **given)

    def settled(self):
        """All that is taken in until nothing waits."""
        done = []
        for _ in range(9):
            if (batch := self.watcher.look()) is not None:
                done.append(batch)
            if not self.watcher.pending:
                return done
        raise AssertionError("something waits for ever")

    def ids(self):
        with PhotoIndex.open(self.place) as index:
            return {os.path.relpath(p.path, self.photos): n for n, p in index.photos.items()}

    def labels(self):
        with PhotoIndex.open(self.place) as index:
            photos = index.photos.values()
            return {os.path.relpath(p.path, self.photos): p.labels for p in photos if p.labels}


@pytest.fixture
def world(tmp_path, place, encoder):
    world = World(tmp_path, place, encoder)
    yield world
    world.watcher.close()


@pytest.fixture
def in_folder(tmp_path, encoder):
    """The same where it does not matter where the index is."""
    return World(tmp_path, str(tmp_path / "index"), encoder)


def test_what_is_new_changed_moved_gone_and_back(world):
    """The same as `ssah index` makes of it; nothing is written where nothing differs."""
    with PhotoIndex.open(world.place) as index:
        stamp = index.stamp
    assert world.settled() == []
    photo(world.photos / "new.png", 200)
    photo(world.photos / "1.png", 251)
    (world.photos / "2.png").rename(world.photos / "renamed.png")
    (world.photos / "3.png").unlink()
    before = world.ids()
    with PhotoIndex.open(world.place) as index:
        assert index.stamp == stamp
    (done,) = world.settled()
    counts = (done.added, done.changed, done.moved, done.back, done.vanished, done.kept)
    assert counts == (1, 1, 1, 0, 1, 7)
    assert done.photos == 10
    assert world.encoder.images == 12
    after = world.ids()
    assert after["renamed.png"] == before["2.png"]
    assert after["1.png"] == before["1.png"]
    assert after["new.png"] == 10
    assert "3.png" not in after
    photo(world.photos / "3.png", 30)
    (done,) = world.settled()
    assert (done.added, done.back, done.missing) == (0, 1, 0)
    assert world.ids()["3.png"] == before["3.png"]
    anew = world.sync()
    assert (anew.kept, anew.missing) == (11, 0)
    assert world.settled() == []


def test_a_file_that_is_still_written_waits_and_holds_nothing_up(in_folder):
    world = in_folder
    whole = (world.photos / "0.png").read_bytes()
    part = world.photos / "part.png"
    for length in range(1, 5):
        part.write_bytes(whole[:length])
        photo(world.photos / f"other{length}.png", 100 + length)
        done = world.watcher.look()  # what was there at the look before is taken in
        assert world.watcher.pending
        assert (done.added, done.bad) == (1, {}) if length > 1 else done is None
    part.write_bytes(whole)
    (world.photos / "0.png").write_bytes(whole[:9])  # a known one that is written over
    assert world.watcher.look().added == 1
    assert "0.png" in world.ids()
    (world.photos / "0.png").write_bytes(whole)
    os.utime(world.photos / "0.png", (1, 1))
    assert "part.png" not in world.ids()
    (done,) = [done for done in world.settled() if done.added]
    assert (done.bad, done.missing) == ({}, 0)
    assert {"0.png", "part.png", "other4.png"} <= set(world.ids())
    assert world.encoder.images == 14


def test_a_file_that_is_replaced_is_never_missing(in_folder):
    """As programs save: away for a moment, then there again."""
    world = in_folder
    (world.photos / "0.png").rename(world.folder / "aside.png")
    assert world.watcher.look() is None
    photo(world.photos / "0.png", 99)
    (done,) = world.settled()
    assert (done.changed, done.added, done.vanished) == (1, 0, 0)


def test_a_file_that_cannot_be_read_is_told_and_read_once(in_folder, monkeypatch):
    world, read = in_folder, []
    right = watch.encode_records

    def noted(encoder, paths, **given):
        read.extend(map(os.path.basename, paths))
        return right(encoder, paths, **given)

    monkeypatch.setattr(watch, "encode_records", noted)
    (world.photos / "bad.png").write_bytes(b"no image")
    stamp = PhotoIndex.open(world.place).stamp
    (done,) = world.settled()
    assert list(done.bad) == [str(world.photos / "bad.png")]
    assert PhotoIndex.open(world.place).stamp == stamp  # nothing was written
    assert world.settled() == []
    world.watcher = world.new(bad=world.sync().bad)
    assert world.settled() == []  # `ssah index` has told of it
    assert read == ["bad.png", "bad.png"]
    (world.photos / "1.png").write_bytes(b"no image either")
    (done,) = world.settled()
    assert (list(done.bad), done.vanished) == ([str(world.photos / "1.png")], 1)
    photo(world.photos / "bad.png", 5)
    photo(world.photos / "1.png", 10)
    (done,) = world.settled()
    assert (done.added, done.back, done.bad) == (1, 1, {})


@pytest.mark.parametrize("batch", [1, 3])
def test_a_moved_folder_keeps_its_numbers_whatever_a_batch_holds(in_folder, monkeypatch, batch):
    monkeypatch.setattr(watch, "BATCH", batch)
    world = in_folder
    before = world.ids()
    for path in list(world.photos.iterdir()):
        path.rename(world.folder / path.name)
    (world.photos / "sub").mkdir()
    for k in range(10):
        (world.folder / f"{k}.png").rename(world.photos / "sub" / f"{k}.png")
    for k in range(5):  # of a size that no photo has
        Image.effect_noise((20, 20), 50).save(world.photos / f"new{k}.png")
    done = world.settled()
    assert [(one.moved, one.vanished) for one in done] == [(10, 0)] + [(0, 0)] * (len(done) - 1)
    assert [one.added for one in done] == [batch] * (5 // batch) + [5 % batch] * (5 % batch > 0)
    after = world.ids()
    assert {name: after[f"sub/{name}"] for name in before} == before


def test_a_move_that_is_seen_in_halves_is_a_move(in_folder):
    """The listing of a large tree takes a while: the new name was seen, and the old one, too."""
    world = in_folder
    before = world.ids()
    shutil.copy2(world.photos / "0.png", world.photos / "z.png")
    assert world.watcher.look() is None
    (world.photos / "0.png").unlink()
    (done,) = world.settled()
    assert (done.moved, done.added, done.vanished) == (1, 0, 0)
    assert world.ids()["z.png"] == before["0.png"]


def test_a_folder_that_is_away(world):
    """No such folder: told, nothing changes. An empty one: its photos are missing until then."""
    before = world.ids()
    world.photos.rename(world.folder / "away")
    for _ in range(3):
        with pytest.raises(SsahError, match="photos: no such file or folder"):
            world.watcher.look()
    assert world.ids() == before
    world.photos.mkdir()
    (done,) = world.settled()
    assert (done.vanished, done.photos) == (10, 0)
    assert world.settled() == []
    world.photos.rmdir()
    (world.folder / "away").rename(world.photos)
    (done,) = world.settled()
    assert (done.back, done.missing) == (10, 0)
    assert world.ids() == before
    assert world.encoder.images == 10


def test_what_is_excluded_stays_out(in_folder):
    in_folder.watcher = in_folder.new(exclude=["small_*"])
    photo(in_folder.photos / "small_1.png", 1)
    photo(in_folder.photos / ".hidden.png", 1)
    assert in_folder.settled() == []


def test_another_process_writes_meanwhile(world, monkeypatch):
    """What it took in is not taken in twice, and nothing of it is lost."""
    photo(world.photos / "new.png", 200)
    assert world.watcher.look() is None
    right = Watcher.read

    def read(self, *given):
        found = right(self, *given)
        monkeypatch.undo()
        monkeypatch.setenv("XDG_CACHE_HOME", str(world.folder / "cache"))
        photo(world.photos / "newer.png", 201)
        assert world.sync().added == 2
        return found

    monkeypatch.setattr(Watcher, "read", read)
    assert world.watcher.look() is None
    assert world.settled() == []
    assert world.ids() == {**{f"{k}.png": k for k in range(10)}, "new.png": 10, "newer.png": 11}


def test_it_waits_for_the_lock_and_lets_go_of_it(in_folder):
    world = in_folder
    photo(world.photos / "new.png", 200)
    assert world.watcher.look() is None
    done = []
    thread = threading.Thread(target=lambda: done.append(world.watcher.look()))
    with locked(world.place):  # nobody writes
        thread.start()
        thread.join(1)
        assert done == []
        assert "new.png" not in world.ids()
    thread.join(60)
    assert done[0].added == 1
    with locked(world.place):  # free again
        assert world.watcher.look() is None


def test_two_watchers_take_in_each_photo_once(world):
    other = world.new()
    photo(world.photos / "new.png", 200)
    looks = [watcher.look() for _ in range(4) for watcher in (world.watcher, other)]
    assert [done.added for done in looks if done is not None] == [1]
    assert world.ids()["new.png"] == 10
    assert not other.pending
    other.close()


def test_an_index_of_another_encoder_ends_it(in_folder, fake_encoder):
    other = fake_encoder("xyz")
    with PhotoIndex.open(in_folder.place) as index:
        index.migrate(other)
    with pytest.raises(OtherModel, match="was made by model xyz, the encoder is abc"):
        in_folder.watcher.look()


def test_an_index_that_is_gone_is_not_begun_again(in_folder):
    in_folder.settled()
    shutil.rmtree(in_folder.place)
    photo(in_folder.photos / "new.png", 200)
    for _ in range(3):
        with pytest.raises(SsahError, match="not an index of photos"):
            in_folder.watcher.look()
    assert not os.path.exists(in_folder.place)


def test_a_label_file_is_read_again_when_it_has_changed(world):
    table = world.folder / "labels.csv"
    table.write_text("path,label\n0.png,sea\n1.png,sea\n")
    file = LabelFile.read(str(table), [world.photos])
    world.sync(labels=file.labels)
    world.watcher = world.new(labels=file)
    assert world.settled() == []
    table.write_text("path,label\n0.png,dog\n1.png,\n2.png,cat\nnew.png,cat\n")
    assert world.watcher.look() is None  # it may still be written
    (done,) = world.settled()
    assert done.labels == (1, 1, 1)
    photo(world.photos / "new.png", 200)
    (done,) = world.settled()
    assert (done.added, done.labels) == (1, (1, 0, 0))
    expected = {"0.png": ("dog",), "2.png": ("cat",), "new.png": ("cat",)}
    assert world.labels() == expected
    table.write_text("path;label\n")
    assert world.watcher.look() is None
    for _ in range(2):
        with pytest.raises(SsahError, match=r"labels\.csv, line 1: expected the columns"):
            world.watcher.look()
    table.write_text("path,label\n0.png,\n")
    assert world.settled()[-1].labels == (0, 0, 1)
    del expected["0.png"]
    assert world.labels() == expected
    table.write_text("path,label\n2.png,cat\n")
    world.watcher = world.new(labels=LabelFile(file.labels, None), replace_labels=True)
    world.settled()
    assert world.labels() == {"2.png": ("cat",)}


def test_labels_follow_the_folders(in_folder):
    world = in_folder
    world.watcher = world.new(labels=LabelFile.read(FOLDERS, [world.photos]))
    photo(world.photos / "dog" / "rex.png", 200)
    world.settled()
    assert world.labels() == {"dog/rex.png": ("dog",)}
    (world.photos / "cat").mkdir()
    (world.photos / "dog" / "rex.png").rename(world.photos / "cat" / "rex.png")
    (done,) = world.settled()
    assert (done.moved, done.labels) == (1, (0, 1, 0))
    assert world.labels() == {"cat/rex.png": ("cat",)}


def test_what_is_heard_may_be_of_photos(in_folder):
    world = in_folder
    table = world.folder / "labels.csv"
    table.write_text("path,label\n0.png,sea\n")
    given = LabelFile.read(str(table), [world.photos])
    watcher = Watcher(world.place, world.encoder, [world.photos], labels=given)
    assert watcher.folders() == {str(world.photos): True, str(world.folder): False}
    root = str(world.photos)
    for path, is_folder, matters in (
        ("a.JPG", False, True),
        ("below/a.png", False, True),
        ("a.txt", False, False),
        (".a.png", False, False),
        (".trash/a.png", False, False),
        ("below", True, True),
        (".git", True, False),
    ):
        assert watcher.matters(root, f"{root}/{path}", is_folder) is matters, path
    assert watcher.matters(str(world.folder), str(table), False)


class Deaf:
    """Folders that tell nothing, as those of a network drive; notes how long was waited."""

    def __init__(self, *steps):
        self.steps, self.waited = iter(steps), []

    def forget(self):
        pass

    def wait(self, seconds):
        self.waited.append(seconds)
        next(self.steps, lambda: None)()
        return False


def test_what_nobody_tells_of_is_found_by_the_sweep(in_folder, monkeypatch):
    """And what goes wrong is told once, and tried again until it is well."""
    monkeypatch.setattr(watch, "SETTLE", 0)
    world = in_folder
    away = world.folder / "away"
    deaf = Deaf(
        lambda: photo(world.photos / "new.png", 200),
        lambda: world.photos.rename(away),
        lambda: None,
        lambda: away.rename(world.photos),
        lambda: photo(world.photos / "newer.png", 201),
    )
    batches = world.watcher.batches(deaf, 999)
    assert next(batches).added == 1
    assert "no such file or folder" in str(next(batches))
    assert next(batches).added == 1
    assert deaf.waited == [999, 999, watch.AGAIN, watch.AGAIN, 999]
    batches.close()
    assert world.watcher.index is None
