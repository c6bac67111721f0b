"""What belongs to a photo: by name and ending, and to no other picture of that name."""

import os

import pytest

from ssah_tf.data.side_files import side_files


@pytest.mark.parametrize(
    ("photo", "others", "found"),
    [
        ("a.jpg", "a.xmp a.AAE a.jpg.xmp", "a.xmp a.AAE a.jpg.xmp"),
        ("a.JPG", "a.MOV a.mp4 a.txt ab.xmp a.jpg.xmp", "a.MOV"),
        ("a.heic", "a.mov a.dng a.dng.xmp", "a.mov a.dng a.dng.xmp"),
        ("a.png", "a.mov a.xmp", "a.xmp"),
        ("a.dng", "a.xmp a.dng.xmp", "a.xmp a.dng.xmp"),
        ("a.dng", "a.jpg a.xmp a.dng.xmp", "a.dng.xmp"),
        ("a.jpg", "a.png a.xmp a.jpg.xmp a.cr2 a.cr2.xmp", "a.jpg.xmp"),
        ("a.b.jpg", "a.xmp a.b.xmp a.b.c.xmp", "a.b.xmp"),
    ],
)
def test_side_files(tmp_path, photo, others, found):
    for name in (photo, *others.split()):
        (tmp_path / name).touch()
    paths = [os.path.join(tmp_path, name) for name in sorted(found.split())]
    assert side_files(str(tmp_path / photo)) == paths


def test_links_and_folders_do_not_belong(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.xmp").symlink_to("a.jpg")
    (tmp_path / "a.mov").mkdir()
    assert side_files(str(tmp_path / "a.jpg")) == []


def test_photos_that_go_together(tmp_path):
    """Of another folder, a picture of that name says nothing."""
    (tmp_path / "b").mkdir()
    for name in ("a.jpg", "a.png", "a.xmp", "b/a.png"):
        (tmp_path / name).touch()
    photo, beside, elsewhere = (str(tmp_path / name) for name in ("a.jpg", "a.png", "b/a.png"))
    assert side_files(photo, [beside]) == [str(tmp_path / "a.xmp")]
    assert side_files(photo, [elsewhere]) == []
