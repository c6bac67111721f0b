"""Endings say which files are looked at; first bytes say what they are."""

import io
import re
from importlib import resources

import pytest
from PIL import Image

from ssah_tf.data.decode import decode
from ssah_tf.data.formats import PASSED_OVER, READ, SUFFIXES, begins_as, not_read
from ssah_tf.system.errors import ImageError


def boxes(major, *others):
    """The first box of a file as cameras write it."""
    body = major + b"\0\0\0\0" + b"".join(others)
    return (8 + len(body)).to_bytes(4, "big") + b"ftyp" + body + b"\0\0\1\0meta"


SAVE = "which is not read; save it as JPEG or PNG"


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (boxes(b"heic", b"mif1", b"heic"), f"a HEIC image, {SAVE}"),
        (boxes(b"mif1", b"heic", b"miaf"), f"a HEIC image, {SAVE}"),
        (boxes(b"avif", b"mif1", b"miaf"), f"an AVIF image, {SAVE}"),
        (boxes(b"mif1", b"miaf", b"avif"), f"an AVIF image, {SAVE}"),
        (boxes(b"mif1", b"miaf"), f"a HEIF image, {SAVE}"),
        (boxes(b"crx ", b"isom"), f"a raw image of a camera, {SAVE}"),
        (boxes(b"mp42", b"isom"), "a video, not an image"),
        (boxes(b"qt  "), "a video, not an image"),
        (b"\0\0\0\x0cJXL \r\n\x87\n\0\0", f"a JPEG XL image, {SAVE}"),
        (b"\xff\x0a\xfa\x1f", f"a JPEG XL image, {SAVE}"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", f"a JPEG 2000 image, {SAVE}"),
        (b"\xff\x4f\xff\x51\0", f"a JPEG 2000 image, {SAVE}"),
        (b"P6\n640 480\n255\n", f"a PNM image, {SAVE}"),
        (b"8BPS\0\1", f"a Photoshop image, {SAVE}"),
        (b'<?xml version="1.0"?>\n<svg xmlns="', f"an SVG drawing, {SAVE}"),
        (b"\xef\xbb\xbf \n<!DOCTYPE html><html>", "a web page, not an image"),
        (b"%PDF-1.7", "a PDF document, not an image"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS, not an image; "),
        (b"", None),
        (bytes(100), None),
        (b"text", None),
    ],
)
def test_first_bytes_of_what_is_not_read(head, what):
    found = not_read(head)
    assert found == what if what is None else found.startswith(what)
    assert begins_as(head) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_first_bytes_of_what_is_read(kind):
    """Of a damaged file the format is known; a kind that Pillow cannot read is no damage."""
    stream = io.BytesIO()
    Image.new("RGB", (9, 9)).save(stream, kind)
    assert begins_as(stream.getvalue()) == ("WebP" if kind == "WEBP" else kind)


def message(source):
    with pytest.raises(ImageError) as caught:
        decode(source, 8, name="x.jpg")
    return str(caught.value)


def test_messages_of_the_decoder(tmp_path):
    """Bytes, a path and an open file alike."""
    avif = io.BytesIO()
    Image.new("RGB", (40, 40), "red").save(avif, "AVIF")
    expected = f"x.jpg: an AVIF image, {SAVE}"
    (tmp_path / "x.jpg").write_bytes(avif.getvalue())
    assert message(avif.getvalue()) == message(avif) == message(tmp_path / "x.jpg") == expected
    jpeg = io.BytesIO()
    Image.new("RGB", (9, 9)).save(jpeg, "JPEG")
    twelve_bits = jpeg.getvalue().replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c")
    assert message(twelve_bits) == (
        "x.jpg: begins as a JPEG image, but is damaged or of a kind that is not read"
    )
    assert message(b"") == message(b"text") == "x.jpg: empty, or not an image"


@pytest.mark.parametrize("ending", sorted(SUFFIXES))
def test_every_ending_that_is_looked_at_is_read(tmp_path, ending):
    """By what Pillow itself writes for that ending, or for the format."""
    kind = next(name for name, endings in READ.items() if ending in endings)
    file = tmp_path / f"x{ending}"
    Image.new("RGB", (9, 9), "red").save(file, "MPO" if ending == ".mpo" else kind.upper())
    red = decode(file, 4)[0, 0]
    assert red[0] > 250
    assert red[1:].max() < 5


def test_the_page_offers_what_is_read():
    """The file chooser of `ssah serve`, which takes what the decoder takes."""
    page = (resources.files("ssah_tf.serve") / "web" / "search.html").read_text("utf-8")
    (accept,) = re.findall(r'<input type="file"[^>]* accept="([^"]*)"', page)
    offered = accept.split(",")
    assert {ending for ending in offered if ending.startswith(".")} == SUFFIXES
    assert {kind for kind in offered if not kind.startswith(".")} == {
        f"image/{name.lower()}" for name in READ
    }
    assert not SUFFIXES & PASSED_OVER
