import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from ssah_tf import encode as module
from ssah_tf.encode import encode_files, find_images
from ssah_tf.errors import SsahError


class FakeEncoder:
    """A code is the first byte of the image: what the arithmetic of shards can be seen by."""

    model_id, bits, image_size = "abc", 8, 4

    def __init__(self):
        self.runs = 0

    def encode(self, images):
        self.runs += 1
        return images[:, 0, 0, :1].copy()


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Twenty grey photos in two folders, and two files that are none; shards of six."""
    monkeypatch.setattr(module, "SHARD", 6)
    monkeypatch.setattr(module, "BATCH", 4)
    for k in range(20):
        path = tmp_path / "photos" / "ab"[k % 2] / f"{k:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (5, 5), 10 * k).save(path)
    for name in ("a/07bad.jpg", "b/zero.png"):
        (tmp_path / "photos" / name).write_bytes(b"")
    return tmp_path / "photos"


def expected_of(paths):
    return [10 * int(os.path.basename(p)[:2]) for p in paths]


def test_npy(photos, tmp_path):
    paths = find_images([photos])
    told = []
    done = encode_files(FakeEncoder(), paths, tmp_path / "codes.npy", told.append)
    assert (done.images, len(done.bad)) == (20, 2)
    assert told == [6, 12, 18, 22]
    about = json.loads((tmp_path / "codes.npy.json").read_bytes())
    assert (about["model_id"], about["bits"]) == ("abc", 8)
    codes = np.load(tmp_path / "codes.npy", allow_pickle=False)
    assert codes.dtype == np.uint8
    assert codes[:, 0].tolist() == expected_of(about["paths"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["codes.npy", "codes.npy.json", "photos"]


def test_parquet(photos, tmp_path):
    encode_files(FakeEncoder(), find_images([photos]), tmp_path / "codes.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "codes.parquet")
    assert table.schema.metadata[b"model_id"] == b"abc"
    rows = table.to_pydict()
    assert [code[0] for code in rows["code"]] == expected_of(rows["path"])


@pytest.mark.parametrize("after", [0, 1, 2])
def test_interrupted_it_goes_on_and_ends_alike(photos, tmp_path, after):
    paths = find_images([photos])
    whole = tmp_path / "whole.npy"
    encode_files(FakeEncoder(), paths, whole)

    class Stop(Exception):
        pass

    def stop(done):
        if done >= 6 * (after + 1):
            raise Stop

    output = tmp_path / "codes.npy"
    with pytest.raises(Stop):
        encode_files(FakeEncoder(), paths, output, stop)
    assert not output.exists()
    (tmp_path / "codes.npy.parts" / ".123.000003.npz").write_bytes(b"half")  # of a killed process
    encoder = FakeEncoder()
    encode_files(encoder, paths, output)
    assert output.read_bytes() == whole.read_bytes()
    assert encoder.runs < 8  # not all shards again


def test_unfinished_work_on_something_else_is_refused(photos, tmp_path):
    paths = find_images([photos])
    output = tmp_path / "codes.npy"

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_files(FakeEncoder(), paths, output, stop)
    with pytest.raises(SsahError, match="unfinished work on other images"):
        encode_files(FakeEncoder(), paths[1:], output)
    other = FakeEncoder()
    other.model_id = "def"
    with pytest.raises(SsahError, match="or by another encoder"):
        encode_files(other, paths, output)


def test_find_images(photos, tmp_path):
    one = str(photos / "a" / "00.png")
    assert find_images([one, photos])[0] == one
    assert len(find_images([one, photos])) == 22  # each once
    assert find_images([str(photos / "a")])[0] == one
    with pytest.raises(SsahError, match="none: no such file or folder"):
        find_images([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SsahError, match="no image files found"):
        find_images([tmp_path / "empty"])
    with pytest.raises(SsahError, match=r"ends in \.npy or \.parquet"):
        encode_files(FakeEncoder(), [one], tmp_path / "codes.csv")


def test_only_bad_files(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"")
    done = encode_files(FakeEncoder(), find_images([tmp_path]), tmp_path / "codes.npy")
    assert done.images == 0
    assert np.load(tmp_path / "codes.npy").shape == (0, 1)


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from test_encode import FakeEncoder
from ssah_tf import encode
encode.SHARD = 6
def slowly(done):
    print(done, flush=True)
    time.sleep(0.3)
encode.encode_files(FakeEncoder(), encode.find_images([{photos!r}]), Path({output!r}), slowly)
"""


def test_killed_process_loses_nothing(photos, tmp_path):
    """SIGKILL in the middle, then the same again: the same file as without."""
    whole, output = tmp_path / "whole.npy", tmp_path / "codes.npy"
    encode_files(FakeEncoder(), find_images([photos]), whole)
    code = KILLED.format(here=os.path.dirname(__file__), photos=str(photos), output=str(output))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "6\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not output.exists()
    encode_files(FakeEncoder(), find_images([photos]), output)
    assert output.read_bytes() == whole.read_bytes()
