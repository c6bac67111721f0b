"""Images of a split found again: where they were, renamed, damaged, moved, labelled anew."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data import load_images
from ssah_tf.data.contents import Contents, in_words, numbers
from ssah_tf.data.found import SHOWN, find_again
from ssah_tf.data.split import Split, make_split
from ssah_tf.system.errors import DataError

CLASSES = ("ant", "bee", "cat")


@pytest.fixture
def photos(tmp_path):
    """Eight photos of each of three classes, and two without a label."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "photos"
    for number, name in enumerate([*CLASSES * 8, "unlabelled", "unlabelled"]):
        path = folder / name / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture
def split(photos, tmp_path):
    """As a run keeps it: written and read again."""
    images = load_images(str(photos)).images
    drawn = make_split(images, validation_per_class=1, query_per_class=2, as_available=True)
    drawn.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == drawn
    return drawn


def labels_of(images):
    return {
        name: in_words(images.classes[i] for i in row)
        for name, row in zip(images.ids, numbers(images.labels), strict=True)
    }


def test_nothing_has_changed(photos, split):
    found = find_again(split, str(photos), None)
    before = load_images(str(photos)).images
    assert found.lines() == []
    assert found.images.ids == before.ids
    np.testing.assert_array_equal(found.images.labels, before.labels)
    np.testing.assert_array_equal(
        found.images.read(np.arange(26), 8), before.read(np.arange(26), 8)
    )
    split.check(found.images)


def test_gone_damaged_replaced_renamed(photos, split):
    (photos / "ant" / "00.png").unlink()
    (photos / "bee" / "01.png").write_bytes(b"half")
    shutil.copy(photos / "cat" / "05.png", photos / "cat" / "02.png")  # another photo of this name
    pixels = load_images(str(photos)).images.read_one(-1, 12)
    (photos / "cat" / "08.png").rename(photos / "cat" / "holiday.png")
    Image.fromarray(255 - pixels).save(photos / "bee" / "new.png")
    found = find_again(split, str(photos), None)
    assert found.missing == {
        "ant/00.png": "is not there",
        "bee/01.png": f"cannot be read ({photos}/bee/01.png: empty, or not an image)",
        "cat/02.png": "has another content now",
    }
    assert found.moved == {"cat/08.png": "cat/holiday.png"}
    assert found.new == 1
    assert len(found.images) == 23
    position = found.images.positions(("cat/08.png",))
    with Image.open(photos / "cat" / "holiday.png") as image:
        np.testing.assert_array_equal(found.images.read(position, 12)[0], np.asarray(image))
    missing, moved, new = found.lines()
    assert missing.startswith("3 of 26 images of the run cannot be used: 'ant/00.png' is not there")
    assert moved == (
        "known by content, with other names: 1 of 26, 'cat/08.png' is now 'cat/holiday.png'"
    )
    assert new == "not in the run, and left out: 1 other images"
    left = split.without(found.missing)
    assert len(left.ids) == 23
    left.check(found.images)


def test_the_folder_has_moved(photos, split, tmp_path):
    elsewhere = photos.rename(tmp_path / "elsewhere")
    gone = find_again(split, str(photos), None)
    assert gone.images is None
    assert set(gone.missing) == set(split.ids)
    assert gone.lines()[0].endswith(f", and {26 - SHOWN} more")
    assert f"{photos}: no such folder" in gone.lines()[1]
    for place in (elsewhere, tmp_path):  # below the folder that is named they may lie deeper
        found = find_again(split, str(place), None)
        assert not found.missing
        assert len(found.images) == 26
        split.check(found.images)


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_labels_that_changed_are_named_and_those_of_the_run_stay(photos, split, tmp_path, ending):
    """A class more, a label taken away, one that is another now; then a file that is gone."""
    labels = dict.fromkeys(load_images(str(photos)).images.ids, "")
    labels = {name: name.split("/")[0].replace("unlabelled", "") for name in labels}
    before = labels_of(find_again(split, str(photos), None).images)
    labels |= {"ant/00.png": "bee", "bee/01.png": "", "unlabelled/24.png": "wasp"}
    path = tmp_path / f"labels{ending}"
    rows = {
        ".csv": lambda name, label: f"{name},{label}",
        ".jsonl": lambda name, label: f'{{"path": "{name}", "label": "{label}"}}',
    }[ending]
    header = ["path,label"] if ending == ".csv" else []
    path.write_text("\n".join([*header, *(rows(*pair) for pair in labels.items())]))
    found = find_again(split, str(photos), str(path))
    assert found.relabelled == {
        "ant/00.png": ("'ant'", "'bee'"),
        "bee/01.png": ("'bee'", "none"),
        "unlabelled/24.png": ("none", "'wasp'"),
    }
    assert found.other_classes == ("wasp",)
    assert found.images.classes == CLASSES
    assert labels_of(found.images) == before
    changed, classes = found.lines()
    assert "'unlabelled/24.png': none, now 'wasp'" in changed
    assert "'wasp'" in classes
    path.unlink()
    found = find_again(split, str(photos), str(path))
    assert labels_of(found.images) == before
    assert found.lines() == [f"{path}: no such file; the labels are those that the run keeps"]


def test_more_than_a_tenth_is_damaged(photos, split):
    """A set that cannot be trained on any more is looked at photo by photo."""
    for path in (photos / "ant").iterdir():
        path.write_bytes(b"")
    found = find_again(split, str(photos), None)
    assert len(found.images) == 18
    assert len(found.missing) == 8
    assert all("empty, or not an image" in why for why in found.missing.values())


def test_a_split_of_an_older_version_knows_names_only(photos, split, tmp_path):
    old = replace(split, contents=None)
    old.save(tmp_path / "old.json")
    assert Split.load(tmp_path / "old.json") == old
    (photos / "ant" / "00.png").unlink()
    found = find_again(old, str(photos), None)
    assert found.missing == {"ant/00.png": "is not there"}
    assert len(found.images) == 25
    with pytest.raises(DataError, match="no such folder"):
        find_again(old, str(tmp_path / "none"), None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ("ant", "bee", "dog")}, "not those of the split, for example 'cat'"),
        ({"digests": tuple("0" * 64 for _ in range(26))}, "image 'ant/.*' has another content"),
        ({"labels": np.eye(3, dtype=np.uint8)[[0] * 26]}, "label of '.*': .* now"),
    ],
)
def test_check_names_what_changed(photos, split, change, words):
    images = replace(load_images(str(photos)).images, **change)
    with pytest.raises(DataError, match=words):
        split.contents.check(images, sorted(split.ids))


@pytest.mark.parametrize(
    "change",
    [
        {"digests": "0" * 31},
        {"digests": "x" * 32},
        {"digests": 3},
        {"labels": []},
        {"labels": [[2]]},
        {"labels": [[-1]]},
        {"labels": [[True]]},
        {"labels": [0]},
        {"classes": ["a", "a"]},
        {"classes": "ab"},
        {"classes": [1, 2]},
        {"name": None},
        {"more": 1},
    ],
)
def test_damaged_contents(change):
    good = {"name": "n", "classes": ["a", "b"], "digests": "0" * 32, "labels": [[1]]}
    assert Contents.from_json(good, ["i"]).label("i") == "'b'"
    with pytest.raises(ValueError, match="expected"):
        Contents.from_json({**good, **change}, ["i"])
    with pytest.raises(ValueError, match="expected"):
        Contents.from_json([good], ["i"])
