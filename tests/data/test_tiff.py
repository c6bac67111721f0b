"""The table of TIFF files: tifffile writes them, and what they show is known before that.

Each is decoded within a level, or refused by name.
"""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from ssah_tf.data.decode import decode
from ssah_tf.system.errors import ImageError

SIDE = 32
#: Light of a picture, 0 to 1, with all of the range.
PICTURE = np.clip(np.linspace(0, 0.7, SIDE)[None] + np.linspace(0, 0.3, SIDE)[:, None], 0, 1)
COLOURS = (PICTURE, 0.9 * PICTURE.T, 1 - PICTURE, 0.2 + 0.5 * PICTURE)

#: Name -> type, and the values of black and white.
GREY = {
    "8 bits": (np.uint8, 0, 255),
    "16 bits": (np.uint16, 0, 65535),
    "14 bits in 16": (np.uint16, 0, 16383),
    "12 bits in 16": (np.uint16, 0, 4095),
    "10 bits in 16": (np.uint16, 0, 1023),
    "8 bits in 16": (np.uint16, 0, 255),
    "signed 8 bits": (np.int8, -128, 127),
    "signed 16 bits": (np.int16, -32768, 32767),
    "signed 16 bits, none negative": (np.int16, 0, 32767),
    "12 bits in signed 16": (np.int16, 0, 4095),
    "32 bits": (np.uint32, 0, 2**32 - 1),
    "16 bits in 32": (np.uint32, 0, 65535),
    "signed 32 bits": (np.int32, -(2**31), 2**31 - 1),
    "signed 32 bits, none negative": (np.int32, 0, 2**31 - 1),
    "8 bits in signed 32": (np.int32, 0, 255),
    "floats to 1": (np.float32, 0, 1),
    "floats to 255": (np.float32, 0, 255),
    "floats to 4095": (np.float32, 0, 4095),
    "floats to 65535": (np.float32, 0, 65535),
    "half floats": (np.float16, 0, 1),
    "double floats": (np.float64, 0, 1),
}
#: What Pillow does not open.
UNREAD = {"half floats", "double floats"}
UNREAD_WHITE = {name for name, (kind, *_) in GREY.items() if kind in (np.int8, np.int16, np.int32)}
UNREAD_WHITE |= {"32 bits", "16 bits in 32"}


def written(values, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **options)
    return stream.getvalue()


def shown(light):
    """Levels of grey light, `(side, side, 3)`."""
    return np.repeat(255 * light[..., None], 3, axis=-1)


def assert_shows(content, levels, tolerance=1.01):
    apart = np.abs(decode(content, SIDE).astype(float) - levels)
    assert apart.max() <= tolerance


def as_numbers(light, kind, black, white):
    values = black + light * (float(white) - black)
    return values.astype(kind) if np.dtype(kind).kind == "f" else np.rint(values).astype(kind)


@pytest.mark.parametrize("polarity", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("name", GREY)
def test_grey(name, compression, order, polarity):
    kind, black, white = GREY[name]
    light = PICTURE if polarity == "minisblack" else 1 - PICTURE
    for tile in (None, (16, 16)):
        content = written(
            as_numbers(light, kind, black, white),
            byteorder=order,
            compression=compression,
            photometric=polarity,
            tile=tile,
        )
        white_first = polarity == "miniswhite"
        big = order == ">" and (kind == np.uint32 or (white_first and np.dtype(kind) == np.uint16))
        if name in UNREAD or big or (white_first and name in UNREAD_WHITE):
            with pytest.raises(ImageError, match="a TIFF file of 1 samples a pixel"):
                decode(content, SIDE, name="x.tif")
        else:
            assert_shows(content, shown(PICTURE))


#: Name -> samples of COLOURS, photometric, extra samples.
MANY = {
    "RGB": (3, "rgb", None),
    "RGBA": (4, "rgb", ["unassalpha"]),
    "RGBA, multiplied": (4, "rgb", ["assocalpha"]),
    "RGB and something": (4, "rgb", ["unspecified"]),
    "CMYK": (4, "separated", None),
    "grey and alpha": (2, "minisblack", ["unassalpha"]),
    "grey and alpha, multiplied": (2, "minisblack", ["assocalpha"]),
    "grey and something": (2, "minisblack", ["unspecified"]),
    "YCbCr": (3, "ycbcr", None),
    "LAB": (3, "cielab", None),
}


def on_white(name, parts):
    """What a picture of these samples shows, in levels."""
    if name == "CMYK":
        return 255 * (1 - np.stack(parts[:3], -1)) * (1 - parts[3])[..., None]
    if name == "YCbCr":
        y, b, r = (255 * part for part in parts)
        rgb = (
            y + 1.402 * (r - 128),
            y - 0.344136 * (b - 128) - 0.714136 * (r - 128),
            y + 1.772 * (b - 128),
        )
        return np.clip(np.stack(rgb, -1), 0, 255)
    colours = parts[:3] if name.startswith("RGB") else [parts[0]] * 3
    light = np.stack(colours, -1)
    if name.startswith("RGBA") or "alpha" in name:
        alpha = parts[-1][..., None]
        light = (light if "multiplied" in name else light * alpha) + 1 - alpha
    return 255 * light


@pytest.mark.parametrize("top", [255, 65535, 4095])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("name", MANY)
def test_colours(name, compression, planes, top):
    """Right, or refused by name: which of the two is written down in `expected`."""
    count, photometric, extra = MANY[name]
    parts = list(COLOURS[:count])
    if "multiplied" in name:
        parts = [np.minimum(part, 0.8) for part in parts[:-1]] + [np.full_like(PICTURE, 0.8)]
    kind = np.uint8 if top == 255 else np.uint16
    values = np.stack(
        [as_numbers(part, kind, 0, top) for part in parts], -1 if planes == "contig" else 0
    )
    right = {
        (255, "contig"): {*MANY},
        (255, "separate"): {"RGB", "RGBA", "CMYK"}
        | (
            {"RGBA, multiplied", "RGB and something", "YCbCr", "grey and something"}
            if compression
            else set()
        ),
        (65535, "contig"): {"RGB", "RGBA", "RGBA, multiplied", "RGB and something", "CMYK"},
        (65535, "separate"): {"RGB", "RGBA"}
        | (
            {"RGBA, multiplied", "RGB and something", "CMYK", "grey and something"}
            if compression
            else set()
        ),
        (4095, "contig"): {"RGB", "RGBA", "RGB and something", "CMYK"},
        (4095, "separate"): set() if compression else {"RGB", "RGBA"},
    }[top, planes]
    if top == 4095 and compression and planes == "separate":
        right |= {"grey and something"}
    for order in "<>":
        content = written(
            values,
            byteorder=order,
            photometric=photometric,
            planarconfig=planes,
            compression=compression,
            extrasamples=extra,
        )
        if name in right:
            if name != "LAB":
                assert_shows(content, on_white(name, parts), 3)
        else:
            with pytest.raises(ImageError, match=r"x\.tif: "):
                decode(content, SIDE, name="x.tif")


def tiff(content, tags, order="<"):
    """A TIFF file of one strip, tag by tag: name -> (type 3 or 4, value or values)."""
    tags = {**tags, 273: (4, 8), 279: (4, len(content))}
    entries, after = [], b""
    end = 8 + len(content) + 2 + 12 * len(tags) + 4
    for tag, (kind, value) in sorted(tags.items()):
        many = value if isinstance(value, tuple) else (value,)
        form = {1: "B", 3: "H", 4: "I", 7: "B", 11: "f"}[kind]
        body = struct.pack(f"{order}{len(many)}{form}", *many)
        if len(body) > 4:
            body, after = struct.pack(order + "I", end + len(after)), after + body
        entries.append(struct.pack(order + "HHI", tag, kind, len(many)) + body.ljust(4, b"\0"))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(content))
    return (
        head + content + struct.pack(order + "H", len(tags)) + b"".join(entries) + bytes(4) + after
    )


def grey_tags(bits, photometric=1, kind=1, **more):
    size = {256: (4, SIDE), 257: (4, SIDE), 278: (4, SIDE), 277: (3, 1), 259: (3, 1)}
    return {**size, 258: (3, bits), 262: (3, photometric), 339: (3, kind)} | more


def test_declared_range():
    """MaxSampleValue and SMaxSampleValue: a dark picture of 16 bits stays dark."""
    dark = np.rint(PICTURE * 4000).astype("<u2")
    assert_shows(
        tiff(dark.tobytes(), grey_tags(16) | {281: (3, 65535)}), shown(PICTURE * 4000 / 65535)
    )
    assert_shows(
        tiff(dark.tobytes(), grey_tags(16) | {341: (3, 65535)}), shown(PICTURE * 4000 / 65535)
    )
    darker = np.rint(PICTURE * 900).astype("<u2")
    assert_shows(
        tiff(darker.tobytes(), grey_tags(16) | {281: (3, 4095)}), shown(PICTURE * 900 / 4095)
    )
    half = np.rint(PICTURE * 127).astype("<u4")
    signed = tiff(half.tobytes(), grey_tags(32, kind=2) | {340: (4, 0)})
    assert_shows(signed, shown(PICTURE * 127 / 255))


def test_packed_12_bits():
    """Two samples in three bytes: the depth stands in the file, however dark the picture."""
    values = np.rint(PICTURE * 900).astype(np.uint32)
    left, right = values[:, ::2], values[:, 1::2]
    octets = np.stack([left >> 4, (left & 15) << 4 | right >> 8, right & 255], -1).astype(np.uint8)
    assert_shows(tiff(octets.tobytes(), grey_tags(12)), shown(PICTURE * 900 / 4095))


@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize(("bits", "kind"), [(8, 1), (16, 1), (32, 3)])
def test_single_plane_that_is_called_separate(bits, kind, photometric):
    light = PICTURE if photometric else 1 - PICTURE
    form = {8: "u1", 16: "<u2", 32: "<f4"}[bits]
    values = light * (1 if bits == 32 else 2**bits - 1)
    values = values.astype(form) if bits == 32 else np.rint(values).astype(form)
    content = tiff(values.tobytes(), grey_tags(bits, photometric, kind) | {284: (3, 2)})
    assert_shows(content, shown(PICTURE))


def test_palette_of_8_bits():
    """16 bits an entry are wanted; who writes 8 of them means them."""
    entries = tuple(range(255, -1, -1)) * 3
    index = np.rint(PICTURE * 255).astype(np.uint8)
    content = tiff(index.tobytes(), grey_tags(8, 3) | {320: (3, entries)})
    assert_shows(content, shown(1 - PICTURE))


def test_uncompressed_ycbcr_with_fewer_colours_is_refused():
    tags = grey_tags(8, 6) | {277: (3, 3), 258: (3, (8, 8, 8)), 530: (3, (2, 2))}
    with pytest.raises(ImageError, match=r"x\.tif: uncompressed TIFF in YCbCr"):
        decode(tiff(bytes(SIDE * SIDE * 3), tags), SIDE, name="x.tif")


def test_orientation_and_low_bits():
    """12 bits in 16 of three colours are read twice, and turned twice."""
    values = np.rint(np.stack(COLOURS[:3], -1) * 4095).astype(np.uint16)
    stored = np.rot90(values)
    content = written(
        np.ascontiguousarray(stored), photometric="rgb", extratags=[(274, 3, 1, 6, True)]
    )
    assert_shows(content, 255 * np.stack(COLOURS[:3], -1))


def test_pillow_writes_what_is_read():
    for mode in ("1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I", "F", "I;16"):
        image = Image.fromarray(np.rint(PICTURE * 255).astype(np.uint8))
        if mode == "I;16":
            image = Image.fromarray(np.rint(PICTURE * 65535).astype(np.uint16))
        elif mode == "LAB":
            image = Image.merge("LAB", [image, *[Image.new("L", image.size, 128)] * 2])
        elif mode != "L":
            image = image.convert(mode)
        stream = io.BytesIO()
        image.save(stream, "TIFF")
        if mode == "1":
            assert set(np.unique(decode(stream.getvalue(), SIDE))) == {0, 255}
        else:
            assert_shows(stream.getvalue(), shown(PICTURE), 12 if mode == "LAB" else 2)
