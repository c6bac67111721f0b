"""A resume trusts what files are now: read again is what differs, and what could not be read."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from ssah_tf.encoding import encode as module
from ssah_tf.encoding import shards
from ssah_tf.encoding.encode import encode_files, find_images
from ssah_tf.encoding.record_file import read_records
from ssah_tf.encoding.resume import Resumed


class FakeEncoder:
    """A code is the first byte of the image."""

    model_id, bits, appearance_bits, image_size = "abc", 8, 0, 4

    def __init__(self):
        self.images = 0

    def full_codes(self, images):
        self.images += len(images)
        return images[:, 0, 0, :1].copy()


def photo(path, grey):
    Image.new("L", (5, 5), grey).save(path)
    return path


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Ten photos in shards of four, the third of which is damaged."""
    monkeypatch.setattr(shards, "SHARD", 4)
    (tmp_path / "photos").mkdir()
    for k in range(10):
        photo(tmp_path / "photos" / f"{k}.png", k)
    (tmp_path / "photos" / "2.png").write_bytes(b"")
    return tmp_path / "photos"


@pytest.fixture(params=[".parquet", ".npz"])
def again(request, photos, tmp_path, monkeypatch):
    """Encodes the photos into one folder; gives the outcome, and how many were encoded."""
    monkeypatch.setattr(module, "parquet_there", lambda: request.param == ".parquet")

    def run(**options):
        encoder = FakeEncoder()
        paths = find_images([photos]).paths
        done = encode_files(encoder, paths, tmp_path / "codes", **options)
        return done, encoder.images

    run()
    return run


def codes(folder):
    """Name -> code, and what the folder says is bad."""
    found = [read_records(path) for path in sorted(folder.glob("[0-9]*"))]
    rows = [row for records in found for row in records]
    listed = folder / "_bad.jsonl"
    bad = [json.loads(line) for line in listed.read_text().splitlines()] if listed.exists() else []
    about = json.loads((folder / "_encoded.json").read_text())
    assert (about["images"], about["bad"]) == (len(rows), len(bad))
    return {int(os.path.basename(row.path)[:-4]): int(row.code[0]) for row in rows}, bad


def state(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


def test_nothing_has_changed(again, tmp_path):
    """Only the damaged file is read again, and no shard is written again."""
    before = state(tmp_path / "codes")
    done, encoded = again()
    assert done.resumed == Resumed(kept=9, read=1)
    assert encoded == 0
    after = state(tmp_path / "codes")
    names = [name for name in before if name[0].isdigit() or name == "_plan.json"]
    assert len(names) == 4
    assert {name: after[name] for name in names} == {name: before[name] for name in names}


def test_a_file_is_whole_again(again, photos, tmp_path):
    photo(photos / "2.png", 200)
    done, encoded = again()
    assert (done.resumed, encoded) == (Resumed(mended=1, kept=9, read=1), 1)
    assert done.resumed.line() == (
        "0 new, 0 changed, 1 that could not be read before, 9 as they were; 1 read again"
    )
    assert codes(tmp_path / "codes") == ({k: 200 if k == 2 else k for k in range(10)}, [])


def test_another_picture_under_the_same_name(again, photos, tmp_path):
    """And one that looks changed but is not, which is read, but not encoded."""
    photo(photos / "5.png", 205)
    os.utime(photos / "6.png", (1, 1))
    done, encoded = again()
    assert (done.resumed, encoded) == (Resumed(changed=1, kept=8, read=3), 1)
    found, bad = codes(tmp_path / "codes")
    assert found == {k: 205 if k == 5 else k for k in range(10) if k != 2}
    assert [os.path.basename(line["path"]) for line in bad] == ["2.png"]
    assert again()[0].resumed == Resumed(kept=9, read=1)  # the new time is known now


def test_a_file_is_damaged_since(again, photos, tmp_path):
    (photos / "9.png").write_bytes(b"damaged")
    done, _ = again()
    assert done.resumed == Resumed(kept=8, read=2)
    found, bad = codes(tmp_path / "codes")
    assert 9 not in found
    assert [os.path.basename(line["path"]) for line in bad] == ["2.png", "9.png"]


def test_a_file_that_cannot_be_opened_keeps_its_code(again, photos, tmp_path):
    """A disk that is away for a moment costs nothing: that the file is another is not known."""
    paths = find_images([photos]).paths
    (photos / "9.png").rename(tmp_path / "away.png")
    done = encode_files(FakeEncoder(), paths, tmp_path / "codes")
    path = str(photos / "9.png")
    assert done.resumed == Resumed(
        kept=9, read=2, gone={path: f"{path}: No such file or directory"}
    )
    assert path not in done.bad
    assert codes(tmp_path / "codes")[0][9] == 9
    (tmp_path / "away.png").rename(photos / "9.png")
    assert again()[0].resumed == Resumed(kept=9, read=1)


def test_check_reads_all(again, photos, tmp_path):
    """Another content of the same size and time is found, and only that is encoded."""
    facts = os.stat(photos / "4.png")
    photo(photos / "4.png", 5)
    os.truncate(photos / "4.png", facts.st_size)
    assert os.stat(photos / "4.png").st_size == facts.st_size
    os.utime(photos / "4.png", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert again()[0].resumed == Resumed(kept=9, read=1)
    done, encoded = again(check=True)
    assert (done.resumed, encoded) == (Resumed(changed=1, kept=8, read=10), 0)  # 5 is known
    assert codes(tmp_path / "codes")[0][4] == 5


def test_until_the_end_the_folder_is_unfinished(again, photos, tmp_path):
    """Killed between two shards: nobody takes the folder for whole; the same command ends it."""
    photo(photos / "1.png", 201)
    photo(photos / "8.png", 208)

    class Killed(Exception):
        pass

    def stop(done):
        if done == 8:  # the second shard was as it was; then the first was made anew
            raise Killed

    with pytest.raises(Killed):
        again(progress=stop)
    assert not (tmp_path / "codes" / "_encoded.json").exists()
    done, encoded = again()
    assert (done.resumed, encoded) == (Resumed(changed=1, kept=8, read=2), 1)
    assert codes(tmp_path / "codes")[0] == {
        k: k + 200 if k in (1, 8) else k for k in range(10) if k != 2
    }


@pytest.mark.parametrize("name", ["codes.npy", "codes.parquet"])
def test_one_file_from_shards_of_a_killed_call(photos, tmp_path, name):
    class Killed(Exception):
        pass

    def stop(done):
        raise Killed

    paths, output = find_images([photos]).paths, tmp_path / name
    with pytest.raises(Killed):
        encode_files(FakeEncoder(), paths, output, stop)
    photo(photos / "1.png", 201)
    photo(photos / "2.png", 202)
    done = encode_files(FakeEncoder(), paths, output)
    assert done.resumed == Resumed(new=6, changed=1, mended=1, kept=2, read=2)
    whole = tmp_path / f"whole-{name}"
    encode_files(FakeEncoder(), paths, whole)
    assert output.read_bytes() == whole.read_bytes()
    if name == "codes.npy":
        assert np.load(output)[:, 0].tolist() == [0, 201, 202, *range(3, 10)]


def test_names_that_are_no_unicode(again, photos, tmp_path):
    """They stand marked in Parquet; a bad one beside good ones is told apart by its place."""
    for name in (b"caf\xe8.png", b"caf\xe9.png"):
        photo(os.path.join(os.fsencode(photos), name), 99)
    paths = find_images([photos]).paths
    folder = tmp_path / "other"
    first = encode_files(FakeEncoder(), paths, folder)
    assert (first.images, first.resumed.new) == (11, 11)
    photo(paths[-1], 111)
    done = encode_files(FakeEncoder(), paths, folder)
    assert done.resumed == Resumed(changed=1, kept=10, read=2)
