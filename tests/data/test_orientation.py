"""Hashes of mirrored and turned pictures follow from those of the upright ones."""

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data.orientation import ORIENTATIONS, UPRIGHT, Orientation, between, to_standard
from ssah_tf.data.perceptual_hash import perceptual_hash


def picture(seed):
    low = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(low).resize((96, 96), Image.Resampling.BICUBIC))


def hashed(pixels):
    return np.frombuffer(perceptual_hash(np.ascontiguousarray(pixels)), np.uint8)[None]


def test_pixels_of_every_orientation_by_pillow():
    """Transposed first, then upside down, then mirrored; each of the eight once."""
    way = Image.Transpose
    expected = {
        (False, False, True): (way.FLIP_LEFT_RIGHT, "mirrored"),
        (False, True, False): (way.FLIP_TOP_BOTTOM, "turned"),
        (False, True, True): (way.ROTATE_180, "turned"),
        (True, False, False): (way.TRANSPOSE, "turned"),
        (True, False, True): (way.ROTATE_270, "turned"),
        (True, True, False): (way.ROTATE_90, "turned"),
        (True, True, True): (way.TRANSVERSE, "turned"),
    }
    pixels = picture(0)[:60]  # not a square
    assert ORIENTATIONS[0] == UPRIGHT
    np.testing.assert_array_equal(UPRIGHT.pixels(pixels), pixels)
    assert UPRIGHT.kind == "upright"
    for flags, (transpose, kind) in expected.items():
        orientation = Orientation(*flags)
        assert orientation in ORIENTATIONS
        turned = np.asarray(Image.fromarray(pixels).transpose(transpose))
        np.testing.assert_array_equal(orientation.pixels(pixels), turned)
        assert orientation.kind == kind


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_a_hash_turns_as_its_picture_does(orientation):
    for seed in range(8):
        upright, turned = hashed(picture(seed)), hashed(orientation.pixels(picture(seed)))
        assert np.bitwise_count(orientation.hashes(upright) ^ turned).sum() <= 8
        if orientation != UPRIGHT:
            assert np.bitwise_count(upright ^ turned).sum() > 20


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=str)
def test_the_way_between_two_pictures_follows_from_their_standard_forms(orientation):
    one = picture(3)
    for seen in ORIENTATIONS:
        first = hashed(seen.pixels(one))
        second = hashed(orientation.pixels(seen.pixels(one)))
        forms = []
        for code in (first, second):
            upside_down, mirrored = to_standard(code)[0].tolist()
            forms.append(Orientation(False, upside_down, mirrored).hashes(code))
        transposed = bool(np.bitwise_count(forms[0] ^ forms[1]).sum() > 30)
        if transposed:
            forms[0] = Orientation(transposed=True).hashes(forms[0])
        assert np.bitwise_count(forms[0] ^ forms[1]).sum() <= 12
        (way,) = between(to_standard(first)[0], to_standard(second), transposed)
        assert ORIENTATIONS[way] == orientation
