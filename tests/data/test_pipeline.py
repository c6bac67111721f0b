import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssah_tf.data import ImageSet, Split, load_class_folders, make_split
from ssah_tf.data.pipeline import encoding_batches, fitting, training_batches

SIDE = 6
PLAIN = {"flip": False, "shift": 0.0}


def picture(k):
    """An image whose pixels all say which image it is."""
    return np.full((SIDE, SIDE, 3), k, np.uint8)


@pytest.fixture(scope="module")
def images():
    """Sixty images of three classes in memory."""
    return ImageSet(
        name="set",
        ids=tuple(f"i{k}" for k in range(60)),
        labels=np.eye(3, dtype=np.uint8)[np.arange(60) % 3],
        classes=("a", "b", "c"),
        digests=tuple(f"d{k}" for k in range(60)),
        pixels=np.stack([picture(k) for k in range(60)]),
    )


@pytest.fixture(scope="module")
def split(images):
    return make_split(images, labelled_per_class=6, validation_per_class=2, query_per_class=4)


def batches(images, split, steps=12, **changes):
    values = {"size": SIDE, "batch": 6, "ratio": 2, "seed": 5}
    data = training_batches(images, split, **{**values, **changes})
    return list(data.take(steps).as_numpy_iterator())


def assert_equal(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        for key in ("images", "labels"):
            np.testing.assert_array_equal(a[key], b[key])


def test_shapes_and_types(images, split):
    data = training_batches(images, split, size=SIDE, batch=6, ratio=2).take(3)
    assert data.element_spec["images"].shape == (6, 3, SIDE, SIDE, 3)
    assert data.element_spec["labels"].shape == (6, 3)
    found = list(data.as_numpy_iterator())
    assert len(found) == 3
    for batch in found:
        assert set(batch) == {"images", "labels"}
        assert batch["images"].shape == (6, 3, SIDE, SIDE, 3)
        assert batch["images"].dtype == np.uint8
        assert batch["labels"].shape == (6, 3)
        assert batch["labels"].dtype == np.float32


def test_columns_hold_what_they_say(images, split):
    """Column 0 is labelled and the label is its own; the others are unlabelled images."""
    labelled = set(images.positions(split.labelled))
    unlabelled = set(images.positions(split.unlabelled))
    seen = {0: set(), 1: set()}
    for batch in batches(images, split, **PLAIN):
        which = batch["images"][:, :, 0, 0, 0]  # (6, 3), pixel value = position
        for row in range(6):
            np.testing.assert_array_equal(batch["images"][row, 1], picture(which[row, 1]))
        np.testing.assert_array_equal(batch["labels"], images.labels[which[:, 0]])
        assert batch["labels"].sum(axis=0).tolist() == [2, 2, 2]
        seen[0] |= set(which[:, 0].tolist())
        seen[1] |= set(which[:, 1:].reshape(-1).tolist())
    assert seen[0] == labelled  # 72 draws, 12 images; none of validation or query
    assert seen[1] == unlabelled  # 144 draws, 30 images


def test_seed(images, split):
    assert_equal(batches(images, split, steps=4), batches(images, split, steps=4))
    one, other = batches(images, split, steps=1), batches(images, split, steps=1, seed=6)
    assert (one[0]["images"] != other[0]["images"]).any()


def gradients(images):
    """The same set with pixels that a mirror or a shift changes."""
    pixels = np.random.default_rng(0).integers(0, 256, (len(images), SIDE, SIDE, 3), np.uint8)
    return ImageSet(
        images.name, images.ids, images.labels, images.classes, images.digests, pixels=pixels
    )


@pytest.mark.parametrize("first", [1, 5, 11])
def test_resume(images, split, first):
    """What starts at step k is the rest of what started at 0, augmentation included."""
    textured = gradients(images)
    augmentation = {"flip": True, "shift": 0.2}
    whole = batches(textured, split, **augmentation)
    rest = batches(textured, split, steps=12 - first, first_step=first, **augmentation)
    assert_equal(rest, whole[first:])


def test_workers_and_their_replicas_share_a_batch(images, split):
    """Three workers of two replicas, each with one of the six rows; an element a replica a step."""
    textured = gradients(images)
    augmentation = {"flip": True, "shift": 0.2}
    whole = batches(textured, split, steps=2, first_step=3, **augmentation)
    shares = [
        batches(
            textured,
            split,
            steps=4,
            first_step=3,
            **augmentation,
            context=tf.distribute.InputContext(3, worker, num_replicas_in_sync=6),
        )
        for worker in range(3)
    ]
    for step in range(2):
        rows = [share for worker in shares for share in worker[2 * step : 2 * step + 2]]
        for key in ("images", "labels"):
            assert {len(share[key]) for share in rows} == {1}
            found = np.concatenate([share[key] for share in rows])
            np.testing.assert_array_equal(found, whole[step][key])


def test_augmentation_reaches_both_columns(images, split):
    textured = gradients(images)
    plain = batches(textured, split, steps=2, **PLAIN)
    varied = batches(textured, split, steps=2, flip=True, shift=0.2)
    for a, b in zip(plain, varied, strict=True):
        changed = (a["images"] != b["images"]).any(axis=(0, 2, 3, 4))
        assert changed.tolist() == [True, True, True]
        np.testing.assert_array_equal(a["labels"], b["labels"])
        for row, column in itertools.product(range(6), range(3)):
            assert set(b["images"][row, column].reshape(-1)) <= set(
                a["images"][row, column].reshape(-1)
            )


def test_augmentation_differs_from_step_to_step(images):
    """Two labelled images, one a class: every step has the same two, moved in its own way."""
    textured = gradients(images)
    split = Split(("i0", "i1"), (), (), ("i2",), ("i0", "i1"), 0, "by hand")
    options = {"batch": 2, "ratio": 0, "steps": 8, "flip": True, "shift": 0.5}
    found = batches(textured, split, **options)
    first = {
        batch["images"][row, 0].tobytes()
        for batch in found
        for row in range(2)
        if batch["labels"][row, 0] == 1
    }
    assert len(first) >= 4  # 98 ways to move it


def test_no_unlabelled_images(images):
    split = make_split(images, labelled_per_class=None, validation_per_class=2, query_per_class=4)
    assert split.unlabelled == ()
    labelled = set(images.positions(split.labelled))
    for batch in batches(images, split, **PLAIN):
        assert set(batch["images"][..., 0, 0, 0].reshape(-1).tolist()) <= labelled


def test_ratio_zero(images, split):
    for batch in batches(images, split, ratio=0, steps=2, **PLAIN):
        assert batch["images"].shape == (6, 1, SIDE, SIDE, 3)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Thirty PNG files of 9 x 7 pixels in two class folders."""
    root = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for k in range(30):
        path = root / "xy"[k % 2] / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (7, 9, 3), dtype=np.uint8)).save(path)
    return load_class_folders(root).images


def test_decoding_once_or_anew_is_the_same(folders):
    split = make_split(folders, labelled_per_class=5, validation_per_class=2, query_per_class=2)
    options = {"batch": 4, "steps": 5, "flip": True, "shift": 0.2}
    held = folders.hold(SIDE, 1)
    assert held.pixels is not None
    assert_equal(batches(held, split, **options), batches(folders, split, **options))


def test_encoding_batches_in_order(images):
    positions = np.array([9, 3, 3, 50, 0, 59, 7])
    data = encoding_batches(images, positions, size=SIDE, batch=3)
    assert data.element_spec.shape.as_list() == [None, SIDE, SIDE, 3]
    found = list(data.as_numpy_iterator())
    assert [len(batch) for batch in found] == [3, 3, 1]
    assert np.concatenate(found)[:, 0, 0, 0].tolist() == positions.tolist()


def test_encoding_exactly_full_and_empty(images):
    for count, expected in ((6, [3, 3]), (2, [2]), (0, [])):
        data = encoding_batches(images, np.arange(count), size=SIDE, batch=3)
        assert [len(batch) for batch in data.as_numpy_iterator()] == expected


def test_batches_of_large_images_are_smaller():
    """Batch times the fourth power of the side stays within what it is at 224 px."""
    assert [fitting(256, size) for size in (28, 224, 225, 448, 1024)] == [256, 256, 251, 16, 1]
    assert [fitting(64, size) for size in (160, 384, 518)] == [64, 7, 2]
