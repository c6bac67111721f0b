import pytest

from ssah_tf.data.sources.split_folders import (
    class_folder,
    looks_like_split,
    role_of,
    split_folders,
)


def paths(**classes):
    """Paths of an image in each class folder of each top folder; "" for one beside them."""
    return [f"{top}/{name}/1.jpg".replace("//", "/") for top in classes for name in classes[top]]


@pytest.mark.parametrize(
    ("folder", "role"),
    [
        *[(name, "train") for name in ("train", "Train", "TRAINING", "training_set", "train-data")],
        *[(name, "val") for name in ("val", "valid", "Validation", "dev", "val set")],
        *[(name, "test") for name in ("test", "TEST", "testing", "test_set", "test-images")],
        *[
            (name, "")
            for name in ("trains", "trainer", "contest", "train_2", "value", "", "tests2")
        ],
    ],
)
def test_names(folder, role):
    assert role_of(folder) == role


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (paths(train="ab", test="ab"), {"train": "train", "test": "query"}),
        (paths(train="ab", val="ab"), {"train": "train", "val": "query"}),
        (paths(train="ab", test="bc"), {"train": "train", "test": "query"}),  # one in common
        (
            paths(Training="ab", valid="a", testing="b"),
            {"Training": "train", "valid": "train", "testing": "query"},
        ),
        (paths(train="ab", val="ab", test=[""]), {"train": "train", "val": "query", "test": ""}),
        (
            [*paths(train="ab", test="ab"), "unlabelled/1.jpg", "readme.jpg"],
            {"train": "train", "test": "query"},
        ),
        # all others are classes
        (paths(train=["", "ab"], bus=["", "ab"]), {}),
        (paths(train=[""], test=[""]), {}),
        (paths(train="ab", test="cd"), {}),
        (paths(train="ab", test="ab", extra="ab"), {}),
        (paths(train="ab"), {}),
        (paths(val="ab", test="ab"), {}),  # nothing to train on
        ([], {}),
    ],
)
def test_splits(given, expected):
    assert split_folders(given) == expected


def test_looks_like_one():
    assert looks_like_split(paths(train="ab", test="cd")) == ["train", "test"]
    assert looks_like_split(paths(train="ab", test="ab")) == []
    assert looks_like_split(paths(train="ab", bus="cd")) == []
    assert looks_like_split(paths(train="ab")) == []


def test_class_folder():
    parts = {"train": "train", "test": "query", "val": ""}
    assert class_folder("train/cat/may/1.jpg", parts) == "cat"
    assert class_folder("train/1.jpg", parts) == ""
    assert class_folder("val/cat/1.jpg", parts) == ""
    assert class_folder("unlabelled/1.jpg", parts) == "unlabelled"
    assert class_folder("train/cat/1.jpg", {}) == "train"
    assert class_folder("1.jpg", {}) == ""
