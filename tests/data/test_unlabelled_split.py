"""The split of images without labels: queries are drawn, all others may be learnt from."""

from dataclasses import replace

import numpy as np
import pytest

from ssah_tf.data import ImageSet, Split
from ssah_tf.data import unlabelled_split as module
from ssah_tf.data.protocols import split_by_protocol
from ssah_tf.data.unlabelled_split import split_without_labels
from ssah_tf.system.errors import DataError

NUMBERS = {
    "validation_per_class": 10,
    "query_per_class": 100,
    "labelled_per_class": None,
    "labelled_share": None,
}


def images(n, copies=()):
    """Images of which those at some positions have one content."""
    digests = tuple("c" * 64 if i in copies else f"{i:064d}" for i in range(n))
    ids = tuple(f"{i}.png" for i in range(n))
    return ImageSet("set", ids, np.zeros((n, 0), np.uint8), (), digests)


def test_parts(tmp_path):
    there = images(50, copies=(3, 4))
    split = split_by_protocol(there, "as-labelled", **NUMBERS, seed=1)
    assert (split.labelled, split.validation) == ((), ())
    assert len(split.query) == 10
    assert not {"3.png", "4.png"} & set(split.query)
    assert set(split.unlabelled) == set(there.ids) - set(split.query)
    assert split.database == split.unlabelled
    assert split.protocol == (
        "set, no labels: 10 queries, drawn, against a database of 40 of the 40 other images, from "
        "which codes may be learnt; split seed 1"
    )
    assert split == split_without_labels(there, 1)
    assert split.query != split_without_labels(there, 2).query
    split.save(tmp_path / "split.json")
    loaded = Split.load(tmp_path / "split.json")
    assert loaded == split
    loaded.check(there)


def test_of_many_images_some_are_measured(monkeypatch):
    monkeypatch.setattr(module, "QUERIES", 3)
    monkeypatch.setattr(module, "DATABASE", 8)
    split = split_without_labels(images(50), 0)
    assert [len(part) for part in (split.query, split.unlabelled, split.database)] == [3, 47, 8]
    assert set(split.database) < set(split.unlabelled)


def test_two_images_are_the_least():
    split = split_without_labels(images(2), 0)
    assert (len(split.query), len(split.database)) == (1, 1)
    for there in (images(1), images(4, copies=range(4))):
        with pytest.raises(DataError, match="a query and an image to search are needed at least"):
            split_without_labels(there, 0)


def test_a_protocol_that_needs_labels():
    with pytest.raises(DataError, match="the protocol n-per-class needs labels, and set has none"):
        split_by_protocol(images(9), "n-per-class", **NUMBERS, seed=0)


def test_a_set_with_classes_needs_labelled_images():
    split = split_without_labels(images(9), 0)
    classes = replace(images(9), labels=np.zeros((9, 2), np.uint8), classes=("a", "b"))
    with pytest.raises(DataError, match="the split has no labelled images"):
        split.check(classes)
