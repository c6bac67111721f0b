"""Nothing is forgotten of a photo because its file is not there: ids, labels, codes."""

import json
import os
import shutil

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from ssah_tf.search.backends import folder as module
from ssah_tf.search.labels import PhotoLabels
from ssah_tf.search.missing import Aside, from_bytes, to_bytes
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import LATER, Photo
from ssah_tf.search.stats import as_lines, index_stats
from ssah_tf.system.errors import SsahError


def photo(path, grey):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (5, 5), grey).save(path)


@pytest.fixture(params=["folder", "postgres", pytest.param("milvus", marks=pytest.mark.slow)])
def place(request, tmp_path, monkeypatch):
    """Where an index is to be."""
    if request.param == "folder":
        return tmp_path / "index"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return request.getfixturevalue(request.param)("missing" + os.urandom(4).hex())


class World:
    """Folders d1 and d2 of four photos each, three of them with labels, and their index."""

    def __init__(self, folder, place, encoder):
        self.folder, self.place, self.encoder = folder, place, encoder
        self.one, self.two = folder / "d1", folder / "d2"
        for k in range(4):
            photo(self.one / "beach" / f"{k}.png", 10 + k)
            photo(self.two / "dog" / f"{k}.png", 100 + k)
        self.sync(labels="beach/0.png,sea\nbeach/1.png,sea\ndog/0.png,rex\n")

    def sync(self, *sources, labels=None, **given):
        sources = sources or (self.one, self.two)
        given_labels = None
        if labels == "folders":
            given_labels = PhotoLabels(labels, sources)
        elif labels is not None:
            table = self.folder / "labels.csv"
            table.write_text("path,label\n" + labels)
            given_labels = PhotoLabels(str(table), sources)
        with PhotoIndex.open(self.place, self.encoder) as index:
            return index.sync(self.encoder, sources, labels=given_labels, **given)

    def prune(self, **given):
        with PhotoIndex.open(self.place, self.encoder) as index:
            return index.prune(**given)

    def labels(self):
        """Path -> labels of the photos that are found, by a search."""
        with PhotoIndex.open(self.place) as index:
            (row,) = index.neighbours(np.zeros((1, 1), np.uint8), radius=8)
            assert len(row) == len(index)
            return {
                os.path.relpath(hit.photo.path, self.folder): hit.photo.labels
                for hit in row
                if hit.photo.labels
            }

    def ids(self):
        with PhotoIndex.open(self.place) as index:
            return {os.path.relpath(p.path, self.folder): n for n, p in index.photos.items()}


ALL = {"d1/beach/0.png": ("sea",), "d1/beach/1.png": ("sea",), "d2/dog/0.png": ("rex",)}


@pytest.fixture
def world(tmp_path, place, encoder):
    world = World(tmp_path, place, encoder)
    assert world.labels() == ALL
    return world


def test_a_renamed_file_and_a_moved_folder_keep_ids_and_labels(world):
    before = world.ids()
    (world.one / "beach" / "0.png").rename(world.one / "beach" / "renamed.png")
    done = world.sync()
    assert (done.added, done.moved, done.missing, done.kept) == (0, 1, 0, 7)
    world.one.rename(world.folder / "e1")
    done = world.sync(world.folder / "e1", world.two)
    assert (done.added, done.moved, done.missing, done.kept) == (0, 4, 0, 4)
    assert world.labels() == {
        "e1/beach/renamed.png": ("sea",),
        "e1/beach/1.png": ("sea",),
        "d2/dog/0.png": ("rex",),
    }
    after = world.ids()
    assert after["e1/beach/renamed.png"] == before["d1/beach/0.png"]
    assert after["e1/beach/1.png"] == before["d1/beach/1.png"]
    assert world.encoder.images == 8


def test_a_source_that_is_empty_once(world):
    before = world.ids()
    (world.two / "dog").rename(world.folder / "away")
    for _ in range(3):
        done = world.sync()
        assert (done.missing, done.missing_labelled, done.kept) == (4, 1, 4)
    assert world.labels() == {path: ALL[path] for path in list(ALL)[:2]}
    with PhotoIndex.open(world.place) as index:
        found = index_stats(index)
    assert (found.photos, found.missing, found.missing_labelled) == (4, 4, 1)
    with (
        PhotoIndex.open(world.place) as index,
        pytest.raises(
            SsahError, match=r"no photo .* label 'rex'.*\(4 photos of the index are miss"
        ),
    ):
        index.neighbours(np.zeros((1, 1), np.uint8), 1, where=["label=rex"])
    assert "missing            4, 1 with a label; left out of results" in as_lines(found)
    (world.folder / "away").rename(world.two / "dog")
    done = world.sync()
    assert (done.added, done.back, done.missing, done.kept) == (0, 4, 0, 4)
    assert world.labels() == ALL
    assert world.ids() == before
    assert world.encoder.images == 8  # nothing was encoded again


def test_all_sources_are_empty_once(world):
    for source in (world.one, world.two):
        source.rename(world.folder / f"away-{source.name}")
        source.mkdir()
    assert world.sync().missing == 8
    with (
        PhotoIndex.open(world.place) as index,
        pytest.raises(SsahError, match="the index is empty: its 8 photos are missing"),
    ):
        index_stats(index)
    for source in (world.one, world.two):
        source.rmdir()
        (world.folder / f"away-{source.name}").rename(source)
    assert world.sync().back == 8
    assert world.labels() == ALL


def test_a_source_that_is_not_named_once(world):
    assert world.sync(world.one).missing == 4
    assert len(world.labels()) == 2
    assert world.sync().back == 4
    assert world.labels() == ALL
    assert world.encoder.images == 8


def test_a_file_that_is_damaged_for_a_moment(world):
    path = world.one / "beach" / "0.png"
    content = path.read_bytes()
    path.write_bytes(b"")
    for _ in range(2):
        done = world.sync()
        assert (len(done.bad), done.missing) == (1, 1)
        assert world.prune(bad=done.bad, yes=True) == (0, 0)  # it is there: it stays
    path.write_bytes(content)
    assert world.sync().back == 1
    assert world.labels() == ALL


def test_a_file_that_comes_back_as_another_keeps_its_labels_by_path(world):
    path = world.one / "beach" / "0.png"
    path.unlink()
    world.sync()
    photo(path, 200)
    done = world.sync()
    assert (done.added, done.back) == (0, 1)
    assert world.labels() == ALL
    with PhotoIndex.open(world.place) as index:
        assert index.neighbours(np.array([[200]], np.uint8), 1)[0][0].photo.path == str(path)


def test_a_label_file_says_nothing_of_the_photos_that_it_does_not_name(world):
    done = world.sync(labels="beach/2.png,sea\nbeach/1.png,sand\ndog/0.png,\n")
    assert done.labels == (1, 1, 1)
    expected = {
        "d1/beach/0.png": ("sea",),
        "d1/beach/1.png": ("sand",),
        "d1/beach/2.png": ("sea",),
    }
    assert world.labels() == expected
    (world.two / "dog").rename(world.folder / "away")  # a missing photo is named, too
    assert world.sync(labels="dog/1.png,max\n").labels == (1, 0, 0)
    (world.folder / "away").rename(world.two / "dog")
    world.sync()
    assert world.labels() == expected | {"d2/dog/1.png": ("max",)}
    done = world.sync(labels="dog/1.png,max\n", replace_labels=True)
    assert done.labels == (0, 0, 3)
    assert world.labels() == {"d2/dog/1.png": ("max",)}


def test_a_label_file_may_name_the_old_path_of_a_photo_that_moved(world):
    (world.one / "beach" / "3.png").rename(world.one / "new.png")
    world.sync(labels="beach/3.png,sun\n")
    assert world.labels() == ALL | {"d1/new.png": ("sun",)}


def test_labels_follow_the_folders_and_that_is_counted(world):
    done = world.sync(labels="folders")
    assert done.labels == (5, 3, 0)
    (world.one / "beach" / "0.png").rename(world.one / "0.png")
    (world.one / "beach" / "1.png").rename(world.two / "dog" / "9.png")
    done = world.sync(labels="folders")
    assert done.labels == (0, 1, 1)
    assert world.labels()["d2/dog/9.png"] == ("dog",)
    assert "d1/0.png" not in world.labels()


def test_copies_with_different_labels_keep_each_its_own(world):
    for name in ("x", "y"):
        photo(world.one / name / "copy.png", 50)
    world.sync(labels="x/copy.png,one\ny/copy.png,two\n")
    world.one.rename(world.folder / "e1")
    world.sync(world.folder / "e1", world.two)
    found = world.labels()
    assert (found["e1/x/copy.png"], found["e1/y/copy.png"]) == (("one",), ("two",))
    shutil.copytree(world.folder / "e1", world.folder / "e2")  # copies of known photos
    done = world.sync(*(world.folder / name for name in ("e1", "e2", "d2")))
    assert (done.added, done.moved) == (6, 0)
    found = world.labels()
    assert (found["e2/x/copy.png"], found["e2/y/copy.png"]) == (("one",), ("two",))
    assert found["e2/beach/0.png"] == ("sea",)


def test_prune_says_what_goes_and_asks_for_much(world):
    (world.one / "beach" / "0.png").unlink()
    assert world.sync().missing == 1
    assert world.prune() == (1, 1)
    assert world.prune() == (0, 0)
    assert world.sync().missing == 0
    for k in (1, 2):
        (world.one / "beach" / f"{k}.png").unlink()
    world.sync()
    line = r"not pruned: 2 of 7 photos, 1 of them with labels, .* more than a fifth of the index"
    with pytest.raises(SsahError, match=line):
        world.prune()
    assert world.sync().missing == 2  # they stay
    assert world.prune(yes=True) == (2, 1)
    for k in range(20):
        photo(world.one / f"{k}.png", 200 + k)
    world.sync()
    shutil.rmtree(world.two / "dog")
    world.sync()
    with pytest.raises(SsahError, match=r"not pruned: 4 of 25 photos, .*d2 has no photo now"):
        world.prune()
    assert world.prune(yes=True) == (4, 1)


def test_photos_outside_the_sources_go_by_prune_alone(world):
    for k in range(20):
        photo(world.one / f"{k}.png", 200 + k)
    assert world.sync(world.one).missing == 4
    assert world.prune() == (4, 1)
    done = world.sync()
    assert (done.added, done.back) == (4, 0)
    assert world.labels() == {path: ALL[path] for path in list(ALL)[:2]}


def test_photos_below_a_folder_without_rights_are_not_pruned(world, monkeypatch):
    path, kept = world.one / "beach" / "0.png", world.folder / "kept.png"
    path.rename(kept)
    world.sync()
    kept.rename(path)  # there, but not listed
    right = os.access
    monkeypatch.setattr(os, "access", lambda p, mode: p != str(world.one) and right(p, mode))
    assert world.prune(yes=True) == (0, 0)
    monkeypatch.undo()
    assert world.sync().back == 1


def test_migration_keeps_missing_photos(tmp_path, encoder, fake_encoder):
    world = World(tmp_path, tmp_path / "index", encoder)
    before = world.ids()
    (world.two / "dog").rename(world.folder / "away")
    world.sync()
    (world.one / "beach" / "0.png").rename(world.folder / "one.png")
    new = fake_encoder("xyz")
    with PhotoIndex.open(world.place) as index:
        assert len(index.migrate(new, skip_unreadable=True)) == 1
        assert len(index.missing) == 5
    (world.folder / "away").rename(world.two / "dog")
    (world.folder / "one.png").rename(world.one / "beach" / "0.png")
    world.encoder = new
    assert world.sync().back == 5
    assert world.labels() == ALL
    assert world.ids() == before


@pytest.mark.parametrize("kind", ["binary", "text"])
def test_an_older_folder_hands_its_labels_on(tmp_path, encoder, kind, fake_encoder):
    """Format 3: `changed` and `looks` for `mtime_ns` and `perceptual_hash`; another encoder."""
    world = World(tmp_path, tmp_path / "index", encoder)
    before = world.ids()
    manifest = world.place / "photos.json"
    about = json.loads(manifest.read_text())
    file = world.place / about["codes"] / "photos.parquet"
    table = parquet.read_table(file).drop_columns(list(LATER))
    if kind == "text":
        digests = pyarrow.array([digest.hex() for digest in table["digest"].to_pylist()])
        table = table.set_column(2, "digest", digests)
    names = ["id", "path", "digest", "size", "changed", "labels", "looks"]
    parquet.write_table(table.rename_columns(names), file)
    del about["missing"]
    manifest.write_text(json.dumps(about | {"format": 3}))
    with pytest.raises(SsahError, match="makes it anew and keeps its labels"):
        PhotoIndex.open(world.place)
    (world.two / "dog").rename(world.folder / "away")  # missing at first
    (world.one / "beach" / "0.png").rename(world.one / "beach" / "renamed.png")
    world.encoder = fake_encoder("xyz")
    with pytest.MonkeyPatch.context() as patch:  # cut off: the old one is there still

        def killed(*_):
            raise KeyboardInterrupt

        patch.setattr(module, "write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            world.sync()
    done = world.sync()
    assert (done.added, done.moved, done.back, done.missing) == (0, 1, 3, 4)
    (world.folder / "away").rename(world.two / "dog")
    (world.one / "beach" / "renamed.png").rename(world.one / "beach" / "0.png")
    assert world.sync().back == 4
    assert world.labels() == ALL
    assert world.ids() == before


def test_format_4_is_read_as_it_is(tmp_path, encoder):
    """It has no missing photos."""
    world = World(tmp_path, tmp_path / "index", encoder)
    manifest = world.place / "photos.json"
    about = json.loads(manifest.read_text())
    (world.place / about["codes"] / "missing.parquet").unlink()
    del about["missing"]
    manifest.write_text(json.dumps(about | {"format": 4}))
    assert world.labels() == ALL
    assert world.sync().kept == 8
    assert json.loads(manifest.read_text())["format"] == 6


def test_damaged_missing_photos_are_told(tmp_path, encoder):
    world = World(tmp_path, tmp_path / "index", encoder)
    (world.one / "beach" / "0.png").unlink()
    world.sync()
    place = json.loads((world.place / "photos.json").read_text())["codes"]
    (world.place / place / "missing.parquet").write_bytes(b"")
    with pytest.raises(SsahError, match=r"missing\.parquet is damaged: its checksum differs"):
        PhotoIndex.open(world.place)


def test_the_file_of_missing_photos():
    rows = {
        3: Aside(Photo("/a/b.png", "ab" * 32, 5, 6, ("x", "y"), bytes(range(16))), b"\x01"),
        9: Aside(Photo(os.fsdecode(b"/\xff.png"), "cd" * 32, -1, 0), b""),
    }
    assert from_bytes(to_bytes(rows), "missing") == rows
    assert from_bytes(to_bytes({}), "missing") == {}
    for content in (b"", b"PAR1", to_bytes(rows)[:-9]):
        with pytest.raises(ValueError, match="missing is damaged"):
            from_bytes(content, "missing")
