import numpy as np
import pytest
from PIL import Image

from ssah_tf.data import ImageSet, Split, load_fashion
from ssah_tf.training.choose.traits import Traits, plainness


def set_of(pixels, labels, root=None, ids=None):
    n = len(labels)
    return ImageSet(
        name="set",
        ids=ids or tuple(map(str, range(n))),
        labels=np.array(labels, np.uint8),
        classes=tuple(f"class {c}" for c in range(len(labels[0]))),
        digests=tuple(map(str, range(n))),
        pixels=pixels,
        root=root,
    )


def split_of(images, labelled, validation, unlabelled=()):
    def ids(rows):
        return tuple(images.ids[row] for row in rows)

    return Split(ids(labelled), ids(validation), ids(unlabelled), (), (), 0, "a split")


def test_labels_are_counted_by_class(rng):
    """Three classes with 3, 2 and 1 labels that train or validate; the last validates none."""
    labels = [[1, 0, 0]] * 3 + [[0, 1, 0]] * 2 + [[0, 0, 1]] * 2
    images = set_of(rng.integers(0, 256, (7, 30, 30, 3), dtype=np.uint8), labels)
    traits = Traits.of(images, split_of(images, [0, 1, 3, 5], [2, 4], [6]))
    assert (traits.labelled, traits.validation) == (6, 2)
    assert (traits.per_class, traits.classes, traits.unmeasured) == (2, 3, 1)
    assert traits.side == 30


def test_plainness():
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:2, :, 0] = 255
    pixels[0, 0] = (9, 9, 9)  # differs from black by less than is told apart
    assert plainness(pixels) == pytest.approx(9 / 16)


def test_noise_is_like_photographs_and_clothes_on_black_are_not(rng):
    labels = [[1, 0]] * 2 + [[0, 1]] * 2
    noise = set_of(rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8), labels)
    assert Traits.of(noise, split_of(noise, [0, 2], [1, 3])).like_photographs
    fashion = load_fashion()
    assert not Traits.of(fashion, split_of(fashion, [0, 1, 2], [3, 4])).like_photographs


def test_large_drawings_are_for_a_backbone_that_knows_photographs(tmp_path):
    """Nothing is learnt from scratch at such a size; sides are read from the headers."""
    for number in range(4):
        Image.new("RGB", (300, 200 + number)).save(tmp_path / f"{number}.png")
    names = tuple(f"{number}.png" for number in range(4))
    images = set_of(None, [[1, 0], [1, 0], [0, 1], [0, 1]], tmp_path, names)
    traits = Traits.of(images, split_of(images, [0, 2], [1, 3]))
    assert traits.side == 201.5
    assert traits.plain == 1
    assert traits.like_photographs
