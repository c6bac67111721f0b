"""When a photo was taken is what its EXIF data say, whatever else they say."""

from datetime import date

import pytest
from PIL import ExifTags, Image

from ssah_tf.data.capture_time import Moment, capture_time, parse_moment

TAGS = ExifTags.Base
#: Seconds from the year 1 to 2024-05-03 12:33:10.
NOON = (date(2024, 5, 3).toordinal() - 1) * 86_400 + 12 * 3600 + 33 * 60 + 10


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        (("2024:05:03 12:33:10",), Moment(NOON)),
        (("2024:05:03 12:33:10\0",), Moment(NOON)),
        (("2024:05:03 12:33:10", "250"), Moment(NOON + 0.25)),
        (("2024:05:03 12:33:10", "05 "), Moment(NOON + 0.05)),
        (("2024:05:03 12:33:10", None, "+02:00"), Moment(NOON, 7200)),
        (("2024:05:03 12:33:10", "5", "-03:30"), Moment(NOON + 0.5, -12_600)),
        (("2024:05:03 12:33:10", "x", "two hours"), Moment(NOON)),
        (("2024:05:03 12:33:10", 7, 7), Moment(NOON)),
        (("2024:05:03 12:33:10", "²", "+٠٢:٠٠"), Moment(NOON)),
        (("0000:00:00 00:00:00",), None),
        (("1970:01:01 00:00:00",), None),
        (("    :  :     :  :  ",), None),
        (("2024-05-03",), None),
        ((None,), None),
        ((20240503,), None),
    ],
)
def test_what_exif_says(said, moment):
    assert parse_moment(*said) == moment


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "avif"])
def test_it_is_read_from_a_file(tmp_path, ending):
    path = tmp_path / f"photo.{ending}"
    exif = Image.Exif()
    exif[TAGS.Make] = "Maker"
    exif.get_ifd(ExifTags.IFD.Exif).update({
        TAGS.DateTimeOriginal: "2024:05:03 12:33:10",
        TAGS.SubsecTimeOriginal: "5",
        TAGS.OffsetTimeOriginal: "+02:00",
    })  # fmt: skip
    Image.new("RGB", (64, 48)).save(path, exif=exif.tobytes())
    assert capture_time(path) == Moment(NOON + 0.5, 7200)
    Image.new("RGB", (64, 48)).save(path)
    assert capture_time(path) is None


def test_files_that_say_nothing(tmp_path):
    assert capture_time(tmp_path / "none.jpg") is None
    for content in (b"", b"text", b"\xff\xd8\xff\xe1\x00\x10Exif\x00\x00garbage"):
        (tmp_path / "odd.jpg").write_bytes(content)
        assert capture_time(tmp_path / "odd.jpg") is None
