"""What cameras say of a photo is read, and nothing of it is believed."""

import os

import pytest
from PIL import ExifTags, Image

from ssah_tf.data.exif import camera, degrees, place, read_exif

TAGS, GPS = ExifTags.Base, ExifTags.GPS


@pytest.mark.parametrize(
    ("maker", "model", "name"),
    [
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("NIKON CORPORATION", "NIKON D750\0", "NIKON D750"),
        ("Canon", "Canon EOS\x07 R6 ", "Canon EOS R6"),
        (None, "X100", "X100"),
        ("Sony", None, ""),
        ("Sony", "", ""),
        (5, b"x", ""),
        ("a", "x" * 500, "a " + "x" * 78),
    ],
)
def test_camera(maker, model, name):
    exif = Image.Exif()
    exif[TAGS.Make], exif[TAGS.Model] = maker, model
    assert camera(exif) == name


@pytest.mark.parametrize(
    ("parts", "side", "found"),
    [
        ((59, 18, 36), "N", 59.31),
        ((59, 18, 36), "s\0", -59.31),
        ((90, 0, 0), "N", 90),
        ((90, 0, 1), "N", None),
        ((-1, 0, 0), "N", None),
        ((1, 2), "N", None),
        ((float("nan"), 0, 0), "N", None),
        ("N", "N", None),
        (None, "N", None),
        ((1, 2, 3), "E", None),
        ((1, 2, 3), "NS", None),
        ((1, 2, 3), None, None),
    ],
)
def test_degrees(parts, side, found):
    assert degrees(parts, side, "NS", 90) == (found if found is None else pytest.approx(found))


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_they_are_read_from_a_file(tmp_path, ending):
    path = tmp_path / f"photo.{ending}"
    exif = Image.Exif()
    exif[TAGS.Model] = "X100"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({
        GPS.GPSLatitudeRef: "S", GPS.GPSLatitude: (33.0, 51.0, 0.0),
        GPS.GPSLongitudeRef: "E", GPS.GPSLongitude: (151.0, 12.0, 0.0),
    })  # fmt: skip
    Image.new("RGB", (64, 48)).save(path, exif=exif.tobytes())
    with open(path, "rb") as stream:
        for file in (path, str(path), stream):
            found = read_exif(file)
            assert camera(found) == "X100"
            assert place(found) == pytest.approx((-33.85, 151.2))
    Image.new("RGB", (64, 48)).save(path)
    assert (camera(read_exif(path)), place(read_exif(path))) == ("", None)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert not read_exif(tmp_path / "pipe.jpg")
