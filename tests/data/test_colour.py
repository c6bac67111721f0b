"""Colours become sRGB: against arithmetic in floats from the makers' numbers, not Little CMS."""

import base64
import io
import struct
import threading
import zlib

import numpy as np
import pytest
from PIL import Image

from ssah_tf import Encoder
from ssah_tf.data.decode import decode
from ssah_tf.search.pages import picture
from ssah_tf.serve.pictures import large, thumbnail
from ssah_tf.system.errors import ImageError

SIDE = 32
PIXELS = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
#: XYZ (D50) of red, green and blue.
COLORANTS = {
    "srgb": ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141)),
    "display p3": (
        (0.51512, 0.2412, -0.00105),
        (0.29198, 0.69225, 0.04189),
        (0.1571, 0.06657, 0.78407),
    ),
    "adobe": (
        (0.60974, 0.31111, 0.01947),
        (0.20528, 0.62567, 0.06087),
        (0.14919, 0.06322, 0.74457),
    ),
    "prophoto": ((0.79767, 0.28804, 0.0), (0.13519, 0.71187, 0.0), (0.03134, 0.00009, 0.82491)),
}


def to_light(levels, gamma):
    x = levels / 255
    if gamma:
        return x**gamma
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def to_levels(light):
    light = np.clip(light, 0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def expected(colours, gamma, pixels=PIXELS):
    """sRGB levels of pixels in other colours."""
    change = np.array(COLORANTS[colours]) @ np.linalg.inv(np.array(COLORANTS["srgb"]))
    return to_levels(to_light(pixels.astype(float), gamma) @ change)


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks, pixels=PIXELS):
    """A PNG file with these chunks before its pixels."""
    content = encoded(Image.fromarray(pixels))
    return content[:33] + b"".join(chunk(*one) for one in chunks) + content[33:]


CASES = {
    "display p3": ("display p3", None),
    "adobe": ("adobe", 2.19921875),
    "prophoto": ("prophoto", 1.8),
    "linear": ("srgb", 1.0),
    "gamma 2.2": ("srgb", 2.2),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_profiles(profiles, name, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(Image.fromarray(PIXELS), kind, icc_profile=profiles[name], **options)
    apart = np.abs(decode(content, SIDE) - expected(*CASES[name]))
    assert apart.mean() < 0.5
    assert apart.max() < (12 if name == "prophoto" else 2)  # far outside of sRGB


def test_jpeg_and_red_of_p3(profiles):
    """sRGB's red in Display P3 is (234, 51, 35)."""
    red = Image.new("RGB", (64, 64), (234, 51, 35))
    content = encoded(red, "JPEG", quality=100, subsampling=0, icc_profile=profiles["display p3"])
    assert np.abs(decode(content, 8).astype(int) - (255, 0, 0)).max() <= 6
    plain = encoded(red, "JPEG", quality=100, subsampling=0)
    assert np.abs(decode(plain, 8).astype(int) - (234, 51, 35)).max() <= 2


def test_srgb_changes_nothing(profiles):
    for name, profile in profiles.items():
        if name.startswith("srgb") and name != "srgb grey":
            content = encoded(Image.fromarray(PIXELS), icc_profile=profile)
            np.testing.assert_array_equal(decode(content, SIDE), PIXELS)
    grey = Image.fromarray(PIXELS[..., 0])
    content = encoded(grey, icc_profile=profiles["srgb grey"])
    np.testing.assert_array_equal(decode(content, SIDE)[..., 0], PIXELS[..., 0])


def test_other_kinds_of_pictures(profiles):
    """Grey, palettes, transparency, 16 bits: the colours are converted, then laid on white."""
    grey = Image.fromarray(PIXELS[..., 0])
    wanted = to_levels(to_light(PIXELS[..., 0].astype(float), 1.8))
    found = decode(encoded(grey, icc_profile=profiles["grey gamma 1.8"]), SIDE)
    assert np.abs(found - wanted[..., None]).max() < 1.5
    deep = Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)
    found = decode(encoded(deep, icc_profile=profiles["grey gamma 1.8"]), SIDE)
    assert np.abs(found - wanted[..., None]).max() < 1.5
    # A profile of RGB fits a grey picture, one of grey does not fit RGB.
    found = decode(encoded(grey, icc_profile=profiles["linear"]), SIDE)
    assert np.abs(found - to_levels(PIXELS[..., :1] / 255)).max() < 1.5
    found = decode(encoded(Image.fromarray(PIXELS), icc_profile=profiles["grey gamma 1.8"]), SIDE)
    np.testing.assert_array_equal(found, PIXELS)
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 200, 60, 20])
    found = decode(encoded(palette, icc_profile=profiles["display p3"]), 8)
    wanted = expected("display p3", None, np.array([[[200, 60, 20]]]))
    assert np.abs(found - wanted).max() < 1.5
    half = Image.new("RGBA", (8, 8), (200, 60, 20, 51))
    found = decode(encoded(half, icc_profile=profiles["display p3"]), 8)
    assert np.abs(found - (wanted / 5 + 204)).max() < 1.5


def test_broken_profiles_are_passed_over(profiles):
    for profile in (b"no profile", profiles["display p3"][:200], profiles["display p3"][:128]):
        content = encoded(Image.fromarray(PIXELS), icc_profile=profile)
        np.testing.assert_array_equal(decode(content, SIDE), PIXELS)


def cmyk_profile():
    """A profile of CMYK: two grid points an ink, to Lab; only black ink is looked at."""
    grid = np.zeros((2, 2, 2, 2, 3), np.uint8)
    grid[..., 1:] = 128
    grid[:, :, :, 0, 0] = 255
    table = struct.pack(
        ">4sI4B9i", b"mft1", 0, 4, 3, 2, 0, *(65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    )
    table += bytes(range(256)) * 4 + grid.tobytes() + bytes(range(256)) * 3
    start = 132 + 12
    head = struct.pack(">I4sI", start + len(table), b"none", 0x02100000) + b"prtrCMYKLab "
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    entry = struct.pack(">I4sII", 1, b"A2B0", start, len(table))
    return head + bytes(128 - len(head)) + entry + table


def test_cmyk_profile():
    """L* falls in a line with black ink: half of it is L* 50, a grey of level 119."""
    ink = Image.new("CMYK", (8, 8), (0, 0, 0, 128))
    plain = decode(encoded(ink, "TIFF"), 8)
    np.testing.assert_array_equal(plain, 127)
    found = decode(encoded(ink, "TIFF", icc_profile=cmyk_profile()), 8)
    assert np.abs(found.astype(int) - 119).max() <= 2


def gama(value):
    return b"gAMA", struct.pack(">I", value)


P3_CHRM = b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)


@pytest.mark.parametrize(
    ("chunks", "colours", "gamma"),
    [
        ([gama(100_000)], "srgb", 1.0),
        ([gama(50_000)], "srgb", 2.0),
        ([gama(45_455), P3_CHRM], "display p3", 1 / 0.45455),
        ([(b"cICP", bytes((12, 13, 0, 1)))], "display p3", None),
        ([(b"cICP", bytes((1, 1, 0, 1)))], "srgb", 2.4),
        ([(b"cICP", bytes((1, 8, 0, 1))), (b"sRGB", b"\0")], "srgb", 1.0),
    ],
)
def test_chunks_of_png(chunks, colours, gamma):
    """As Chromium 150 shows these files, within a level."""
    assert np.abs(decode(png(*chunks), SIDE) - expected(colours, gamma)).max() < 2


@pytest.mark.parametrize(
    "chunks",
    [
        [gama(45_455)],
        [gama(47_000)],  # within a twentieth
        [P3_CHRM],  # without gAMA
        [gama(100_000), (b"sRGB", b"\0")],
        [gama(0)],
        [(b"cICP", bytes((1, 13, 0, 1))), gama(100_000)],
        [(b"cICP", bytes((12, 13, 0, 0)))],  # not of full range: passed over
        [(b"cICP", bytes((2, 2, 0, 1)))],  # unspecified
    ],
)
def test_chunks_that_say_srgb_or_nothing(chunks):
    np.testing.assert_array_equal(decode(png(*chunks), SIDE), PIXELS)


def test_order_of_chunks(profiles):
    """cICP before iCCP before sRGB before gAMA; behind the pixels they do not count."""
    iccp = b"iCCP", b"p\0\0" + zlib.compress(profiles["display p3"])
    p3 = expected("display p3", None)
    assert np.abs(decode(png(iccp, gama(100_000)), SIDE) - p3).max() < 2
    assert np.abs(decode(png(iccp, (b"sRGB", b"\0")), SIDE) - p3).max() < 2
    found = decode(png((b"cICP", bytes((1, 13, 0, 1))), iccp), SIDE)
    np.testing.assert_array_equal(found, PIXELS)
    content = encoded(Image.fromarray(PIXELS))
    behind = content[:-12] + chunk(*gama(100_000)) + chunk(*iccp) + content[-12:]
    np.testing.assert_array_equal(decode(behind, SIDE), PIXELS)


@pytest.mark.parametrize(("transfer", "named"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused_by_name(transfer, named):
    with pytest.raises(ImageError, match=rf"x\.png: brightness coded as {named}"):
        decode(png((b"cICP", bytes((9, transfer, 0, 1)))), SIDE, name="x.png")


@pytest.mark.slow
def test_encoder_and_pages(profiles, exported, tmp_path):
    """Paths, bytes, Pillow's images; and the pictures of a page, whose files carry no profile."""
    wanted = Image.fromarray(np.rint(expected("display p3", None)).astype(np.uint8))
    encoder = Encoder.load(exported[1])
    content = encoded(Image.fromarray(PIXELS), icc_profile=profiles["display p3"])
    (tmp_path / "p3.png").write_bytes(content)
    forms = [content, tmp_path / "p3.png", Image.open(io.BytesIO(content))]
    logits = encoder.logits(forms)
    np.testing.assert_array_equal(logits[0], logits[1])
    np.testing.assert_array_equal(logits[0], logits[2])
    assert np.abs(logits[0] - encoder.logits([wanted])[0]).max() < 0.1


def test_pictures_of_pages(profiles, tmp_path):
    """What the search page and the service show carries no profile, and is converted."""
    path = tmp_path / "orange.png"
    orange = Image.new("RGB", (400, 300), (200, 60, 20))
    path.write_bytes(encoded(orange, icc_profile=profiles["display p3"]))
    wanted = expected("display p3", None, np.array([[[200, 60, 20]]]))[0, 0]
    pages = base64.b64decode(picture(str(path)).split(",")[1])
    drawn = []
    for draw in (thumbnail, large):
        with open(path, "rb") as stream:
            drawn.append(draw(stream, "orange.png"))
    for content in (pages, *drawn):
        image = Image.open(io.BytesIO(content))
        assert "icc_profile" not in image.info
        assert np.abs(np.asarray(image, float)[100, 100] - wanted).max() <= 3


def test_threads_share_transforms(profiles):
    content = encoded(Image.fromarray(PIXELS), icc_profile=profiles["adobe"])
    wanted, found = decode(content, SIDE), []
    threads = [
        threading.Thread(target=lambda: found.extend(decode(content, SIDE) for _ in range(20)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 80
    assert all(np.array_equal(one, wanted) for one in found)
