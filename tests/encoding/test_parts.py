"""Parts follow a folder that changes: what fits is kept, what does not is encoded again."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from ssah_tf.encoding import parts as module
from ssah_tf.encoding.encode import encode_files
from ssah_tf.encoding.parts import Parts
from ssah_tf.encoding.record_file import write_records
from ssah_tf.system.errors import SsahError


class FakeEncoder:
    """A code is the first byte of the image."""

    bits, image_size = 8, 4
    appearance_bits = 0

    def __init__(self, model_id="abc"):
        self.model_id = model_id
        self.images = 0

    def encode(self, images):
        self.images += len(images)
        return images[:, 0, 0, :1].copy()

    def full_codes(self, images):
        return self.encode(images)


@pytest.fixture
def paths(tmp_path, monkeypatch):
    """Seven photos; parts of three."""
    monkeypatch.setattr(module, "PART", 3)
    found = [str(tmp_path / f"{k}.png") for k in range(7)]
    for k, path in enumerate(found):
        Image.new("L", (5, 5), 10 * k).save(path)
    return found


def encode(folder, paths, known=None, encoder=None, shards=None):
    """What is found, path -> code; the bad ones; images that were encoded; steps of progress."""
    encoder, steps = encoder or FakeEncoder(), []
    found, bad = Parts(folder, encoder).encode(
        paths, known or {}, lambda *step: steps.append(step), shards
    )
    assert all(path == record.path for path, record in found.items())
    return {p: r.code.tolist() for p, r in found.items()}, bad, encoder.images, steps


def test_kept_until_they_are_let_go(paths, tmp_path):
    folder = tmp_path / "new" / "parts"
    expected = {path: [10 * k] for k, path in enumerate(paths)}
    assert encode(folder, paths) == (expected, {}, 7, [(0, 7), (3, 7), (6, 7), (7, 7)])
    assert sorted(os.listdir(folder)) == ["000000.npz", "000001.npz", "000002.npz"]
    assert encode(folder, paths[::-1]) == (expected, {}, 0, [(7, 7)])
    assert list(encode(folder, paths[::-1])[0]) == paths[::-1]  # in the order that is asked for
    assert list(encode(folder, paths[2:3])[0]) == paths[2:3]
    Parts(folder, FakeEncoder()).clear()
    assert not folder.exists()
    Parts(folder, FakeEncoder()).clear()  # nothing there is nothing to do
    assert encode(folder, paths)[2] == 7


def test_a_file_that_has_changed_since_is_encoded_again(paths, tmp_path):
    folder = tmp_path / "parts"
    encode(folder, paths)
    Image.new("L", (5, 5), 99).save(paths[3])
    os.utime(paths[3], (1, 1))
    os.utime(paths[4], (1, 1))  # its content is the same
    found, _, images, _ = encode(folder, paths)
    assert (found[paths[3]], found[paths[4]], images) == ([99], [40], 1)


def test_a_file_that_was_bad_is_tried_again(paths, tmp_path):
    folder = tmp_path / "parts"
    with open(paths[5], "rb") as stream:
        content = stream.read()
    with open(paths[5], "wb") as stream:
        stream.write(b"")
    found, bad, images, _ = encode(folder, paths)
    assert (list(bad), len(found), images) == ([paths[5]], 6, 6)
    assert list(encode(folder, paths)[1]) == [paths[5]]
    with open(paths[5], "wb") as stream:
        stream.write(content)
    found, bad, images, _ = encode(folder, paths)
    assert (found[paths[5]], bad, images) == ([50], {}, 1)


def test_what_is_damaged_or_of_another_encoder_is_passed_over(paths, tmp_path):
    folder = tmp_path / "parts"
    encode(folder, paths, encoder=FakeEncoder("xyz"))
    encode(folder, paths, encoder=FakeEncoder("AAA"))
    assert encode(folder, paths)[2] == 7
    (folder / ".1.000009.npz").write_bytes(b"half")  # of a killed process
    (folder / "000007.npz").write_bytes(b"half")  # 6, 7, 8 are of this encoder
    assert encode(folder, paths)[2] == 3
    assert sorted(os.listdir(folder)) == [
        ".1.000009.npz",
        *(f"{number:06d}.npz" for number in range(10)),
    ]


def test_known_contents(paths, tmp_path):
    """By their digest, whatever the files are called now."""
    (record,) = (
        Parts(tmp_path / "one", FakeEncoder()).encode(paths[:1], {}, lambda *_: None)[0].values()
    )
    known = {record.digest: (record.perceptual_hash, np.array([77], np.uint8))}
    found, _, images, _ = encode(tmp_path / "two", paths, known)
    assert (found[paths[0]], images) == ([77], 6)
    moved = shutil.move(paths[2], tmp_path / "moved.png")
    found, _, images, _ = encode(tmp_path / "two", [str(moved)])
    assert (found, images) == ({str(moved): [20]}, 0)


def test_records_of_shards_are_taken(paths, tmp_path, monkeypatch):
    """Their relative paths are those of the current folder."""
    monkeypatch.chdir(tmp_path)
    shards = tmp_path / "codes"
    encode_files(FakeEncoder(), [os.path.basename(path) for path in paths[:5]], shards, size=2)
    found, _, images, steps = encode(tmp_path / "parts", paths, shards=shards)
    assert found == {path: [10 * k] for k, path in enumerate(paths)}
    assert (images, steps) == (2, [(5, 7), (7, 7)])


@pytest.fixture
def older(monkeypatch):
    """Writes files as the version before did: other names of two columns."""
    right = np.savez

    def savez(path, mtime_ns, perceptual_hash, **others):
        right(path, changed=mtime_ns, looks=perceptual_hash, **others)

    def write(path, records):
        with monkeypatch.context() as patch:
            patch.setattr(np, "savez", savez)
            write_records(path, records)

    return write


def test_files_of_an_older_version_are_named(paths, tmp_path, older, monkeypatch):
    """A part, one that had no columns yet, and shards: to go on from, and to take from."""
    from ssah_tf.encoding import encode as encoding
    from ssah_tf.encoding.record_file import read_records

    folder, shards = tmp_path / "parts", tmp_path / "codes"
    encode(folder, paths)
    older(folder / "000001.npz", read_records(folder / "000001.npz"))
    line = "written by an older version of ssah-tf .column changed is now mtime_ns, looks is now"
    with pytest.raises(SsahError, match=f"000001.npz: {line}.*; remove {folder}, what is in it is"):
        encode(folder, paths)
    text = json.dumps({"model_id": "abc", "photos": [["a", "b", 1, 2, "00"]]})
    about = np.frombuffer(text.encode(), np.uint8)
    np.savez(folder / "000001.npz", codes=np.zeros((1, 1), np.uint8), about=about)
    with pytest.raises(SsahError, match=f"000001.npz: {line}"):
        encode(folder, paths)

    monkeypatch.setattr(encoding, "parquet_there", lambda: False)
    encode_files(FakeEncoder(), paths, shards, size=3)
    older(shards / "000002.npz", read_records(shards / "000002.npz"))
    for call in (
        lambda: encode_files(FakeEncoder(), paths, shards, size=3),
        lambda: encode(tmp_path / "more", paths, shards=shards),
    ):
        with pytest.raises(SsahError, match=f"000002.npz: {line}.*; encode again into a new --ou"):
            call()
