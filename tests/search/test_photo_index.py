"""Photos go in, come out, and stay in step with their folder."""

import hashlib
import importlib.util
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

from ssah_tf import Encoder
from ssah_tf.data import load_fashion
from ssah_tf.encoding import parts, records
from ssah_tf.encoding.encode import encode_files, find_images
from ssah_tf.encoding.parts import Parts
from ssah_tf.search import CodeIndex
from ssah_tf.search.backends import folder as module
from ssah_tf.search.labels import PhotoLabels
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import PhotoTable
from ssah_tf.system.errors import SsahError


def photo(folder, name, grey):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (5, 5), grey).save(path)
    return path


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART", 6)
    monkeypatch.setattr(records, "BATCH", 4)
    for k in range(20):
        photo(tmp_path / "photos", f"{'ab'[k % 2]}/{k:02d}.png", 10 * k)
    (tmp_path / "photos" / "a" / "bad.jpg").write_bytes(b"")
    return tmp_path / "photos"


def content(index):
    """Path -> code of an index, as it is on disk."""
    opened = PhotoIndex.open(index.storage.folder)
    codes = dict(zip(opened.codes.ids.tolist(), opened.codes.codes[:, 0].tolist(), strict=True))
    assert codes.keys() == opened.photos.keys()
    return {os.path.basename(p.path): codes[n] for n, p in opened.photos.items()}


@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="it could not be imported")
def test_searching_does_not_import_pandas_which_pyarrow_does_in_passing(photos, encoder, tmp_path):
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [photos])
    code = (
        "import sys; from ssah_tf.search.photo_index import PhotoIndex; "
        "index = PhotoIndex.open(sys.argv[1]); found = index.neighbours(index.codes.codes[:1], 3); "
        "print([hit.id for hit in found[0]], 'pandas' in sys.modules)"
    )
    run = [sys.executable, "-c", code, tmp_path / "index"]
    assert subprocess.run(run, capture_output=True, text=True).stdout == "[0, 1, 2] False\n"


def test_new_changed_and_deleted_files_are_noticed(photos, encoder, tmp_path):
    index = PhotoIndex.open(tmp_path / "index", encoder)
    done = index.sync(encoder, [photos])
    assert (done.added, done.changed, done.missing, done.kept) == (20, 0, 0, 0)
    assert list(done.bad) == [str(photos / "a" / "bad.jpg")]
    assert content(index) == {f"{k:02d}.png": 10 * k for k in range(20)}
    assert encoder.images == 20
    before = dict(PhotoIndex.open(index.storage.folder).photos)

    index = PhotoIndex.open(index.storage.folder, encoder)
    done = index.sync(encoder, [photos])
    assert (done.added, done.changed, done.missing, done.kept) == (0, 0, 0, 20)
    assert encoder.images == 20  # nothing was encoded again

    photo(photos, "a/00.png", 255)
    photo(photos, "c/new.png", 77)
    (photos / "b" / "01.png").unlink()
    os.utime(photos / "a" / "02.png", (1, 1))  # looks changed, is not
    done = PhotoIndex.open(index.storage.folder, encoder).sync(encoder, [photos])
    assert (done.added, done.changed, done.missing, done.kept) == (1, 1, 1, 18)
    assert encoder.images == 22
    found = content(index)
    assert found["00.png"] == 255
    assert found["new.png"] == 77
    assert "01.png" not in found
    after = PhotoIndex.open(index.storage.folder).photos
    assert all(after[n].path == before[n].path for n in after.keys() & before.keys())
    assert len(set(after) - set(before)) == 1  # the new one, under an id of its own
    assert max(set(after) - set(before)) > max(before)


def test_a_photo_that_moved_is_not_encoded_again(photos, encoder, tmp_path):
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [photos])
    (photos / "b" / "03.png").rename(photos / "moved.png")
    done = index.sync(encoder, [photos])
    assert (done.added, done.moved, done.missing) == (0, 1, 0)
    assert encoder.images == 20
    assert content(index)["moved.png"] == 30


def test_codes_of_a_folder_of_shards_are_taken(
    photos, encoder, tmp_path, monkeypatch, fake_encoder
):
    """Encoded once, wherever: the index reads no photo that is as it was, and says the same."""
    folder = tmp_path / "codes"
    monkeypatch.chdir(tmp_path)
    encode_files(encoder, find_images(["photos"]).paths, folder, size=7)
    photo(photos, "a/00.png", 255)
    (photos / "b" / "01.png").unlink()
    (photos / "b" / "03.png").rename(photos / "moved.png")
    before = encoder.images
    index = PhotoIndex.open(tmp_path / "index", encoder)
    done = index.sync(encoder, [photos], codes=folder)
    assert encoder.images - before == 1  # the one that changed
    assert (done.added, list(done.bad)) == (19, [str(photos / "a" / "bad.jpg")])
    anew = PhotoIndex.open(tmp_path / "anew", encoder)
    anew.sync(encoder, [photos])
    assert content(index) == content(anew)
    assert index.photos.in_memory() == anew.photos.in_memory()

    empty = PhotoIndex.open(tmp_path / "empty", encoder)
    with pytest.raises(SsahError, match="not a folder of codes that `ssah encode` has finished"):
        empty.sync(encoder, [photos], codes=photos)
    other = fake_encoder("xyz")
    with pytest.raises(SsahError, match="holds codes of model abc, the encoder is xyz"):
        PhotoIndex.open(tmp_path / "other", other).sync(other, [photos], codes=folder)
    (folder / "000001.parquet").write_bytes(b"")
    with pytest.raises(SsahError, match=r"000001\.parquet: damaged"):
        empty.sync(encoder, [photos], codes=folder)
    (folder / "000001.parquet").unlink()
    with pytest.raises(SsahError, match="2 of 3 shards are there"):
        empty.sync(encoder, [photos], codes=folder)


def test_interrupted_it_goes_on(photos, encoder, tmp_path, monkeypatch):
    """Cut off after each number of parts, and after the codes are saved but not the photos."""
    whole = {f"{k:02d}.png": 10 * k for k in range(20)}
    for cut in range(5):
        index = PhotoIndex.open(tmp_path / f"index{cut}", encoder)
        encoder.images, calls = 0, []
        right = Parts.write

        def part(self, *rest, calls=calls, cut=cut, right=right):
            if len(calls) == cut:
                raise KeyboardInterrupt
            calls.append(1)
            right(self, *rest)

        def killed(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            if cut == 4:
                patch.setattr(module, "write_atomically", killed)
            else:
                patch.setattr(Parts, "write", part)
            try:
                index.sync(encoder, [photos])
            except KeyboardInterrupt:
                assert not (index.storage.folder / "photos.json").exists()
        first = encoder.images
        PhotoIndex.open(index.storage.folder, encoder).sync(encoder, [photos])
        assert content(index) == whole
        saved = 6 * min(cut, 3) - 1 if cut else 0  # bad.jpg is in the first part
        assert encoder.images - first <= 20 - saved
        assert not list(index.storage.folder.glob("parts*"))


@pytest.mark.parametrize("what", ["codes", "table", "manifest", "cleaning"])
def test_a_save_that_is_cut_off(photos, encoder, tmp_path, monkeypatch, what):
    """Wherever it is cut off, the index on disk is the old one or the new one, whole."""
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [photos])
    old = content(index)
    photo(photos, "c/new.png", 77)
    (photos / "a" / "00.png").unlink()

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        place = {
            "codes": (CodeIndex, "save"),
            "table": (PhotoTable, "write"),
            "manifest": (module, "write_atomically"),
            "cleaning": (module.shutil, "rmtree"),
        }[what]
        patch.setattr(*place, killed)
        with pytest.raises(KeyboardInterrupt):
            index.sync(encoder, [photos])
    new = {name: grey for name, grey in old.items() if name != "00.png"} | {"new.png": 77}
    assert content(index) == (new if what == "cleaning" else old)
    images = encoder.images
    PhotoIndex.open(tmp_path / "index", encoder).sync(encoder, [photos])
    assert content(index) == new
    assert encoder.images == images  # from the parts, or there already


def test_an_index_that_is_saved_anew_while_it_is_opened(photos, encoder, tmp_path, monkeypatch):
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [photos])
    stale = module.read_manifest(tmp_path / "index")
    index.sync(encoder, [photos / "a"])
    answers = iter([stale])
    right = module.read_manifest
    monkeypatch.setattr(module, "read_manifest", lambda f: next(answers, None) or right(f))
    assert len(PhotoIndex.open(tmp_path / "index")) == 10


def test_refusals(photos, encoder, tmp_path, fake_encoder):
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [photos])
    other = fake_encoder("xyz")
    with pytest.raises(SsahError, match="was made by model abc, the encoder is xyz"):
        PhotoIndex.open(tmp_path / "index", other)
    with pytest.raises(SsahError, match="was made by model abc, the encoder is xyz"):
        index.sync(other, [photos])
    with pytest.raises(SsahError, match="not an index of photos; make one with"):
        PhotoIndex.open(tmp_path / "none")
    with pytest.raises(SsahError, match="holds something that is no index"):
        PhotoIndex.open(photos, encoder)
    manifest = tmp_path / "index" / "photos.json"
    about = json.loads(manifest.read_text())
    for text in ("", "[]", '{"format": 5, "codes": "../.."}', json.dumps(about | {"photos": {}})):
        manifest.write_text(text)
        with pytest.raises(SsahError, match="not an index of photos of ssah-tf"):
            PhotoIndex.open(tmp_path / "index")
    manifest.write_text(json.dumps(about))
    table = tmp_path / "index" / about["codes"] / "photos.parquet"
    whole = table.read_bytes()
    for broken in (whole[:-1] + b"?", whole[:100], b""):
        table.write_bytes(broken)
        with pytest.raises(SsahError, match="its checksum differs"):
            PhotoIndex.open(tmp_path / "index")
        damaged = {"rows": 20, "sha256": hashlib.sha256(broken).hexdigest()}
        manifest.write_text(json.dumps(about | {"photos": damaged}))
        if broken[-4:] != b"PAR1":
            with pytest.raises(SsahError, match=r"photos\.parquet is damaged"):
                PhotoIndex.open(tmp_path / "index")
        manifest.write_text(json.dumps(about))
    table.unlink()
    with pytest.raises(SsahError, match="not an index of photos of ssah-tf"):
        PhotoIndex.open(tmp_path / "index")


def test_an_index_of_an_older_version_is_told_and_made_anew(photos, encoder, tmp_path):
    """Format 1 had no labels; those of the others are in a table whose columns had other names."""
    (tmp_path / "index").mkdir()
    old = {"codes": "codes-a", "image_size": 4, "next_id": 1, "photos": {"0": ["a", "b", 1, 2]}}
    (tmp_path / "index" / "photos.json").write_text(json.dumps(old))
    (tmp_path / "index" / "encoder.onnx").write_bytes(b"old")
    before = json.dumps(old | {"format": 3, "photos": {"rows": 1, "sha256": "0"}})
    for text in (json.dumps(old), before):
        (tmp_path / "index" / "photos.json").write_text(text)
        with pytest.raises(
            SsahError, match="made by an older version of ssah-tf: run `ssah index`"
        ):
            PhotoIndex.open(tmp_path / "index")
    newer = json.dumps(old | {"format": 7})
    (tmp_path / "index" / "photos.json").write_text(newer)
    for given in (None, encoder):  # nothing is made anew that this version does not know
        with pytest.raises(SsahError, match=r"newer version of ssah-tf .*: pip install --upgrade"):
            PhotoIndex.open(tmp_path / "index", given)
    (tmp_path / "index" / "photos.json").write_text(before)
    with pytest.raises(SsahError, match=r"its photos and labels cannot be read .* name another"):
        PhotoIndex.open(tmp_path / "index", encoder)
    (tmp_path / "index" / "photos.json").write_text(json.dumps(old))
    index = PhotoIndex.open(tmp_path / "index", encoder)
    assert index.sync(encoder, [photos]).added == 20
    assert len(content(index)) == 20
    names = {path.name for path in index.storage.folder.iterdir()}
    assert names == {"photos.json", index.storage.place, "encoder-abc.onnx"}


def test_photos_carry_labels(photos, encoder, tmp_path):
    """From a label file relative to the folder, and from class folders."""
    index = PhotoIndex.open(tmp_path / "index", encoder)
    table = tmp_path / "labels.csv"
    table.write_text("path,label\na/00.png,sea;beach\nb/01.png,dog\nb/none.png,cat\n")
    label = PhotoLabels(table, [photos])
    index.sync(encoder, [photos], labels=label)
    assert label.unused == ["b/none.png"]

    def labels():
        read = PhotoIndex.open(tmp_path / "index").photos.values()
        return {os.path.basename(p.path): p.labels for p in read if p.labels}

    assert labels() == {"00.png": ("beach", "sea"), "01.png": ("dog",)}
    photo(photos, "a/00.png", 255)
    PhotoIndex.open(tmp_path / "index", encoder).sync(encoder, [photos])
    assert labels() == {"00.png": ("beach", "sea"), "01.png": ("dog",)}  # kept
    photo(photos, "unlabelled/x.png", 3)
    photo(photos, "top.png", 3)
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [photos], labels=PhotoLabels("folders", [photos]))
    expected = {f"{k:02d}.png": ("ab"[k % 2],) for k in range(20)}
    assert labels() == expected
    table.write_text("path,label\nnone.png,cat\n")
    with pytest.raises(SsahError, match="none of its 1 paths is a photo of the index"):
        index.sync(encoder, [photos], labels=PhotoLabels(table, [photos]))
    assert labels() == expected


def test_train_and_test_folders_hold_the_classes(tmp_path):
    paths = [str(photo(tmp_path, f"{part}/dog/1.png", 1)) for part in ("train", "val", "test")]
    paths.append(str(photo(tmp_path, "val/beside.png", 1)))
    label = PhotoLabels("folders", [tmp_path])
    assert label(paths) == {**dict.fromkeys(paths[:3], ("dog",)), paths[3]: ()}
    paths.append(str(photo(tmp_path, "bus/1.png", 1)))  # now all of them are classes
    assert [label(paths)[path] for path in paths] == [
        *[("train",), ("val",), ("test",)],
        *[("val",), ("bus",)],
    ]


def test_what_is_passed_over_is_counted_and_what_cannot_be_listed_stays(
    photos, encoder, tmp_path, monkeypatch
):
    """A folder whose rights are gone: its photos are not known to be gone, nor are their labels."""
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [photos], labels=PhotoLabels("folders", [photos]))
    (photos / "c.psd").write_bytes(b"")
    photo(photos, "@eaDir/x.png", 1)
    (photos / "b" / "01.png").unlink()

    def scandir(path, real=os.scandir):
        if str(path) == str(photos / "a"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    done = index.sync(encoder, [photos], labels=PhotoLabels("folders", [photos]))
    assert done.passed.files == {".psd": 1}
    assert done.passed.folders == {"@eaDir": 1}
    assert done.passed.unlisted == {str(photos / "a"): "Permission denied"}
    assert (done.missing, done.kept, len(index)) == (1, 19, 19)
    kept = PhotoIndex.open(tmp_path / "index").photos.values()
    assert {p.labels for p in kept if "/photos/a/" in p.path} == {("a",)}

    monkeypatch.undo()
    done = index.sync(encoder, [photos], exclude=["a"])  # that it is to go was said
    assert (done.missing, len(index)) == (11, 9)
    assert done.passed.folders == {"@eaDir": 1, "excluded": 1}


def test_the_nearest_among_those_that_match(photos, encoder, tmp_path):
    """Filters against a sort of all photos that match; k are found wherever there are k."""
    index = PhotoIndex.open(tmp_path / "index", encoder)
    table = tmp_path / "labels.csv"
    names = {k: ["", "x", "y", "x;z"][k % 4] for k in range(20)}
    rows = [f"{'ab'[k % 2]}/{k:02d}.png,{name}" for k, name in names.items()]
    table.write_text("path,label\n" + "\n".join(rows))
    index.sync(encoder, [photos], labels=PhotoLabels(table, [photos]))
    queries = np.array([[0], [200]], np.uint8)
    cases = {
        (): range(20),
        ("label=x",): [k for k in range(20) if "x" in names[k]],
        ("label=y|z",): [k for k in range(20) if names[k] in ("y", "x;z")],
        ("label=",): [k for k in range(20) if not names[k]],
        ("path=*/b/*",): range(1, 20, 2),
        ("label=x", "path=*/b/1?.png"): [k for k in range(11, 20, 2) if "x" in names[k]],
        ("label=x", "label=y"): [],
    }
    for where, there in cases.items():
        for row, query in enumerate(queries[:, 0].tolist()):
            order = {n: i for i, n in enumerate(sorted(os.listdir(photos / "a")))}
            order |= {n: 100 + i for i, n in enumerate(sorted(os.listdir(photos / "b")))}
            near = [((10 * k ^ query).bit_count(), order[f"{k:02d}.png"], k) for k in there]
            expected = [(f"{k:02d}.png", d) for d, _, k in sorted(near)]
            for k, radius in ((3, None), (None, 2), (4, 1), (99, None)):
                found = index.neighbours(queries, k, radius, where)[row]
                right = [e for e in expected if radius is None or e[1] <= radius][:k]
                assert [(os.path.basename(hit.photo.path), hit.distance) for hit in found] == right
    for bad, message in (
        ("label=zz", "no photo of the index has the label 'zz'; there are"),
        ("size=3", "filter 'size=3': expected label=NAME"),
        ("label", "expected label=NAME"),
    ):
        with pytest.raises(SsahError, match=message):
            index.neighbours(queries, 3, where=[bad])
    with pytest.raises(SsahError, match="give k, a radius, or both"):
        index.neighbours(queries)


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(SsahError, match=r"pip install 'ssah-tf\[search\]'"):
        PhotoTable.of({})


def test_a_table_that_names_a_photo_twice_is_damaged(encoder, photos, tmp_path):
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [photos])
    (file,) = (tmp_path / "index").glob("*/photos.parquet")
    rows = PhotoTable.read(file).table
    for numbers in ([0, 0], [1, 0]):
        PhotoTable(rows.take(numbers)).write(file)
        with pytest.raises(ValueError, match="ids are not ascending"):
            PhotoTable.read(file)


def test_file_names_that_are_not_text(encoder, tmp_path):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)
    Image.new("L", (5, 5), 9).save(os.fsdecode(folder + b"/\xff.png"))
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [tmp_path])
    (found,) = PhotoIndex.open(tmp_path / "index").photos.values()
    assert os.fsencode(found.path) == folder + b"/\xff.png"
    assert (
        index.neighbours(np.zeros((1, 1), np.uint8), 1, where=["path=*.png"])[0][0].photo == found
    )


@pytest.fixture
def other_encoder(fake_encoder):
    """A code is the inverted first byte, and the first byte once more."""
    new = fake_encoder("xyz")
    new.bits, new.image_size = 16, 6

    def encode(images):
        new.images += len(images)
        return np.stack([255 - images[:, 0, 0, 0], images[:, 0, 0, 0]], axis=1)

    new.full_codes = new.encode = encode
    return new


def test_migration(photos, encoder, other_encoder, tmp_path, monkeypatch):
    """Cut off after each number of parts: the old index answers until the new one is whole."""
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [photos], labels=PhotoLabels("folders", [photos]))
    (photos / "a" / "00.png").unlink()
    index.sync(encoder, [photos])
    before = content(index)
    ids = {number: (p.path, p.labels) for number, p in index.photos.items()}
    new = other_encoder
    right = Parts.write
    for _ in range(3):
        calls = []

        def part(self, *rest, calls=calls):
            if calls:
                raise KeyboardInterrupt
            calls.append(1)
            right(self, *rest)

        monkeypatch.setattr(Parts, "write", part)
        with pytest.raises(KeyboardInterrupt):
            PhotoIndex.open(tmp_path / "index").migrate(new)
        assert content(index) == before
        assert PhotoIndex.open(tmp_path / "index").codes.model_id == "abc"
    monkeypatch.setattr(Parts, "write", right)
    opened = PhotoIndex.open(tmp_path / "index")
    assert opened.migrate(new) == {}
    assert new.images == (6 + 6) + (6 + 6) + (6 + 1) + 1  # kept, and lost by the next cut
    opened = PhotoIndex.open(tmp_path / "index", new)
    assert {number: (p.path, p.labels) for number, p in opened.photos.items()} == ids
    codes = dict(zip(opened.codes.ids.tolist(), opened.codes.codes.tolist(), strict=True))
    assert codes == {n: [255 - before[os.path.basename(p)], before[os.path.basename(p)]]
                     for n, (p, _) in ids.items()}  # fmt: skip
    assert {path.name for path in opened.storage.folder.iterdir()} == {
        "photos.json", opened.storage.place, "encoder-xyz.onnx"}  # fmt: skip
    with pytest.raises(SsahError, match="was made by model xyz, the encoder is abc"):
        PhotoIndex.open(tmp_path / "index", encoder)

    (photos / "b" / "01.png").unlink()
    opened = PhotoIndex.open(tmp_path / "index")
    with pytest.raises(SsahError, match=r"1 of 19 photos cannot be read now, .*01\.png"):
        opened.migrate(encoder)
    assert PhotoIndex.open(tmp_path / "index").codes.model_id == "xyz"
    assert list(opened.migrate(encoder, skip_unreadable=True)) == [str(photos / "b" / "01.png")]
    assert len(content(index)) == 18


@pytest.fixture(scope="module")
def fashion(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fashion")
    for k, pixels in enumerate(load_fashion().pixels[:60]):
        Image.fromarray(pixels).save(folder / f"{k:02d} <b>.png")
    return folder


def test_command_line(exported, fashion, ssah, tmp_path):
    """From an export to neighbours; they are those that all distances give."""
    _, export = exported
    out = ssah("index", export, fashion, "--output", tmp_path / "index").out
    assert (
        "60 photos: 60 new, 0 changed, 0 moved, 0 back, 0 missing, 0 removed, 0 as they were" in out
    )
    query = fashion / "07 <b>.png"
    page = tmp_path / "page.html"
    done = ssah("search", tmp_path / "index", query, "-k", 5, "--json", "--html", page)
    (found,) = json.loads(done.out)
    paths = sorted(fashion.iterdir())
    codes = Encoder.load(export).full_codes(paths)
    apart = np.bitwise_count(codes ^ codes[7])
    far, near = apart[:, :2].sum(axis=1), apart[:, 2:].sum(axis=1)  # codes of 12 bits
    expected = sorted(zip(far.tolist(), near.tolist(), range(60), strict=True))[:5]
    assert [(n["distance"], n["path"]) for n in found["neighbours"]] == [
        (d, str(paths[i])) for d, _, i in expected
    ]
    done = ssah("search", tmp_path / "index", query, "-k", 5, "--json", "--order", "id")
    expected = sorted(zip(far.tolist(), range(60), strict=True))[:5]
    assert [(n["distance"], n["path"]) for n in json.loads(done.out)[0]["neighbours"]] == [
        (d, str(paths[i])) for d, i in expected
    ]
    text = page.read_text()
    assert text.count("data:image/jpeg") == 6
    assert "<b>.png" not in text
    assert "http" not in text
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"path": "09 <b>.png", "label": "bag <i>"}\n')
    assert (
        ssah("index", export, fashion, "--output", tmp_path / "index", "--labels", labels).code == 0
    )
    done = ssah("search", tmp_path / "index", query, "--filter", "label=bag <i>", "--html", page)
    assert "1 of 60 photos" in done.out
    assert "09 <b>.png  [bag <i>]" in done.out
    assert "<i>bag &lt;i&gt;</i>" in page.read_text()
    everything = ssah("search", tmp_path / "index", query, "--radius", 12).out
    assert "60 of 60 photos" in everything
    table = ssah("search", tmp_path / "index", query, "--radius", 0).out
    assert f"   0  {query}" in table
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no")
    done = ssah("search", tmp_path / "index", bad)
    assert done.code == 1
    assert "none of the queries can be read" in done.err


def test_the_command_says_what_is_missing(exported, fashion, ssah, tmp_path):
    """And what `--prune` takes; refused, the index is as it was."""
    _, export = exported
    photos = tmp_path / "photos"
    photos.mkdir()
    for path in sorted(fashion.iterdir())[:4]:
        os.link(path, photos / path.name)
    labels = tmp_path / "labels.csv"
    labels.write_text("path,label\n00 <b>.png,bag\n01 <b>.png,shoe\n")
    words = ["index", export, photos, "--output", tmp_path / "index"]
    out = ssah(*words, "--labels", labels).out
    assert "labels: 2 photos were given some, 0 have others, 0 lost theirs" in out
    (photos / "00 <b>.png").unlink()
    done = ssah(*words)
    assert "3 photos: 0 new, 0 changed, 0 moved, 0 back, 1 missing, 0 removed, 3 as" in done.out
    assert "1 photos are missing, 1 of them with labels" in done.err
    done = ssah("search", tmp_path / "index", fashion / "00 <b>.png")
    assert "1 photos of the index are missing and left out" in done.err
    assert str(photos / "00 <b>.png") not in done.out
    done = ssah(*words, "--prune")
    assert done.code == 1
    assert "1 missing, 0 removed" in done.out
    assert "not pruned: 1 of 4 photos, 1 of them with labels" in done.err
    out = ssah(*words, "--prune", "--yes").out
    assert "0 missing, 1 removed, 3 as they were" in out
    assert "removed for good: 1 photos, 1 of them with labels" in out
    for option, line in (("--yes", "goes with --prune"), ("--replace-labels", "needs --labels")):
        done = ssah(*words, option)
        assert done.code == 1
        assert len(done.err.splitlines()) == 1
        assert line in done.err


def kill(words, after):
    """Run a command and end it with SIGKILL after so many seconds, if it has not ended by then."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture
def many(fashion, tmp_path):
    """2,400 photos."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for k in range(40):
        for path in fashion.iterdir():
            os.link(path, photos / f"{k}-{path.name}")
    return photos


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_it_goes_on(exported, many, ssah, tmp_path, kills):
    """`kill -9` at random moments; then the index is whole, nothing is lost, nothing is twice."""
    _, export = exported
    rng = np.random.default_rng(kills)
    words = [sys.executable, "-m", "ssah_tf.cli", "index", export, many]
    words += ["--output", tmp_path / "index"]
    for _ in range(kills):
        kill(words, rng.uniform(0.2, 1.5))
        if (tmp_path / "index" / "photos.json").exists():
            assert len(PhotoIndex.open(tmp_path / "index")) == 2400
            for path in list(many.iterdir())[:: rng.integers(2, 5)]:  # work for the next one
                path.touch()
    assert ssah(*words[3:]).code == 0
    index = PhotoIndex.open(tmp_path / "index")
    assert len(index) == len({photo.path for photo in index.photos.values()}) == 2400
    codes = Encoder.load(export).encode([p.path for p in index.photos.values()][:100])
    np.testing.assert_array_equal(index.codes.codes[:100], codes)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [2, 20])
def test_a_migration_that_is_killed_goes_on(exported, many, ssah, tmp_path, kills):
    """At each moment the index answers, with the codes and the encoder of one model, and whole."""
    _, export = exported
    folder, encoders = tmp_path / "index", {}
    for name in ("one", "two"):
        model = onnx.load(export / "encoder.onnx")
        (entry,) = (e for e in model.metadata_props if e.key == "model_id")
        entry.value = name
        encoders[name] = tmp_path / f"{name}.onnx"
        onnx.save(model, encoders[name])
    assert ssah("index", encoders["one"], many, "--output", folder).code == 0
    whole = PhotoIndex.open(folder)
    rng, target = np.random.default_rng(kills), "two"
    for _ in range(kills):
        words = [sys.executable, "-m", "ssah_tf.cli", "migrate", folder, encoders[target]]
        kill(words, rng.uniform(0.3, 2.5))
        index = PhotoIndex.open(folder)
        assert index.encoder().model_id == index.codes.model_id
        np.testing.assert_array_equal(index.codes.ids, whole.codes.ids)
        np.testing.assert_array_equal(index.codes.codes, whole.codes.codes)
        if index.codes.model_id == target:  # it was quicker: back again
            target = {"one": "two", "two": "one"}[target]
    assert ssah("migrate", folder, encoders[target]).code == 0
    index = PhotoIndex.open(folder, Encoder.load(encoders[target]))
    assert index.photos.paths() == whole.photos.paths()
    assert {path.name for path in folder.iterdir()} == {
        "photos.json", index.storage.place, f"encoder-{target}.onnx"}  # fmt: skip
