import hashlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data import ImageSet
from ssah_tf.data.decode import decode
from ssah_tf.data.image_set import content_digest
from ssah_tf.system.errors import DataError, ImageError


def image_set(labels, **changes):
    labels = np.array(labels, np.uint8)
    n, classes = labels.shape
    values = {
        "name": "set",
        "ids": tuple(f"i{k}" for k in range(n)),
        "labels": labels,
        "classes": tuple("abcdefgh"[:classes]),
        "digests": tuple(f"d{k}" for k in range(n)),
        "pixels": np.arange(n * 12, dtype=np.uint8).reshape(n, 2, 2, 3),
    }
    return ImageSet(**{**values, **changes})


def test_length_and_multi_label():
    assert len(image_set([[1, 0], [0, 1], [0, 0]])) == 3
    assert image_set([[1, 0], [0, 0]]).multi_label is False
    assert image_set([[1, 0], [1, 1]]).multi_label is True


def test_positions_in_the_order_asked_for():
    images = image_set([[1, 0], [0, 1], [0, 0]])
    positions = images.positions(("i2", "i0", "i2"))
    assert positions.dtype == np.int64
    assert positions.tolist() == [2, 0, 2]
    assert images.positions(()).shape == (0,)


def test_unknown_id():
    with pytest.raises(DataError, match=r"^set: 2 images .* for example 'x'$"):
        image_set([[1, 0], [0, 1]]).positions(("i0", "x", "y"))


def test_read_from_memory():
    images = image_set([[1, 0], [0, 1], [0, 0]])
    np.testing.assert_array_equal(images.read(np.array([2, 1]), 2), images.pixels[[2, 1]])


def test_read_from_disk(tmp_path):
    generator = np.random.default_rng(0)
    names = tuple(f"{k}.png" for k in range(5))
    for name in names:
        pixels = generator.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    images = image_set(np.eye(5), ids=names, pixels=None, root=tmp_path)
    order = [3, 0, 3, 4]
    read = images.read(np.array(order), 6)
    assert read.shape == (4, 6, 6, 3)
    assert read.dtype == np.uint8
    for row, k in enumerate(order):
        np.testing.assert_array_equal(read[row], decode(tmp_path / names[k], 6))
    assert images.read(np.array([], np.int64), 6).shape == (0, 6, 6, 3)
    (tmp_path / "0.png").unlink()
    with pytest.raises(ImageError, match=r"0\.png: no such file"):
        images.read(np.array(order), 6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": ("i0", "i0")}, "same id"),
        ({"classes": ("a", "b", "c")}, r"shape \(2, 2\), expected \(2, 3\)"),
        ({"ids": ("i0", "i1", "i2")}, r"expected \(3, 2\)"),
        ({"ids": ()}, "set: no images found"),
    ],
)
def test_refused(changes, message):
    with pytest.raises(DataError, match=message):
        image_set([[1, 0], [0, 1]], **changes)


def test_digest_is_sha256():
    assert content_digest(b"abc") == hashlib.sha256(b"abc").hexdigest()
    assert content_digest(b"abc").startswith("ba7816bf")


def test_held_images_at_another_size_are_resized_by_the_rule():
    pixels = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 3), dtype=np.uint8)
    images = replace(image_set([[1, 0], [0, 1]]), pixels=pixels)
    for k, found in enumerate(images.read(np.array([0, 1]), 5)):
        expected = Image.fromarray(pixels[k]).resize((5, 5), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(found, np.asarray(expected))


def test_what_fits_is_held(tmp_path):
    """Eight images of 100 x 100 x 3 bytes are 240,000: within one MiB, not within none."""
    for k in range(8):
        Image.new("L", (120, 110), k).save(tmp_path / f"{k}.png")
    images = replace(
        image_set(np.eye(8)), ids=tuple(f"{k}.png" for k in range(8)), root=tmp_path, pixels=None
    )
    assert images.hold(100, 0) is images
    held = images.hold(100, 1)
    assert held.pixels.shape == (8, 100, 100, 3)
    for path in tmp_path.iterdir():
        path.unlink()
    assert held.read(np.array([3, 5]), 100)[:, 0, 0, 0].tolist() == [3, 5]
    assert held.hold(100, 0) is held
