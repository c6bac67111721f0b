"""Bursts are photos of one minute with near codes, whatever the times of their files."""

import numpy as np
import pytest
from PIL import ExifTags, Image

from ssah_tf.search.bursts import burst_pairs

TAGS = ExifTags.Base


def photo(path, clock=None, fraction=None, offset=None):
    """A photo whose camera says a time of one day, "HH:MM:SS"."""
    exif = Image.Exif()
    if clock is not None:
        facts = exif.get_ifd(ExifTags.IFD.Exif)
        facts[TAGS.DateTimeOriginal] = f"2024:05:03 {clock}"
        if fraction is not None:
            facts[TAGS.SubsecTimeOriginal] = fraction
        if offset is not None:
            facts[TAGS.OffsetTimeOriginal] = offset
    Image.new("RGB", (16, 16)).save(path, exif=exif)
    return str(path)


@pytest.fixture
def bursts(tmp_path):
    """Bursts of photos by what their cameras say; those that are named have another code."""

    def find(*said, other=(), radius=3):
        paths = [photo(tmp_path / f"{n}.jpg", *what) for n, what in enumerate(said)]
        codes = np.zeros((len(paths), 1), np.uint8)
        codes[list(other)] = 0b1111
        return [(one, found.tolist()) for one, found in burst_pairs(paths, codes, radius)]

    return find


def test_a_minute_from_the_first_on_and_before_it(bursts):
    times = "12:00:30", "12:01:30", "12:01:31", "11:59:30", "11:59:29"
    assert bursts(*((t,) for t in times)) == [(0, [1, 3])]
    assert bursts(*((t,) for t in (*times, "12:02:00"))) == [(0, [1, 3]), (2, [5])]


def test_fractions_count(bursts):
    assert bursts(("12:00:00", "5"), ("12:01:00", "6")) == []
    assert bursts(("12:00:00", "5"), ("12:01:00", "4")) == [(0, [1])]


def test_codes_have_to_be_near(bursts):
    same = [("12:00:00",)] * 4
    assert bursts(*same, other=(1, 3)) == [(0, [2]), (1, [3])]
    assert bursts(*same, other=(1, 3), radius=4) == [(0, [1, 2, 3])]


def test_another_offset_is_another_hour(bursts):
    said = ("12:00:00", None, "+02:00"), ("12:00:01", None, "+01:00"), ("12:00:02",)
    assert bursts(*said) == [(0, [2])]


def test_photos_without_a_time_are_in_no_burst(bursts, tmp_path):
    assert bursts((), (), ("12:00:00",)) == []
    (tmp_path / "odd.jpg").write_bytes(b"no image")
    paths = [str(tmp_path / name) for name in ("odd.jpg", "none.jpg")]
    assert list(burst_pairs(paths, np.zeros((2, 1), np.uint8), 8)) == []
    assert list(burst_pairs([], np.zeros((0, 1), np.uint8), 8)) == []
