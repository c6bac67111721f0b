import numpy as np
import pytest

from ssah_tf.data import ImageSet
from ssah_tf.data.protocols import PROTOCOLS, split_by_protocol
from ssah_tf.system.errors import DataError


def image_set(sizes, queries=0, unlabelled=0):
    """Classes of the given sizes; the first images of all are official queries."""
    n = sum(sizes) + unlabelled
    labels = np.zeros((n, len(sizes)), np.uint8)
    labels[np.arange(sum(sizes)), np.repeat(np.arange(len(sizes)), sizes)] = 1
    order = np.random.default_rng(0).permutation(n)
    ids = tuple(f"i{k}" for k in range(n))
    return ImageSet(
        name="set",
        ids=ids,
        labels=labels[order],
        classes=tuple(f"c{k}" for k in range(len(sizes))),
        digests=tuple(f"d{k}" for k in range(n)),
        official_queries=ids[:queries],
    )


def split(images, name, **changes):
    values = {
        "validation_per_class": 5,
        "query_per_class": 20,
        "labelled_per_class": None,
        "labelled_share": None,
        "seed": 0,
    }
    return split_by_protocol(images, name, **{**values, **changes})


def sizes(found):
    parts = (found.query, found.labelled, found.validation, found.unlabelled, found.database)
    return [len(part) for part in parts]


CIFAR = image_set([6000] * 10, queries=10_000)


def test_cifar10_54k():
    """Of 60,000: 1,000 queries and 5,000 labels; the others are searched, and are unlabelled."""
    found = split(CIFAR, "cifar10-54k", labelled_per_class=7)
    assert sizes(found) == [1000, 4950, 50, 54_000, 54_000]
    assert set(found.unlabelled) == set(found.database)
    assert found.protocol.startswith("set, cifar10-54k: 1000 queries (100 a class")
    assert "holds 54000 unlabelled training images;" in found.protocol


def test_cifar10_59k():
    found = split(CIFAR, "cifar10-59k")
    assert sizes(found) == [1000, 4950, 50, 54_000, 59_000]


def test_cifar10_full():
    found = split(CIFAR, "cifar10-full", labelled_per_class=7)
    assert sizes(found) == [10_000, 49_950, 50, 0, 50_000]
    assert set(found.query) == set(CIFAR.official_queries)


def test_n_per_class_with_and_without_official_queries():
    assert sizes(split(image_set([100] * 4), "n-per-class", labelled_per_class=30)) == [
        80,
        100,
        20,
        200,
        320,
    ]
    official = image_set([100] * 4, queries=40)
    assert len(split(official, "n-per-class", labelled_per_class=30).query) == 40


def test_fraction():
    """A tenth of the 80 that are left of each class: 8, of which 5 for validation."""
    found = split(image_set([100] * 4), "fraction", labelled_share=0.1)
    assert sizes(found) == [80, 12, 20, 288, 320]
    assert "(10% of each class;" in found.protocol
    found = split(image_set([100] * 4), "fraction", labelled_share=0.11)  # 8.8: nine
    assert sizes(found) == [80, 16, 20, 284, 320]


def test_official_needs_official_queries():
    assert sizes(split(image_set([50, 50], queries=10), "official"))[0] == 10
    with pytest.raises(DataError, match="needs a set with its own queries"):
        split(image_set([50, 50]), "official")


def test_nuswide21_is_multi_label_and_quotes_5000():
    """Of 21 classes, images with two labels: no class gives more than its quota."""
    rng = np.random.default_rng(0)
    labels = np.zeros((30_000, 21), np.uint8)
    for _ in range(2):
        labels[np.arange(30_000), rng.integers(0, 21, 30_000)] = 1
    images = ImageSet(
        name="nus",
        ids=tuple(map(str, range(30_000))),
        labels=labels,
        classes=tuple(map(str, range(21))),
        digests=tuple(map(str, range(30_000))),
    )
    found = split(images, "nuswide21")
    assert found.protocol.endswith("quoted by mAP@5000")
    assert 1050 <= len(found.query) <= 2100
    per_class = images.labels[images.positions(found.query)].sum(axis=0)
    assert (per_class >= 100).all()
    assert len(found.database) == 30_000 - len(found.query)


def test_as_labelled_takes_what_there_is():
    """Classes of 50, 10, 3, 2 and 1 labels, and 40 images without one.

    Queries a fifth, at least one of three: 10, 2, 1, 0, 0. Validation a fifth of the rest, at
    least one of a class of three: 5 (the most), 1, 1, 0, 0. The rest trains: 35, 7, 1, 2, 1.
    """
    images = image_set([50, 10, 3, 2, 1], unlabelled=40)
    found = split(images, "as-labelled")

    def per_class(ids):
        return images.labels[images.positions(ids)].sum(axis=0).tolist()

    assert per_class(found.query) == [10, 2, 1, 0, 0]
    assert per_class(found.validation) == [5, 1, 1, 0, 0]
    assert per_class(found.labelled) == [35, 7, 1, 2, 1]
    assert len(found.unlabelled) == 40
    assert len(found.database) == 53  # what an image without a label shows, no one knows
    assert "holds 53 labelled training images;" in found.protocol


def test_as_labelled_in_small_classes():
    """Classes of 4, 6, 15 and 12 labels: queries 1, 1, 3, 2; 3, 5, 12 and 10 are left.

    Of those a fifth validates, but one of two: 1, 1, 2, 2.
    """
    images = image_set([4, 6, 15, 12])
    found = split(images, "as-labelled")
    per_class = [
        images.labels[images.positions(ids)].sum(axis=0).tolist()
        for ids in (found.query, found.validation, found.labelled)
    ]
    assert per_class == [[1, 1, 3, 2], [1, 1, 2, 2], [2, 4, 10, 8]]


def test_two_labels_a_class_are_too_few():
    with pytest.raises(DataError, match="label at least 3 images a class"):
        split(image_set([2] * 15), "as-labelled")


def test_refused():
    images = image_set([100] * 4)
    for name, changes, message in (
        ("cifar", {}, "no protocol 'cifar', choose from as-labelled, "),
        ("fraction", {}, "labelled_share belongs to the protocol fraction"),
        ("n-per-class", {"labelled_share": 0.5}, "labelled_share belongs"),
        ("cifar10-54k", {}, "class 'c0' has 80 images besides its queries, but 500"),
    ):
        with pytest.raises(DataError, match=message):
            split(images, name, **changes)
    with pytest.raises(DataError, match="no image has a label"):
        split(image_set([0, 0], unlabelled=9), "as-labelled")
    with pytest.raises(DataError, match="too few labels to choose a model by"):
        split(image_set([1, 1, 1], unlabelled=9, queries=1), "as-labelled")


def test_every_protocol_is_documented():
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    for name in PROTOCOLS:
        assert f"`{name}`" in page
