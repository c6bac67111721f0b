"""The code of a class is the bitwise majority of the codes of its images."""

import numpy as np
import pytest

from ssah_tf.metrics import LabelLists, class_codes, hamming_distances, majority_code


def rows(*texts):
    return np.packbits(np.array([[*map(int, text)] for text in texts], np.uint8), axis=1)


def test_by_hand():
    """Bits 0 to 4 are 1 in 3, 2, 1, 2 and 0 of 3 codes; padding stays 0."""
    assert majority_code(rows("11010", "10010", "11100")).tolist() == rows("11010").tolist()
    assert majority_code(rows("01101")).tolist() == rows("01101").tolist()


def test_a_tied_bit_is_one():
    """As sign(0) is +1: of two codes it is the bitwise or, and padding is no tie."""
    assert majority_code(rows("1100", "1010")).tolist() == rows("1110").tolist()
    assert majority_code(rows("1000", "1000", "0001", "0001")).tolist() == rows("1001").tolist()


@pytest.mark.parametrize("count", [1, 2, 7, 70_000])
def test_no_code_is_nearer_to_all(count):
    """Against NumPy's mean in {-1, +1}, more codes than a chunk; and against every single flip."""
    codes = np.random.default_rng(count).integers(0, 256, (count, 3), dtype=np.uint8)
    signs = 2.0 * np.unpackbits(codes, axis=1) - 1
    found = majority_code(codes)
    assert found.tolist() == np.packbits(signs.mean(axis=0) >= 0)[None].tolist()
    if count < 10:
        flips = found ^ np.packbits(np.eye(24, dtype=np.uint8), axis=1)
        assert (
            hamming_distances(flips, codes).sum(1) >= hamming_distances(found, codes).sum()
        ).all()


@pytest.mark.parametrize(
    "codes", [np.zeros((0, 2), np.uint8), np.zeros(2, np.uint8), np.ones((2, 2))]
)
def test_what_is_no_codes(codes):
    with pytest.raises(ValueError, match=r"expected packed uint8 \(m, bytes\)"):
        majority_code(codes)


def test_each_class_with_images_has_one():
    """Image 1 has two labels and counts for both; class 1 has no image."""
    codes = rows("1100", "1010", "1001", "0001")
    labels = LabelLists.of(np.array([[1, 0, 0], [1, 0, 1], [1, 0, 0], [0, 0, 0]], np.uint8))
    found, classes = class_codes(codes, labels)
    assert found.tolist() == rows("1000", "1010").tolist()
    assert [classes[i].tolist() for i in range(len(classes))] == [[0], [2]]
    assert classes.classes == 3
    nothing = class_codes(codes[3:], labels.take(np.array([3])))
    assert nothing[0].shape == (0, 1)
    assert len(nothing[1]) == 0
