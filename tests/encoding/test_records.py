"""A file becomes a record in one way; a query is its code alone."""

import hashlib
import os
import sys

import numpy as np
import pytest
from PIL import Image

from ssah_tf.cli import app as cli
from ssah_tf.data.decode import decode
from ssah_tf.data.perceptual_hash import perceptual_hash
from ssah_tf.encoding import records as module
from ssah_tf.encoding.records import (
    Record,
    Records,
    Unreadable,
    encode_readable,
    encode_records,
    unchanged,
)


class FakeEncoder:
    """A code is the first two bytes of the image."""

    model_id, bits, image_size = "abc", 12, 4
    appearance_bits = 0

    def __init__(self):
        self.images = 0

    def encode(self, images):
        self.images += len(images)
        return images[:, 0, 0, :2].copy()

    def full_codes(self, images):
        return self.encode(images)


class Calls:
    """Counts the calls of a function."""

    def __init__(self, function):
        self.function = function
        self.count = 0

    def __call__(self, *given):
        self.count += 1
        return self.function(*given)


@pytest.fixture
def facts(monkeypatch):
    """Counts how many digests and perceptual hashes are computed."""
    counters = {"sha256": Calls(hashlib.sha256), "perceptual_hash": Calls(perceptual_hash)}
    monkeypatch.setattr(module, "sha256", counters["sha256"])
    monkeypatch.setattr(module, "perceptual_hash", counters["perceptual_hash"])
    return lambda: {name: counter.count for name, counter in counters.items()}


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Five colours, of which two are one content; batches of two."""
    monkeypatch.setattr(module, "BATCH", 2)
    for k, red in enumerate((10, 20, 30, 40, 40)):
        Image.new("RGB", (5, 5), (red, 2 * red, 7)).save(tmp_path / f"{k}.png")
    return tmp_path


def flat(batches):
    return [one for batch in batches for one in batch]


def test_record(photos):
    """What each column is, and the order; batches as they are run."""
    names = [f"{k}.png" for k in range(5)]
    batches = list(encode_records(FakeEncoder(), names, folder=str(photos)))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    for name, red, record in zip(names, (10, 20, 30, 40, 40), flat(batches), strict=True):
        content, found = (photos / name).read_bytes(), os.stat(photos / name)
        assert record.path == name
        assert record.digest == hashlib.sha256(content).digest()
        assert (record.size, record.mtime_ns) == (found.st_size, found.st_mtime_ns)
        assert record.perceptual_hash == perceptual_hash(decode(content, 4))
        assert record.code.tolist() == [red, 2 * red]


def test_files_without_a_code(photos):
    """Those that are no image, and those that cannot be opened, in their places."""
    (photos / "empty.jpg").write_bytes(b"")
    names = ["0.png", "empty.jpg", "gone.png", "1.png", str(photos)]
    found = flat(encode_records(FakeEncoder(), names, folder=str(photos)))
    assert [type(one) for one in found] == [Record, Unreadable, Unreadable, Record, Unreadable]
    assert found[1] == Unreadable("empty.jpg", "empty.jpg: empty, or not an image")
    assert found[2] == Unreadable("gone.png", "gone.png: No such file or directory", True)
    assert found[4] == Unreadable(str(photos), f"{photos}: not a regular file")
    codes, reasons, _ = encode_readable(FakeEncoder(), [str(photos / name) for name in names[:4]])
    assert codes.tolist() == [[10, 20], [20, 40]]
    assert [bool(reason) for reason in reasons] == [False, True, True, False]


def test_known_contents_are_not_encoded_again(photos, facts):
    """They keep the hash and the code that are known, whatever the file is called."""
    encoder = FakeEncoder()
    digest = hashlib.sha256((photos / "3.png").read_bytes()).digest()
    known = {digest: (b"h" * 16, np.array([1, 2], np.uint8))}
    paths = [str(photos / f"{k}.png") for k in range(5)]
    found = flat(encode_records(encoder, paths, known=known))
    assert [record.code.tolist() for record in found] == [[10, 20], [20, 40], [30, 60], [1, 2],
                                                          [1, 2]]  # fmt: skip
    assert [record.perceptual_hash for record in found[3:]] == [b"h" * 16] * 2
    assert encoder.images == 3
    assert facts() == {"sha256": 5, "perceptual_hash": 3}


def test_a_query_is_hashed_in_no_way(photos, facts):
    """Its code is that of the record; there is no digest and no perceptual hash, nor work on it."""
    paths = [str(photos / f"{k}.png") for k in range(5)]
    codes, reasons, _ = encode_readable(FakeEncoder(), paths)
    assert reasons == [""] * 5
    (one, *_) = flat(encode_records(FakeEncoder(), paths[:1], code_only=True))
    assert (one.digest, one.perceptual_hash) == (b"", b"")
    assert facts() == {"sha256": 0, "perceptual_hash": 0}
    found = flat(encode_records(FakeEncoder(), paths))
    assert codes.tolist() == [record.code.tolist() for record in found]
    assert facts() == {"sha256": 5, "perceptual_hash": 5}  # so they would have been counted


def test_commands_that_ask_hash_in_no_way(photos, exported, facts, monkeypatch, capsys):
    """`ssah search` and `ssah encode --output -`; `ssah index` does for each photo."""
    _, export = exported
    index = photos.parent / f"{photos.name}-index"

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["ssah", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
            raise SystemExit(0)
        out, err = capsys.readouterr()
        assert not ended.value.code, err
        return out

    run("index", export, photos, "--output", index)
    assert facts() == {"sha256": 5, "perceptual_hash": 5}
    assert run("search", index, photos / "3.png", "-k", 2).count(str(photos)) == 3
    lines = run("encode", export, photos, "--output", "-").splitlines()
    assert [line.split()[1] for line in lines] == [str(photos / f"{k}.png") for k in range(5)]
    assert facts() == {"sha256": 5, "perceptual_hash": 5}


def test_unchanged(photos):
    path = photos / "0.png"
    found = os.stat(path)
    assert unchanged(str(path), found.st_size, found.st_mtime_ns)
    for other in (-1, 1):
        assert not unchanged(str(path), found.st_size + other, found.st_mtime_ns)
        assert not unchanged(str(path), found.st_size, found.st_mtime_ns + other)
    assert not unchanged(str(photos / "gone.png"), found.st_size, found.st_mtime_ns)


def test_columns(photos):
    """There and back; files without a code stand apart."""
    (photos / "empty.jpg").write_bytes(b"")
    paths = [str(photos / name) for name in ("0.png", "empty.jpg", "gone.png", "1.png")]
    found = flat(encode_records(FakeEncoder(), paths))
    columns = Records.of(FakeEncoder(), found)
    assert (columns.model_id, columns.bits, len(columns)) == ("abc", 12, 2)
    assert columns.whole()
    for ours, theirs in zip(columns, (found[0], found[3]), strict=True):
        assert ours.code.tolist() == theirs.code.tolist()
        assert {**vars(ours), "code": 0} == {**vars(theirs), "code": 0}
    assert columns.bad == {paths[1]: found[1].reason, paths[2]: found[2].reason}
    assert columns.not_opened == (paths[2],)
    assert Records.of(FakeEncoder(), []).whole()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("codes", np.zeros((2, 1), np.uint8)),
        ("codes", np.zeros((2, 2), np.int8)),
        ("codes", np.zeros((2, 2), bool)),
        ("sizes", np.zeros(2, np.int32)),
        ("digests", np.zeros((1, 32), np.uint8)),
        ("sizes", np.zeros(3, np.int64)),
        ("sizes", np.zeros(2)),
        ("mtime_ns", np.zeros((2, 1), np.int64)),
        ("perceptual_hash", np.zeros((2, 15), np.uint8)),
        ("paths", ["a", 1]),
        ("bad", {"a": None}),
        ("model_id", 3),
        ("appearance_bits", 1),
    ],
)
def test_columns_of_a_stranger(photos, column, value):
    paths = [str(photos / "0.png"), str(photos / "1.png")]
    columns = Records.of(FakeEncoder(), flat(encode_records(FakeEncoder(), paths)))
    assert columns.whole()
    assert not Records(**{**vars(columns), column: value}).whole()
