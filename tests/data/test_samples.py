"""Ranges and polarity, by hand."""

import numpy as np
import pytest

from ssah_tf.data.perceptual_hash import is_flat
from ssah_tf.data.samples import Samples, depth, eight_bits
from ssah_tf.system.errors import ImageError


@pytest.mark.parametrize(
    ("largest", "bits", "expected"),
    [
        (0, 16, 8),
        (255, 16, 8),
        (256, 16, 10),
        (1023, 16, 10),
        (1024, 16, 12),
        (4095, 16, 12),
        (4096, 16, 14),
        (16384, 16, 16),
        (65535, 32, 16),
        (65536, 32, 18),
        (2**31, 32, 32),
        (2**31 - 1, 31, 31),
        (32767, 15, 15),
    ],
)
def test_depth(largest, bits, expected):
    assert depth(largest, bits) == expected


@pytest.mark.parametrize(
    ("dtype", "values", "about", "expected"),
    [
        # 16 bits, full: the upper byte.
        (np.uint16, [0, 0x80FF, 0xFFFF], Samples(16), [0, 0x80, 0xFF]),
        (np.uint16, [0, 2048, 4095], Samples(16), [0, 128, 255]),  # 12 in 16
        (np.uint16, [0, 512, 1023], Samples(16), [0, 128, 255]),  # 10 in 16
        (np.uint16, [0, 128, 255], Samples(16), [0, 128, 255]),  # 8 in 16
        (np.uint16, [0, 2048, 4095], Samples(16, largest=65535), [0, 8, 15]),  # declared
        (np.uint16, [0, 100, 900], Samples(16, largest=4095), [0, 6, 56]),
        (np.uint16, [0, 100, 900], Samples(12), [0, 6, 56]),  # packed: the depth is known
        (np.uint16, [0, 0x80FF, 0xFFFF], Samples(16, white_is_zero=True), [255, 127, 0]),
        (np.uint16, [0, 2048, 4095], Samples(16, white_is_zero=True), [255, 127, 0]),
        (np.int32, [-32768, 0, 32767], Samples(16, True), [0, 128, 255]),
        (np.int32, [0, 16384, 32767], Samples(16, True), [0, 128, 255]),
        (np.int32, [0, 16384, 32767], Samples(16, True, smallest=-32768), [128, 192, 255]),
        (np.int8, [-128, 0, 127], Samples(8, True), [0, 128, 255]),
        (np.int8, [0, 64, 127], Samples(8, True), [0, 128, 255]),
        (np.uint32, [0, 2**31, 2**32 - 1], Samples(32), [0, 128, 255]),
        (np.uint32, [0, 128, 255], Samples(32), [0, 128, 255]),
        (np.int32, [0, 2**30, 2**31 - 1], Samples(32, True), [0, 128, 255]),
        (np.int32, [-(2**31), 0, 2**31 - 1], Samples(32, True), [0, 128, 255]),
        (np.float32, [0, 0.5, 1], Samples(32), [0, 128, 255]),
        (np.float32, [-0.01, 0.5, 1.04], Samples(32), [0, 128, 255]),  # clipped
        (np.float32, [0, 0.1, 0.2], Samples(32), [0, 26, 51]),  # dark stays dark
        (np.float32, [0, 128, 255], Samples(32), [0, 128, 255]),
        (np.float32, [0, 32896, 65535], Samples(32), [0, 128, 255]),
        (np.float32, [0, 0.5, 1], Samples(32, white_is_zero=True), [255, 127, 0]),
        (np.float32, [0, 0, 0], Samples(32), [0, 0, 0]),
    ],
)
def test_levels(dtype, values, about, expected):
    np.testing.assert_array_equal(eight_bits(np.array(values, dtype), about), expected)


@pytest.mark.parametrize(
    "values", [[0, np.nan], [0, np.inf], [0, 1.5], [-1, 1], [-100, 255], [0, 1e12]]
)
def test_floats_of_no_known_range(values):
    with pytest.raises(ImageError) as caught:
        eight_bits(np.array(values, np.float32), Samples(32))
    assert len(str(caught.value).splitlines()) == 1


def test_flat():
    assert is_flat(np.full((8, 8, 3), 77, np.uint8))
    assert is_flat(np.broadcast_to(np.array([9, 90, 200], np.uint8), (8, 8, 3)))
    assert not is_flat(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
