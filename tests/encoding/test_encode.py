import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from ssah_tf.encoding import encode as module
from ssah_tf.encoding import records, shards
from ssah_tf.encoding.encode import choose_engine, encode_files, find_images, on_threads
from ssah_tf.encoding.record_file import read_records
from ssah_tf.encoding.resume import Resumed
from ssah_tf.search import CodeIndex
from ssah_tf.system.errors import RunError, SsahError


class FakeEncoder:
    """A code is the first byte of the image: what the arithmetic of shards can be seen by."""

    model_id, bits, image_size = "abc", 8, 4
    appearance_bits = 0

    def __init__(self):
        self.runs = 0

    def encode(self, images):
        self.runs += 1
        return images[:, 0, 0, :1].copy()

    def full_codes(self, images):
        return self.encode(images)


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Twenty grey photos in two folders, and two files that are none; shards of six."""
    monkeypatch.setattr(shards, "SHARD", 6)
    monkeypatch.setattr(records, "BATCH", 4)
    for k in range(20):
        path = tmp_path / "photos" / "ab"[k % 2] / f"{k:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (5, 5), 10 * k).save(path)
    for name in ("a/07bad.jpg", "b/zero.png"):
        (tmp_path / "photos" / name).write_bytes(b"")
    return tmp_path / "photos"


def expected_of(paths):
    return [10 * int(os.path.basename(p)[:2]) for p in paths]


def bad_of(listed):
    """Names of the files that a list calls bad; each has a reason."""
    lines = [json.loads(line) for line in listed.read_text().splitlines()]
    assert all("empty, or not an image" in line["reason"] for line in lines)
    return [os.path.basename(line["path"]) for line in lines]


def rows_of(folder):
    """Paths and codes of a folder of shards, in the order of the files."""
    found = [read_records(path) for path in sorted(folder.glob("[0-9]*"))]
    return [p for s in found for p in s.paths], [c for s in found for c in s.codes[:, 0].tolist()]


def test_npy(photos, tmp_path):
    paths = find_images([photos]).paths
    reported = []
    done = encode_files(FakeEncoder(), paths, tmp_path / "codes.npy", reported.append)
    assert (done.images, len(done.bad)) == (20, 2)
    assert reported == [6, 12, 18, 22]
    about = json.loads((tmp_path / "codes.npy.json").read_bytes())
    assert (about["model_id"], about["bits"]) == ("abc", 8)
    codes = np.load(tmp_path / "codes.npy", allow_pickle=False)
    assert codes.dtype == np.uint8
    assert codes[:, 0].tolist() == expected_of(about["paths"])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "codes.npy",
        "codes.npy.bad.jsonl",
        "codes.npy.json",
        "photos",
    ]
    assert bad_of(done.listed) == ["07bad.jpg", "zero.png"]


def test_parquet(photos, tmp_path):
    encode_files(FakeEncoder(), find_images([photos]).paths, tmp_path / "codes.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "codes.parquet")
    assert table.schema.metadata[b"model_id"] == b"abc"
    rows = table.to_pydict()
    assert [code[0] for code in rows["code"]] == expected_of(rows["path"])
    contents = [Path(path).read_bytes() for path in rows["path"]]
    assert rows["digest"] == [hashlib.sha256(content).digest() for content in contents]
    assert rows["size"] == [len(content) for content in contents]
    assert rows["mtime_ns"] == [os.stat(path).st_mtime_ns for path in rows["path"]]


@pytest.mark.parametrize("after", [0, 1, 2])
def test_interrupted_it_goes_on_and_ends_alike(photos, tmp_path, after):
    paths = find_images([photos]).paths
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
    paths = find_images([photos]).paths
    output = tmp_path / "codes.npy"

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_files(FakeEncoder(), paths, output, stop)
    with pytest.raises(SsahError, match="holds codes of other images"):
        encode_files(FakeEncoder(), paths[1:], output)
    with pytest.raises(SsahError, match="in shards of another kind"):
        encode_files(FakeEncoder(), paths, output, size=7)
    other = FakeEncoder()
    other.model_id = "def"
    with pytest.raises(SsahError, match="by another encoder"):
        encode_files(other, paths, output)


def test_find_images(photos, tmp_path):
    one = str(photos / "a" / "00.png")
    assert find_images([one, photos]).paths[0] == one
    assert len(find_images([one, photos]).paths) == 22  # each once
    assert find_images([str(photos / "a")]).paths[0] == one
    with pytest.raises(SsahError, match="none: no such file or folder"):
        find_images([tmp_path / "none"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(SsahError, match="no image files found"):
        find_images([tmp_path / "empty"])
    with pytest.raises(SsahError, match=r"ends in \.npy or \.parquet"):
        encode_files(FakeEncoder(), [one], tmp_path / "codes.csv")


def test_only_bad_files(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"")
    done = encode_files(FakeEncoder(), find_images([tmp_path]).paths, tmp_path / "codes.npy")
    assert done.images == 0
    assert np.load(tmp_path / "codes.npy").shape == (0, 1)
    assert encode_files(FakeEncoder(), [str(tmp_path / "x.jpg")], tmp_path / "c.parquet").bad
    assert pyarrow.parquet.read_table(tmp_path / "c.parquet").num_rows == 0


def test_a_list_of_bad_files_goes_when_they_are_mended(photos, tmp_path):
    paths = [str(photos / "a" / "00.png"), str(photos / "b" / "zero.png")]
    done = encode_files(FakeEncoder(), paths, tmp_path / "codes.npy")
    assert done.listed == tmp_path / "codes.npy.bad.jsonl"
    Image.new("L", (5, 5), 70).save(paths[1])
    again = encode_files(FakeEncoder(), paths, tmp_path / "codes.npy")
    assert (again.images, again.bad, again.listed) == (2, {}, None)
    assert not done.listed.exists()


def test_row_groups_are_of_some_shards(photos, tmp_path, monkeypatch):
    """Twenty codes in shards of 5, 6, 6 and 3 good images: three of them, and one."""
    monkeypatch.setattr("ssah_tf.encoding.outputs.GROUP", 3)
    encode_files(FakeEncoder(), find_images([photos]).paths, tmp_path / "codes.parquet")
    about = pyarrow.parquet.read_metadata(tmp_path / "codes.parquet")
    rows = [about.row_group(k).num_rows for k in range(about.num_row_groups)]
    assert rows == [17, 3]
    codes = pyarrow.parquet.read_table(tmp_path / "codes.parquet")
    assert [code[0] for code in codes["code"].to_pylist()] == expected_of(codes["path"].to_pylist())


def test_a_folder_may_have_any_name(photos, tmp_path):
    (tmp_path / "codes.v2").mkdir()
    encode_files(FakeEncoder(), [str(photos / "a" / "00.png")], tmp_path / "codes.v2")
    assert sorted(os.listdir(tmp_path / "codes.v2")) == [
        "000000.parquet", "_encoded.json", "_plan.json",
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", [".parquet", ".npz"])
def test_folder_of_shards(photos, tmp_path, monkeypatch, suffix):
    """Rows, bad files and numbers; again it does nothing; a damaged shard is made anew."""
    monkeypatch.setattr(module, "parquet_there", lambda: suffix == ".parquet")
    paths, folder = find_images([photos]).paths, tmp_path / "codes"
    done = encode_files(FakeEncoder(), paths, folder)
    assert (done.images, len(done.bad)) == (20, 2)
    names, codes = rows_of(folder)
    assert names == [path for path in paths if path not in done.bad]
    assert codes == expected_of(names)
    assert bad_of(folder / "_bad.jsonl") == ["07bad.jpg", "zero.png"]
    about = json.loads((folder / "_encoded.json").read_bytes())
    model = {"model_id": "abc", "bits": 8, "appearance_bits": 0}
    assert about == {**model, "images": 20, "bad": 2, "shards": 4}
    assert sorted(os.listdir(folder)) == sorted(
        [f"{k:06d}{suffix}" for k in range(4)] + ["_bad.jsonl", "_encoded.json", "_plan.json"]
    )
    if suffix == ".parquet":  # other readers pass over what begins with _
        assert pyarrow.parquet.read_table(folder)["path"].to_pylist() == names

    encoder = FakeEncoder()
    again = encode_files(encoder, paths, folder)
    assert (again, encoder.runs) == (replace(done, resumed=Resumed(kept=20, read=2)), 0)
    content = (folder / f"000002{suffix}").read_bytes()
    for damaged in (content[:-9], b"", content[:80] + bytes([content[80] ^ 1]) + content[81:]):
        (folder / f"000002{suffix}").write_bytes(damaged)
        again = encode_files(encoder, paths, folder)
        assert (again.images, again.bad, again.resumed.new) == (20, done.bad, 6)
        assert rows_of(folder) == (names, codes)
    (folder / f"000001{suffix}").write_bytes(content)  # whole, but of other images
    again = encode_files(encoder, paths, folder)
    assert (again.images, again.bad) == (20, done.bad)
    assert rows_of(folder) == (names, codes)

    with pytest.raises(SsahError, match="holds something else"):
        encode_files(encoder, paths, photos)


def test_example_of_the_page(photos, tmp_path):
    """The codes of a folder as an index, by what docs/scale.md tells to type."""
    paths = find_images([photos]).paths
    encode_files(FakeEncoder(), paths, tmp_path / "codes")
    page = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.M | re.S)
    subprocess.run([sys.executable, "-c", example], cwd=tmp_path, check=True)
    index = CodeIndex.load(tmp_path / "codes-index")
    assert index.codes[:, 0].tolist() == rows_of(tmp_path / "codes")[1]
    assert (index.model_id, index.bits) == ("abc", 8)


def test_engines_may_answer_in_any_order(photos, tmp_path):
    def backwards(encoder, work):
        return (found for found in reversed(list(on_threads(encoder, work))))

    paths, reported = find_images([photos]).paths, []
    whole = encode_files(FakeEncoder(), paths, tmp_path / "whole.parquet")
    done = encode_files(
        FakeEncoder(), paths, tmp_path / "codes.parquet", reported.append, engine=backwards
    )
    assert reported == [4, 10, 16, 22]
    assert list(done.bad.items()) == list(whole.bad.items())
    for end in ("parquet", "parquet.bad.jsonl"):
        assert (tmp_path / f"codes.{end}").read_bytes() == (tmp_path / f"whole.{end}").read_bytes()


def test_names_of_any_bytes(photos, tmp_path):
    """A name that is no Unicode: as it is in .npy, marked in Parquet, and never encoded twice."""
    strange = os.fsdecode(os.fsencode(photos / "a") + b"/caf\xe9.png")
    os.rename(photos / "a" / "00.png", strange)
    paths = find_images([photos]).paths
    assert strange in paths
    encode_files(FakeEncoder(), paths, tmp_path / "codes.npy")
    assert strange in json.loads((tmp_path / "codes.npy.json").read_bytes())["paths"]
    encoder = FakeEncoder()
    for _ in range(2):
        encode_files(encoder, paths, tmp_path / "codes")
    assert encoder.runs == 7  # four shards of 6, 6, 6 and 4, in batches of 4
    assert rows_of(tmp_path / "codes")[0].count(strange.replace("\udce9", "\ufffd")) == 1


def test_choice_of_engine(monkeypatch):
    assert choose_engine("threads") is on_threads
    with pytest.raises(SsahError, match="choose from threads, ray"):
        choose_engine("spark")
    with pytest.raises(SsahError, match="add --engine ray"):
        choose_engine("threads", "10.0.0.1:6379")
    assert choose_engine("ray").keywords == {"address": None, "cpus": 1}
    assert choose_engine("ray", "a:1", 3).keywords == {"address": "a:1", "cpus": 3}
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SsahError, match=r"pip install 'ssah-tf\[scale\]'"):
        next(choose_engine("ray")(FakeEncoder(), [(0, ["a.png"])]))


def test_a_shard_that_is_lost_before_the_end_is_an_error(photos, tmp_path, monkeypatch):
    right = module.finish

    def lose(kept, *rest):
        found = right(kept, *rest)
        kept.file(1).unlink()
        return found

    monkeypatch.setattr(module, "finish", lose)
    with pytest.raises(RunError, match="missing or damaged; encode once more"):
        encode_files(FakeEncoder(), find_images([photos]).paths, tmp_path / "codes.npy")


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from test_encode import FakeEncoder
from ssah_tf.encoding import encode
from ssah_tf.encoding import records, shards
shards.SHARD = 6
def slowly(done):
    print(done, flush=True)
    time.sleep(0.3)
encode.encode_files(FakeEncoder(), encode.find_images([{photos!r}]).paths, Path({output!r}), slowly)
"""


@pytest.mark.parametrize(
    "name", ["codes.npy", pytest.param("codes.parquet", marks=pytest.mark.slow), "codes"]
)
def test_killed_process_loses_nothing(photos, tmp_path, rng, name):
    """SIGKILL at random shards until it has come to its end: the same files as without."""
    whole, output = tmp_path / f"whole-{name}", tmp_path / name
    encode_files(FakeEncoder(), find_images([photos]).paths, whole)
    code = KILLED.format(here=os.path.dirname(__file__), photos=str(photos), output=str(output))
    last = 0
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        count = 0
        while count <= last:  # whatever is there is counted first
            count = int(process.stdout.readline())
        last = count
        time.sleep(rng.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert last < 22
        assert not (output / "_encoded.json" if name == "codes" else output).exists()
    done = encode_files(FakeEncoder(), find_images([photos]).paths, output)
    assert (done.images, len(done.bad)) == (20, 2)
    if name == "codes":
        assert rows_of(output) == rows_of(whole)
        assert sorted(os.listdir(output)) == sorted(os.listdir(whole))
    else:
        assert output.read_bytes() == whole.read_bytes()
        assert not (tmp_path / f"{name}.parts").exists()


def test_pictures_of_one_level_are_named(tmp_path):
    """A blank page and a range that is not known look alike; a gradient is none of them."""
    ramp = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    for name, image in {
        "white.png": Image.new("RGB", (8, 8), "white"),
        "ramp.png": Image.fromarray(ramp),
        "z blue.png": Image.new("RGB", (8, 8), (1, 2, 200)),
    }.items():
        image.save(tmp_path / name)
    paths = find_images([tmp_path]).paths
    done = encode_files(FakeEncoder(), paths, tmp_path / "codes.npy")
    assert [os.path.basename(path) for path in done.flat] == ["white.png", "z blue.png"]
