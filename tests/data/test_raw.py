"""Raw files: the largest preview, as the camera showed it, or a line that says what to do."""

import io

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data.decode import decode, readable
from ssah_tf.data.raw import SMALLEST, lies_in
from ssah_tf.data.tiff import is_raw
from ssah_tf.system.errors import ImageError

DEVELOP = "develop it and save it as JPEG"
RAW = ("dng", "cr2", "cr3", "nef", "arw", "orf", "rw2")
#: Those that are TIFF files.
OF_TIFF = ("dng", "cr2", "nef", "arw")


@pytest.fixture
def jpeg(files):
    """Makes a preview: red above, blue below, or of one colour."""

    def make(wide=640, high=480, colour=None, **options):
        image = Image.new("RGB", (wide, high), colour or (200, 0, 0))
        if colour is None:
            image.paste((0, 0, 200), (0, high // 2, wide, high))
        return files.saved(image, "JPEG", quality=95, **options)

    return make


def message(content):
    with pytest.raises(ImageError) as caught:
        decode(content, 8, name="x")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def seen(content):
    """Size of the upright picture, and where its red is."""
    with readable(content, 4000) as image:
        pixels = np.asarray(image.rgb()).astype(int)
    red = pixels[..., 0] > pixels[..., 2]
    high, wide = red.shape
    sides = {
        "above": red[: high // 2].mean(),
        "below": red[high // 2 :].mean(),
        "left": red[:, : wide // 2].mean(),
        "right": red[:, wide // 2 :].mean(),
    }
    return (wide, high), max(sides, key=sides.__getitem__)


@pytest.mark.parametrize("sides", [(320, 640, 1280), (1280, 640, 320), (640, 1280, 320)])
def test_the_largest_preview(files, jpeg, sides):
    previews = [jpeg(side, side * 3 // 4) for side in sides]
    assert seen(files.raw_file("dng", previews)) == ((1280, 960), "above")


@pytest.mark.parametrize("kind", RAW)
def test_a_small_preview_is_refused(files, jpeg, kind):
    """Thumbnails of a camera's screen would be coded as if they were photos."""
    assert message(files.raw_file(kind, [jpeg(300, SMALLEST - 1)])) == (
        f"x: a raw image whose preview has 300 x 239 pixels, fewer than 240 on a side; {DEVELOP}"
    )
    assert decode(files.raw_file(kind, [jpeg(300, SMALLEST)]), 8).shape == (8, 8, 3)


def test_without_a_preview(files):
    """The picture without compression in the first directory is one; without that there is none."""
    assert message(files.raw_file("dng")) == (
        f"x: a raw image whose preview has 160 x 120 pixels, fewer than 240 on a side; {DEVELOP}"
    )
    content = files.Tiff(b"II*\0".ljust(24, b"\0"))
    maker = [(271, files.ASCII, b"Test\0"), (272, files.ASCII, b"Camera\0")]
    saw = content.put(files.sensor())
    mosaic = (33421, files.SHORT, (2, 2)), (33422, files.BYTE, bytes([0, 1, 1, 2]))
    tags = files.picture(saw, 2 * files.WIDE * files.HIGH, files.WIDE, files.HIGH, 32803, (16,))
    tags += [*mosaic, *maker, *files.DNG]
    alone = content.begin(content.directory(tags))
    assert is_raw(io.BytesIO(alone))
    assert message(alone) == f"x: a raw image without a preview; {DEVELOP}"


def test_what_libraw_does_not_know():
    assert message(b"IIRO\x08\0\0\0" + bytes(100)) == (
        f"x: a raw image of a kind that LibRaw does not know; {DEVELOP}"
    )


@pytest.mark.parametrize("kind", RAW)
def test_a_preview_that_is_cut_off(files, jpeg, kind):
    """What LibRaw then hands out is partly what memory held before, such as the whole preview."""
    content = files.raw_file(kind, [jpeg()])
    at = content.index(jpeg()[-300:])
    for _ in range(5):
        assert seen(content) == ((640, 480), "above")
        assert message(content[:at]).startswith("x: ")


def test_a_flat_preview_whose_end_is_like_its_middle():
    """Memory behind the end of the file went on as the picture does."""
    preview = bytes(range(256)) * 8 + b"(\xa2\x80\n" * 1000
    with_header = b"\xff\xd8" + bytes(1386) + preview[2:]
    assert lies_in(with_header, b"before" + preview + b"behind")
    assert not lies_in(preview, b"before" + preview[:-300])
    assert lies_in(preview[:100], b"before" + preview[:100])
    assert not lies_in(preview[:100], b"before" + preview[:99])


@pytest.mark.parametrize(
    ("orientation", "where"), [(1, "above"), (3, "below"), (6, "right"), (8, "left")]
)
def test_a_preview_without_compression_is_turned(files, orientation, where):
    """LibRaw hands out pixels, and says how the photo lies."""
    pixels = np.zeros((300, 400, 3), np.uint8)
    pixels[:150], pixels[150:] = (200, 0, 0), (0, 0, 200)
    size = (400, 300) if orientation < 5 else (300, 400)
    content = files.raw_file("dng", orientation=orientation, small=pixels)
    assert seen(content) == (size, where)


@pytest.mark.parametrize("kind", RAW)
def test_a_preview_that_says_itself_how_it_lies(files, jpeg, kind):
    """Its own word counts, once, where it begins with EXIF as cameras write it."""
    own = Image.Exif()
    own[274] = 6
    whole = jpeg(exif=own)
    jfif = whole.index(b"\xff\xe0")
    length = int.from_bytes(whole[jfif + 2 : jfif + 4], "big")
    as_cameras = whole[:jfif] + whole[jfif + 2 + length :]
    assert as_cameras[2:4] == b"\xff\xe1"
    for orientation in (1, 6):
        content = files.raw_file(kind, [as_cameras], orientation)
        assert seen(content) == ((480, 640), "right")


@pytest.mark.parametrize("kind", RAW)
def test_a_preview_that_was_turned_already(files, jpeg, kind):
    """It stands, while what the sensor saw lies: it is not turned once more."""
    content = files.raw_file(kind, [jpeg(480, 640)], 6)
    assert seen(content) == ((480, 640), "above")


@pytest.mark.parametrize("kind", OF_TIFF)
def test_first_bytes_and_tags_say_what_a_file_is(files, jpeg, tmp_path, kind):
    """Under any name the same pixels: never the small picture that a TIFF reader finds first."""
    content = files.raw_file(kind, [jpeg()])
    assert is_raw(io.BytesIO(content))
    expected = decode(content, 32)
    for name in ("x.tif", "x.jpg", "x", f"x.{kind}"):
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(decode(tmp_path / name, 32), expected)


def test_other_tiff_files_are_no_raw_files(files):
    """Also those that a camera or scanner wrote, with copies of other sizes below."""
    for options in ({}, {"compression": "tiff_lzw"}, {"tiffinfo": {271: "Canon", 254: 0}}):
        content = files.saved(Image.new("RGB", (9, 9), "red"), "TIFF", **options)
        stream = io.BytesIO(content)
        stream.seek(5)
        assert not is_raw(stream)
        assert stream.tell() == 5
    below = files.Tiff(b"II*\0".ljust(24, b"\0"))
    place = below.put(bytes(300))
    small = below.directory([*files.picture(place, 300, 10, 10, 2, (8, 8, 8)), (254, 4, (1,))])
    tags = files.picture(place, 300, 10, 10, 2, (8, 8, 8), (254, 4, (0,)), (330, 4, (small,)))
    pyramid = below.begin(below.directory([*tags, (271, 2, b"Scanner\0")]))
    assert not is_raw(io.BytesIO(pyramid))
    assert decode(pyramid, 4).shape == (4, 4, 3)
    for damaged in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\1", bytes(20)):
        assert not is_raw(io.BytesIO(damaged))
