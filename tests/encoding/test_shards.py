"""A fixed list of images in equal parts, and what else can lie in such a folder."""

import json
import os

import numpy as np
import pytest

from ssah_tf.encoding.encode import encode_files
from ssah_tf.encoding.record_file import write_records
from ssah_tf.encoding.records import Records
from ssah_tf.encoding.shards import SUMMARY, Shards, read_shards
from ssah_tf.system.errors import RunError, SsahError

PATHS = ["a", "b", "c", "d", "e", "f", "g"]


class FakeEncoder:
    """Says what codes are of."""

    image_size = 4

    def __init__(self, model_id="m", bits=8):
        self.model_id, self.bits, self.appearance_bits = model_id, bits, 0


def records_of(paths, bad=(), model_id="m", bits=8):
    """Records of files that need not be there: a code is the first letter."""
    good = [path for path in paths if path not in bad]
    return Records(
        model_id,
        bits,
        0,
        good,
        np.uint8([[ord(path[0])] for path in good]).reshape(len(good), 1),
        np.zeros((len(good), 32), np.uint8),
        np.zeros(len(good), np.int64),
        np.zeros(len(good), np.int64),
        np.zeros((len(good), 16), np.uint8),
        {path: f"{path}: empty" for path in bad},
    )


def shards(folder, paths=PATHS, encoder=None, size=3, suffix=".npz"):
    return Shards(folder, paths, encoder or FakeEncoder(), size, suffix)


@pytest.mark.parametrize(
    ("count", "size", "parts"), [(0, 3, 0), (1, 3, 1), (3, 3, 1), (4, 3, 2), (7, 3, 3), (7, 1, 7)]
)
def test_number_of_shards(tmp_path, count, size, parts):
    assert len(shards(tmp_path, PATHS[:count], size=size)) == parts


def test_each_has_its_images_and_its_file(tmp_path):
    kept = shards(tmp_path / "new" / "codes")
    assert [kept.names(number) for number in range(3)] == [PATHS[:3], PATHS[3:6], PATHS[6:]]
    assert kept.file(12) == tmp_path / "new" / "codes" / "000012.npz"
    for number in range(3):
        assert kept.read(number) is None
        kept.write(number, records_of(kept.names(number), bad=["b", "", "g"][number]))
    assert [records.paths for records in kept] == [["a", "c"], ["d", "e", "f"], []]
    assert [list(records.bad) for records in kept] == [["b"], [], ["g"]]
    kept.file(1).unlink()
    with pytest.raises(RunError, match=r"000001\.npz: missing or damaged; encode once more"):
        list(kept)
    kept.remove()
    assert os.listdir(tmp_path / "new") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"paths": PATHS[:-1]},
        {"paths": PATHS[::-1]},
        {"paths": ["ab", *PATHS[2:], "h"]},
        {"encoder": FakeEncoder("n")},
        {"encoder": FakeEncoder("l")},
        {"encoder": FakeEncoder(bits=7)},
        {"size": 4},
        {"suffix": ".parquet"},
    ],
)
def test_work_on_something_else_is_refused(tmp_path, changes):
    shards(tmp_path)
    shards(tmp_path)  # goes on
    with pytest.raises(SsahError, match="holds codes of other images, by another encoder or in"):
        shards(tmp_path, **changes)


def test_names_are_told_apart_where_one_ends(tmp_path):
    shards(tmp_path, ["ab", "c"])
    with pytest.raises(SsahError, match="holds codes of other images"):
        shards(tmp_path, ["a", "bc"])


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".lock").write_text("")  # hidden files do not count
    shards(tmp_path / "mine")
    for name in ("notes.txt", "#notes"):
        (tmp_path / f"of {name}").mkdir()
        (tmp_path / f"of {name}" / name).write_text("")
        with pytest.raises(SsahError, match=f"of {name} holds something else: name another --out"):
            shards(tmp_path / f"of {name}")
    with pytest.raises(SsahError, match=r"notes\.txt.codes: cannot be made \(Not a directory\)"):
        shards(tmp_path / "of notes.txt" / "notes.txt" / "codes")


@pytest.mark.parametrize(
    "other",
    [
        records_of(PATHS[:3], model_id="n"),
        records_of(PATHS[:3], model_id="l"),
        records_of(PATHS[:3], bits=7),
        records_of(PATHS[3:6]),
        records_of(["b", "a", "c"]),
        records_of(PATHS[:2]),
        records_of(PATHS[:4]),
        records_of([*PATHS[:3], "x"], bad="x"),
        records_of(PATHS[1:3], bad="x"),
    ],
)
def test_a_shard_of_other_images_or_another_encoder_is_made_again(tmp_path, other):
    kept = shards(tmp_path)
    kept.write(0, records_of(PATHS[:3]))
    assert kept.read(0).paths == PATHS[:3]
    kept.write(0, other)
    assert kept.read(0) is None


@pytest.fixture
def finished(tmp_path):
    """A folder of two shards of three images and one."""
    folder = tmp_path / "codes"
    kept = shards(folder, PATHS[:4])
    for number in range(2):
        kept.write(number, records_of(kept.names(number)))
    (folder / SUMMARY).write_text('{"model_id": "m", "shards": 2}')
    return folder


def test_a_finished_folder(finished):
    for name in ("000002.txt", "x.npz", ".000003.npz"):  # what else may lie there
        (finished / name).write_text("")
    assert [records.paths for records in read_shards(finished, "m")] == [PATHS[:3], PATHS[3:4]]


@pytest.mark.parametrize(
    "text",
    [None, "", "[]", "{}", '{"model_id": "m"}', '{"shards": 2}',
     '{"model_id": "m", "shards": "two"}', '{"model_id": "m", "shards": null}'],
)  # fmt: skip
def test_a_folder_that_is_not_finished_is_refused(finished, text):
    if text is None:
        (finished / SUMMARY).unlink()
    else:
        (finished / SUMMARY).write_text(text)
    with pytest.raises(SsahError) as caught:
        next(read_shards(finished, "m"))
    assert str(caught.value) == f"{finished}: not a folder of codes that `ssah encode` has finished"


def test_shards_that_are_missing_damaged_or_of_another_encoder_are_told(finished):
    for other in ("a", "z"):
        with pytest.raises(SsahError, match=f"holds codes of model m, the encoder is {other}: the"):
            next(read_shards(finished, other))
        write_records(finished / "000001.npz", records_of("d", model_id=other))
        with pytest.raises(SsahError, match=r"000001\.npz: damaged; run `ssah encode` once more"):
            list(read_shards(finished, "m"))
    (finished / "000001.npz").write_bytes(b"half")
    with pytest.raises(SsahError, match=r"000001\.npz: damaged; run `ssah encode` once more"):
        list(read_shards(finished, "m"))
    (finished / "000001.npz").unlink()
    with pytest.raises(SsahError, match="codes: 1 of 2 shards are there"):
        list(read_shards(finished, "m"))
    for name in ("000001.npz", "000002.npz"):
        write_records(finished / name, records_of("d"))
    with pytest.raises(SsahError, match="codes: 3 of 2 shards are there"):
        list(read_shards(finished, "m"))


def test_a_shard_holds_1024_images_by_default(tmp_path):
    (tmp_path / "x.jpg").write_bytes(b"")
    encode_files(FakeEncoder(), [str(tmp_path / "x.jpg")], tmp_path / "codes")
    plan = json.loads((tmp_path / "codes" / "_plan.json").read_bytes())
    assert (plan["shard"], plan["images"], plan["form"]) == (1024, 1, ".parquet")
