"""Photos of phones and cameras through the one decode rule: upright, sRGB, 8 bits, one picture."""

import io
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data import formats
from ssah_tf.data.boxes import nclx
from ssah_tf.data.decode import decode, readable
from ssah_tf.system.errors import ImageError

HEIC_AND_AVIF = ("heic", "avif")
RAW = ("dng", "cr2", "cr3", "nef", "arw", "orf", "rw2")
#: Formats that know an orientation.
KINDS = ("jpg", "png", "webp", "tif", *HEIC_AND_AVIF, *RAW)
#: Colours of the quarters of `quarters`: two above, two below.
ABOVE, BELOW = ((255, 0, 0), (0, 255, 0)), ((0, 0, 255), (255, 255, 0))
#: Red of sRGB in Display P3.
P3_RED = (234, 51, 35)


def quarters(wide=320, high=320):
    """A picture of four colours."""
    array = np.zeros((high, wide, 3), np.uint8)
    for row, colours in enumerate((ABOVE, BELOW)):
        for column, colour in enumerate(colours):
            rows = slice(row * high // 2, (row + 1) * high // 2)
            array[rows, column * wide // 2 : (column + 1) * wide // 2] = colour
    return Image.fromarray(array)


def shown(content):
    """The colours of the quarters of a file."""
    pixels = decode(content, 16).astype(int)
    return pixels[[2, 2, 13, 13], [2, 13, 2, 13]]


def flat(colour, side=320):
    return Image.new("RGB", (side, side), colour)


def message(content, **options):
    with pytest.raises(ImageError) as caught:
        decode(content, 8, name="x", **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_upright(files, tmp_path, kind, orientation):
    """Turned once, by whoever turns it; the same from a path, from bytes and from an open file."""
    size = (640, 320) if orientation < 5 else (320, 640)  # a camera's pixels lie on the longer side
    content = files.picture_file(kind, quarters(*size), orientation)
    np.testing.assert_allclose(shown(content), [*ABOVE, *BELOW], atol=6)
    (tmp_path / "x.jpg").write_bytes(content)
    with readable(content, 2000) as image:
        assert image.size == size
    expected = decode(content, 16)
    with open(tmp_path / "x.jpg", "rb") as stream:
        stream.seek(7)
        np.testing.assert_array_equal(decode(stream, 16), expected)
    np.testing.assert_array_equal(decode(tmp_path / "x.jpg", 16), expected)
    np.testing.assert_array_equal(decode(str(tmp_path / "x.jpg"), 16), expected)


def test_words_beside_the_boxes_do_not_turn(files):
    """In HEIC and AVIF only boxes do; EXIF and XMP may be left from another program."""
    content = files.picture_file("heic", quarters())
    word = struct.pack(">HHIH", 274, 3, 1, 1)
    assert content.count(word) == 1
    turned = content.replace(word, struct.pack(">HHIH", 274, 3, 1, 6))
    np.testing.assert_allclose(shown(turned), [*ABOVE, *BELOW], atol=6)
    packet = b'<x xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    content = files.saved(quarters(), "AVIF", xmp=packet)
    assert Image.open(io.BytesIO(content)).getexif()[274] == 6  # what Pillow alone makes of it
    np.testing.assert_allclose(shown(content), [*ABOVE, *BELOW], atol=12)


@pytest.mark.parametrize("name", ["display p3", "srgb formula", "adobe"])
@pytest.mark.parametrize("kind", ["jpg", "webp", "tif", *HEIC_AND_AVIF, *RAW])
def test_profiles(files, profiles, kind, name):
    """As a PNG file with the same colours and profile, which `test_colour.py` looks at."""
    image = flat((200, 90, 60))
    expected = decode(files.saved(image, "PNG", icc_profile=profiles[name]), 8)
    found = decode(files.picture_file(kind, image, icc_profile=profiles[name]), 8)
    np.testing.assert_allclose(found.astype(int), expected.astype(int), atol=3)


def coded(files, kind, colour, primaries, transfer):
    """A file whose colours are named by code points."""
    content = files.picture_file(kind, flat(colour))
    at = content.index(b"nclx") + 4
    return content[:at] + struct.pack(">HH", primaries, transfer) + content[at + 4 :]


@pytest.mark.parametrize(
    ("primaries", "transfer", "colour", "expected"),
    [
        (12, 13, P3_RED, (255, 0, 0)),
        (12, 2, P3_RED, (255, 0, 0)),  # its curve is not specified
        (1, 13, (200, 90, 60), (200, 90, 60)),
        (2, 2, (200, 90, 60), (200, 90, 60)),
        (1, 8, (55, 55, 55), (128, 128, 128)),  # linear light
        (10, 13, (200, 90, 60), (200, 90, 60)),  # not known here
    ],
)
@pytest.mark.parametrize("kind", HEIC_AND_AVIF)
def test_code_points(files, kind, primaries, transfer, colour, expected):
    content = coded(files, kind, colour, primaries, transfer)
    assert nclx(io.BytesIO(content)) == (primaries, transfer)
    np.testing.assert_allclose(decode(content, 8)[4, 4].astype(int), expected, atol=4)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ (HDR)"), (18, "HLG (HDR)")])
@pytest.mark.parametrize("kind", HEIC_AND_AVIF)
def test_brightness_of_hdr_is_refused_by_name(files, profiles, kind, transfer, name):
    content = coded(files, kind, (90, 90, 90), 9, transfer)
    assert message(content) == f"x: brightness coded as {name} is not read"
    with_profile = files.picture_file(kind, flat((90, 90, 90)), icc_profile=profiles["adobe"])
    decode(with_profile, 8)  # a profile counts more


def test_code_points_that_cannot_be_found():
    """The decoder says what it thinks of a file; here there is just nothing."""
    ftyp = b"\0\0\0\x10ftypavif\0\0\0\0"
    for rest in (b"", b"\0\0\0\x08meta", b"\0\0\0\1meta", b"\0\0\0\0mdat1234", b"\0\0\0\x09free"):
        stream = io.BytesIO(ftyp + rest)
        stream.seek(3)
        assert nclx(stream) is None
        assert stream.tell() == 3


def test_the_box_of_properties_may_lie_behind_the_pixels(files):
    content = files.picture_file("avif", flat((9, 9, 9)))
    size = int.from_bytes(content[:4], "big")
    skipped = struct.pack(">I4sQ", 1, b"free", 16 + 50) + bytes(50)
    assert nclx(io.BytesIO(content[:size] + skipped + content[size:])) == (1, 13)


@pytest.mark.parametrize("bits", [10, 12])
def test_more_bits(files, bits):
    """The upper 8 of them, as of any depth that a file states."""
    import pillow_heif

    level = np.linspace(0, 2**16 - 1, 256).astype("<u2")
    array = np.repeat(np.repeat(level[None, :, None], 256, 0), 3, 2)
    stream = io.BytesIO()
    pillow_heif.options.SAVE_HDR_TO_12_BIT = bits == 12
    try:
        pillow_heif.encode("RGB;16", (256, 256), array.tobytes(), stream, quality=-1, chroma=444)
    finally:
        pillow_heif.options.SAVE_HDR_TO_12_BIT = False
    assert pillow_heif.open_heif(stream, convert_hdr_to_8bit=False).info["bit_depth"] == bits
    found = decode(stream, 256)[128].astype(int)
    np.testing.assert_allclose(found, array[128] >> 8, atol=2)


@pytest.mark.parametrize("kind", HEIC_AND_AVIF)
def test_transparent_parts_are_white(files, kind):
    image = flat((200, 0, 0)).convert("RGBA")
    image.paste((0, 0, 200, 0), (0, 0, 160, 320))
    found = decode(files.picture_file(kind, image), 16).astype(int)
    np.testing.assert_allclose(found[8, 2], (255, 255, 255), atol=3)
    np.testing.assert_allclose(found[8, 13], (200, 0, 0), atol=6)


def test_of_several_pictures_the_primary_one(files):
    """Bursts and the like; of a film the first picture."""
    import pillow_heif

    for primary in (0, 1, 2):
        burst = pillow_heif.HeifFile()
        for level in (40, 120, 200):
            burst.add_from_pillow(flat((level, level, level)))
        stream = io.BytesIO()
        burst.save(stream, primary_index=primary, quality=-1)
        assert abs(int(decode(stream, 8)[4, 4, 0]) - (40, 120, 200)[primary]) < 3
    film = files.saved(flat((40, 0, 0)), "AVIF", save_all=True, append_images=[flat((0, 0, 90))])
    np.testing.assert_allclose(decode(film, 8)[4, 4].astype(int), (40, 0, 0), atol=6)


def test_thumbnails_are_not_taken_for_the_picture(files, monkeypatch):
    """They are copies of a quality of their own, or of what the photo was before it was edited."""
    import pillow_heif

    stream = io.BytesIO()
    pillow_heif.from_pillow(quarters(1280, 1280)).save(stream, thumbnails=[640], quality=90)
    whole = decode(stream, 64)
    with pillow_heif.HeifImageFile(stream) as image:
        assert image.draft(None, (128, 128)) is not None  # there is one that would do

    def draft(*_):
        raise AssertionError("a draft was asked for")

    monkeypatch.setattr(pillow_heif.HeifImageFile, "draft", draft)
    np.testing.assert_array_equal(decode(stream, 64), whole)


@pytest.mark.parametrize("kind", [*HEIC_AND_AVIF, *RAW])
def test_too_many_pixels_are_refused_by_the_header(files, monkeypatch, kind):
    """Nothing is decoded for that."""
    import pillow_heif
    from PIL import AvifImagePlugin, JpegImagePlugin

    content = files.picture_file(kind, flat((9, 9, 9)))

    def load(*_):
        raise AssertionError("pixels were decoded")

    for plugin in (
        pillow_heif.HeifImageFile,
        AvifImagePlugin.AvifImageFile,
        JpegImagePlugin.JpegImageFile,
    ):
        monkeypatch.setattr(plugin, "load", load)
    refused = message(content, max_pixels=320 * 320 - 1)
    assert refused == "x: 320 x 320 pixels, the limit is 102,399"


@pytest.mark.parametrize("kind", [*HEIC_AND_AVIF, *RAW])
def test_damaged_files(files, kind):
    """Cut anywhere, or with bytes changed: a picture, or one line."""
    content = files.picture_file(kind, quarters())
    rng = np.random.default_rng(0)
    cuts = [content[:length] for length in rng.integers(1, len(content), 60)]
    for _ in range(60):
        changed = bytearray(content)
        for place in rng.integers(0, min(len(content), 4000), 8):
            changed[place] = rng.integers(256)
        cuts.append(bytes(changed))
    for damaged in cuts:
        try:
            assert decode(damaged, 8, name="x").shape == (8, 8, 3)
        except ImageError as error:
            assert str(error).startswith("x: ")
            assert "\n" not in str(error)


def test_many_threads(files):
    """Decoders share nothing: the same pixels as one after the other."""
    contents = [files.picture_file(kind, quarters(), 6) for kind in KINDS] * 6
    alone = [decode(content, 32) for content in contents]
    with ThreadPoolExecutor(8) as pool:
        for one, other in zip(alone, pool.map(lambda c: decode(c, 32), contents), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", ["heic", *RAW])
def test_without_the_extra(files, monkeypatch, tmp_path, kind):
    """One line says what to install, whatever the file is called."""
    content = files.picture_file(kind, quarters())
    monkeypatch.setattr(formats, "installed", lambda module: module == "PIL._avif")
    extra, what = ("heic", "a HEIC") if kind == "heic" else ("raw", "a raw")
    end = " image" if kind == "heic" else " image of a camera"
    expected = f"x: {what}{end}: to read it, pip install 'ssah-tf[{extra}]'"
    (tmp_path / "x.tif").write_bytes(content)
    with pytest.raises(ImageError) as caught:
        decode(tmp_path / "x.tif", 8, name="x")
    assert message(content) == message(io.BytesIO(content)) == str(caught.value) == expected


def test_pillow_without_avif(files, monkeypatch):
    from PIL import AvifImagePlugin

    content = files.picture_file("avif", quarters())
    monkeypatch.setattr(formats, "installed", lambda module: False)
    monkeypatch.setitem(Image.OPEN, "AVIF", (AvifImagePlugin.AvifImageFile, lambda head: False))
    assert message(content) == "x: an AVIF image, which is not read; save it as JPEG or PNG"


def test_nothing_is_imported_before_it_is_needed(files, tmp_path):
    """JPEG files pay nothing for the others, nor does a scan."""
    for name, kind in (("a.jpg", "jpg"), ("a.heic", "heic"), ("a.dng", "dng")):
        (tmp_path / name).write_bytes(files.picture_file(kind, quarters()))
    program = (
        "import sys\n"
        "from ssah_tf.data.decode import decode\n"
        "from ssah_tf.data.scan import scan\n"
        "decode('a.jpg', 8)\n"
        "assert len(scan('.').paths) == 2, scan('.')\n"
        "new = 'pillow_heif', '_pillow_heif', 'rawpy', 'PIL.AvifImagePlugin', 'PIL._avif'\n"
        "new += 'ssah_tf.data.raw', 'ssah_tf.data.boxes', 'ssah_tf.data.tiff'\n"
        "print([name for name in new if name in sys.modules])\n"
        "decode('a.heic', 8); decode('a.dng', 8)\n"
        "print([name in sys.modules for name in ('pillow_heif', 'rawpy')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n[True, True]\n"
