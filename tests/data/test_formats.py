"""Endings say which files are looked at; first bytes say what they are."""

import io
import re
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from ssah_tf.data import formats
from ssah_tf.data.decode import decode
from ssah_tf.data.formats import (
    HEIC,
    OF_ENDING,
    PILLOW,
    RAW,
    TABLE,
    endings_read,
    format_of,
    media_read,
    no_image,
    not_read,
    what_to_install,
)
from ssah_tf.system.errors import ImageError


def boxes(major, *others):
    """The first box of a file as cameras write it."""
    body = major + b"\0\0\0\0" + b"".join(others)
    return (8 + len(body)).to_bytes(4, "big") + b"ftyp" + body + b"\0\0\1\0meta"


SAVE = "which is not read; save it as JPEG or PNG"


@pytest.fixture
def without_extras(monkeypatch):
    """Neither pillow-heif nor rawpy is installed."""
    monkeypatch.setattr(formats, "installed", lambda module: module == "PIL._avif")


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (boxes(b"heic", b"mif1", b"heic"), "HEIC"),
        (boxes(b"mif1", b"heic", b"miaf"), "HEIC"),
        (boxes(b"avif", b"mif1", b"miaf"), "AVIF"),
        (boxes(b"mif1", b"miaf", b"avif"), "AVIF"),
        (boxes(b"mif1", b"miaf"), "HEIF"),
        (boxes(b"crx ", b"isom"), "raw"),
        (b"IIRO\x08\0\0\0", "raw"),
        (b"IIU\0\x18\0\0\0", "raw"),
        (b"FUJIFILMCCD-RAW 0201", "other raw"),
        (b"\0\0\0\x0cJXL \r\n\x87\n\0\0", "JPEG XL"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51\0", "JPEG 2000"),
        (b"P6\n640 480\n255\n", "PNM"),
        (b"8BPS\0\1", "Photoshop"),
        (b'<?xml version="1.0"?>\n<svg xmlns="', "SVG"),
        (b" <svg>", "SVG"),
    ],
)
def test_first_bytes(head, name):
    assert format_of(head).name == name


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (boxes(b"mp42", b"isom"), "a video, not an image"),
        (boxes(b"qt  "), "a video, not an image"),
        (b"RIFF\0\0\0\0AVI LIST", "a video, not an image"),
        (b"\xef\xbb\xbf \n<!DOCTYPE html><html>", "a web page, not an image"),
        (b"%PDF-1.7", "a PDF document, not an image"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS, not an image; "),
        (b"", "empty, or not an image"),
        (bytes(100), "empty, or not an image"),
        (b"text", "empty, or not an image"),
    ],
)
def test_first_bytes_of_no_image(head, what):
    assert format_of(head) is None
    assert no_image(head).startswith(what)
    assert message(head).startswith(f"x.jpg: {what}")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF"])
def test_first_bytes_of_what_is_read(kind):
    """Of a damaged file the format is known; a kind that Pillow cannot read is no damage."""
    stream = io.BytesIO()
    Image.new("RGB", (9, 9)).save(stream, kind)
    found = format_of(stream.getvalue())
    assert found.name == ("WebP" if kind == "WEBP" else kind)
    assert found.read
    assert kind in found.pillow


def message(source):
    with pytest.raises(ImageError) as caught:
        decode(source, 8, name="x.jpg")
    return str(caught.value)


def test_messages_of_the_decoder(tmp_path):
    """Bytes, a path and an open file alike."""
    jxl = b"\xff\x0a\xfa\x1f"
    expected = f"x.jpg: a JPEG XL image, {SAVE}"
    (tmp_path / "x.jpg").write_bytes(jxl)
    assert message(jxl) == message(io.BytesIO(jxl)) == message(tmp_path / "x.jpg") == expected
    jpeg = io.BytesIO()
    Image.new("RGB", (9, 9)).save(jpeg, "JPEG")
    twelve_bits = jpeg.getvalue().replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c")
    assert message(twelve_bits) == (
        "x.jpg: begins as a JPEG image, but is damaged or of a kind that is not read"
    )
    assert message(boxes(b"avif")) == (
        "x.jpg: begins as an AVIF image, but is damaged or of a kind that is not read"
    )


def test_the_table():
    """Each ending belongs to one format; what is read is read by one thing."""
    endings = [ending for one in TABLE for ending in one.endings]
    assert len(endings) == len(set(endings)) == len(OF_ENDING)
    assert all(ending == ending.lower() and ending[0] == "." for ending in endings)
    assert not [one for one in TABLE if one.pillow and one.extra]
    assert not [one for one in TABLE if one.media and not one.known]
    assert PILLOW == ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "AVIF")
    needed = {ending for one in TABLE if one.extra for ending in one.endings}
    assert needed == {*HEIC.endings, *RAW.endings}


def test_what_the_extras_bring(without_extras, monkeypatch):
    """Without them their formats are known, and the way to read them is told."""
    base = endings_read()
    assert {".jpg", ".avif"} <= base
    assert not base & {*HEIC.endings, *RAW.endings, ".psd"}
    assert what_to_install([HEIC]) == "pip install 'ssah-tf[heic]'"
    assert what_to_install([RAW, HEIC, RAW]) == "pip install 'ssah-tf[heic,raw]'"
    assert what_to_install([OF_ENDING[".psd"], OF_ENDING[".jpg"]]) == ""
    assert not_read(HEIC) == "a HEIC image: to read it, pip install 'ssah-tf[heic]'"
    assert not_read(OF_ENDING[".psd"]) == f"a Photoshop image, {SAVE}"
    monkeypatch.setattr(formats, "installed", lambda module: module != "rawpy")
    assert endings_read() == base | {*HEIC.endings}
    assert what_to_install([RAW, HEIC]) == "pip install 'ssah-tf[raw]'"
    monkeypatch.setattr(formats, "installed", lambda module: True)
    assert endings_read() == base | {*HEIC.endings, *RAW.endings}
    assert what_to_install([RAW, HEIC]) == ""


def test_extras_are_those_of_the_package():
    """What a message says to install is there, and brings the module that is looked for."""
    file = Path(__file__).parents[2] / "pyproject.toml"
    extras = tomllib.loads(file.read_text())["project"]["optional-dependencies"]
    for one in (HEIC, RAW):
        (package,) = extras[one.extra]
        assert package.split(">")[0].replace("-", "_") == one.module
        assert package in extras["dev"]
    assert formats.installed("no_such_module") is False
    assert formats.installed("no_such_module.inside") is False


@pytest.mark.parametrize("ending", sorted({e for one in TABLE if one.known for e in one.endings}))
def test_every_ending_that_is_looked_at_is_read(tmp_path, files, ending):
    """By what is written for that ending, or for the format."""
    one, red = OF_ENDING[ending], Image.new("RGB", (320, 320), "red")
    kind = {"HEIC": "heic", "AVIF": "avif", "raw": ending[1:]}.get(one.name)
    file = tmp_path / f"x{ending.upper()}"
    if kind is None:
        red.save(file, "MPO" if ending == ".mpo" else one.name.upper())
    else:
        file.write_bytes(files.picture_file(kind, red))
    assert ending in endings_read()
    found = decode(file, 4)[0, 0]
    assert found[0] > 250
    assert found[1:].max() < 5


@pytest.mark.parametrize("extras", [True, False])
def test_the_page_offers_what_is_read(monkeypatch, extras):
    """The file chooser of `ssah serve`, which takes what the decoder takes."""
    from ssah_tf.serve.pages import SEARCH_PAGES, read_pages

    monkeypatch.setattr(formats, "installed", lambda module: extras or module == "PIL._avif")
    page = next(page for page in read_pages(SEARCH_PAGES) if page.path == "/").content.decode()
    (accept,) = re.findall(r'<input type="file"[^>]* accept="([^"]*)"', page)
    offered = accept.split(",")
    assert offered == media_read()
    assert {ending for ending in offered if ending.startswith(".")} == endings_read()
    assert ("image/heic" in offered) == (".dng" in offered) == extras
    assert {"image/jpeg", "image/avif", "image/webp"} <= set(offered)
