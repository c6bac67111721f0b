"""What `serving_bytes` takes is bit-equal to `decode`; what it would decode otherwise is refused.

The table of docs/deploy.md counts the variants here. Files are made by a writer of PNG chunks and
JPEG segments of its own, so that every one of them can be odd.
"""

import io
import random
import struct
import warnings
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageFilter

from ssah_tf.data.decode import decode
from ssah_tf.export.decode_graph import decode_bytes
from ssah_tf.system.errors import ImageError

SIZE = 32


@pytest.fixture(scope="module")
def graph():
    return tf.function(
        lambda content: decode_bytes(content, SIZE),
        input_signature=[tf.TensorSpec((), tf.string)],
    )


def scene(width=150, height=90, seed=0, channels=3):
    """Blurred noise: edges and colours, no symmetry."""
    rng = np.random.default_rng([seed, width])
    noise = Image.fromarray(rng.integers(0, 256, (height, width, channels), dtype=np.uint8))
    soft = np.asarray(noise.filter(ImageFilter.GaussianBlur(2))).astype(int)
    return Image.fromarray(np.clip(128 + 6 * (soft - 128), 0, 255).astype(np.uint8))


def jpeg(image=None, *segments, **options):
    stream = io.BytesIO()
    (scene() if image is None else image).save(stream, "JPEG", **{"quality": 90, **options})
    content = stream.getvalue()
    return content[:2] + b"".join(segments) + content[2:]


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def exif(orientation, order=">", kind=3, before=0):
    """EXIF data with an orientation, 3: SHORT, 4: LONG, behind some other entries."""
    value = struct.pack(order + ("HH" if kind == 3 else "I"), *[orientation, 0][: 5 - kind])
    entries = [struct.pack(order + "HHII", 0x0100 + k, 4, 1, 7) for k in range(before)]
    entries.append(struct.pack(order + "HHI", 0x0112, kind, 1) + value)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)


def exif_segment(*arguments, **options):
    return segment(0xE1, b"Exif\0\0" + exif(*arguments, **options))


def xmp(orientation):
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description xmlns:tiff="http://ns.adobe.com/'
        b'tiff/1.0/" tiff:Orientation="%d"/></x:xmpmeta>' % orientation
    )


def xmp_segment(orientation):
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(orientation))


def icc_segment(profile, number=1, of=1):
    return segment(0xE2, b"ICC_PROFILE\0" + bytes([number, of]) + profile)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def rows(values, bits):
    """Filtered rows (filter 0) of samples `(height, width, channels)`."""
    if bits == 16:
        parts = [row.astype(">u2").tobytes() for row in values]
    elif bits == 8:
        parts = [row.astype(np.uint8).tobytes() for row in values]
    else:
        places = np.arange(bits - 1, -1, -1)
        parts = [np.packbits((row[..., None] >> places & 1).ravel()).tobytes() for row in values]
    return b"".join(b"\0" + part for part in parts)


def png(kind=2, bits=8, *chunks, values=None, interlaced=False, after=(), pieces=1, top=None):
    """A PNG file of any type and depth, with chunks before and after its pixels."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    if values is None:
        colours = np.asarray(scene(channels=4 if channels in (2, 4) else 3)).astype(np.int64)
        values = colours[..., [0, 3] if channels == 2 else slice(channels)]
        values = values * ((2**bits - 1) if top is None else top) // 255
    height, width = values.shape[:2]
    passes = [values]
    if interlaced:  # Adam7
        steps = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
        passes = [values[y::down, x::right] for x, y, right, down in [*steps, (0, 1, 1, 2)]]
    packed = zlib.compress(b"".join(rows(part, bits) for part in passes if part.size))
    size = -(-len(packed) // pieces)
    head = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, int(interlaced))
    body = [(b"IHDR", head)]
    if kind == 3:
        palette = np.random.default_rng(1).integers(0, 256, (2**bits, 3), dtype=np.uint8)
        body.append((b"PLTE", palette.tobytes()))
    body += chunks
    body += [(b"IDAT", packed[i : i + size]) for i in range(0, len(packed), size)]
    body += [*after, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in body)


def clear(kind, bits):
    """tRNS: the colour of the first pixel."""
    channels = {0: 1, 2: 3}[kind]
    first = np.asarray(scene()).astype(np.int64)[0, 0, :channels] * (2**bits - 1) // 255
    return b"tRNS", b"".join(struct.pack(">H", int(value)) for value in first)


def iccp(profile):
    return b"iCCP", b"p\0\0" + zlib.compress(profile)


def text(kind, word, content=b"x"):
    middle = b"\0\0\0\0" if kind == b"iTXt" else b""
    return kind, word + b"\0" + middle + content


FAR = (segment(0xED, bytes(60_000)), segment(0xFE, bytes(30_000)))
TYPES = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8)]
TYPES += [(4, 8), (4, 16), (6, 8), (6, 16)]


def jpegs(profiles):
    found = {}
    for number, name in enumerate(("4:4:4", "4:2:2", "4:2:0")):
        for form in ({}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 3}):
            found[f"{name} {form}"] = jpeg(subsampling=number, **form)
    for quality in (5, 100):
        found[f"quality {quality}"] = jpeg(quality=quality)
    found["RGB inside"] = jpeg(keep_rgb=True, subsampling=0)
    found["grey"] = jpeg(scene().convert("L"))
    found["grey, progressive"] = jpeg(scene().convert("L"), progressive=True)
    for size in ((33, 31), (640, 480), (1100, 700), (1, 1), (3, 200)):
        found[f"size {size}"] = jpeg(scene(*size))
    for orientation in range(1, 9):
        for order in "<>":
            for kind in (3, 4):
                name = f"orientation {orientation} {order} of type {kind}"
                found[name] = jpeg(None, exif_segment(orientation, order, kind))
    found["orientation behind 64 KiB"] = jpeg(None, *FAR, exif_segment(6))
    found["orientation behind 100 entries"] = jpeg(None, exif_segment(6, before=100))
    found["orientation in EXIF and XMP"] = jpeg(None, exif_segment(6), xmp_segment(1))
    found["upright in EXIF, not in XMP"] = jpeg(None, exif_segment(1), xmp_segment(8))
    found["upright in XMP"] = jpeg(None, xmp_segment(1))
    found["fill bytes"] = jpeg(None, b"\xff\xff\xff", exif_segment(3))
    found["bytes behind the end"] = jpeg() + bytes(1000)
    for name, profile in profiles.items():
        if name.startswith("srgb"):
            image = scene().convert("L") if name == "srgb grey" else None
            found[name] = jpeg(image, icc_segment(profile))
    return found


def pngs(profiles):
    found = {}
    for kind, bits in TYPES:
        found[f"type {kind}, {bits} bits"] = png(kind, bits)
        found[f"type {kind}, {bits} bits, interlaced"] = png(kind, bits, interlaced=True)
    for kind, bits in TYPES:
        if kind in (0, 2):
            found[f"clear colour, type {kind}, {bits} bits"] = png(kind, bits, clear(kind, bits))
    for bits in (1, 2, 4, 8):
        for name, alpha in {
            "one": b"\0",
            "some": bytes([255, 0]),
            "all": bytes([9] * 2**bits),
        }.items():
            found[f"palette of {bits} bits, {name} clear"] = png(3, bits, (b"tRNS", alpha))
    for top in (255, 1023, 4095, 16383):
        for kind in (0, 2, 6):
            found[f"type {kind}, up to {top} in 16 bits"] = png(kind, 16, top=top)
    for orientation in range(1, 9):
        found[f"orientation {orientation}"] = png(2, 8, (b"eXIf", exif(orientation)))
    found["orientation as LONG"] = png(0, 8, (b"eXIf", exif(6, kind=4)))
    found["orientation of grey, 16 bits"] = png(0, 16, (b"eXIf", exif(5)))
    found["upright in XMP"] = png(2, 8, text(b"iTXt", b"XML:com.adobe.xmp", xmp(1)))
    found["in five pieces"] = png(6, 8, pieces=5)
    found["texts"] = png(
        2, 8, text(b"tEXt", b"Title"), text(b"iTXt", b"Author"), after=[text(b"tEXt", b"Comment")]
    )
    found["sRGB"] = png(2, 8, (b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 100_000)))
    found["gAMA of sRGB"] = png(2, 8, (b"gAMA", struct.pack(">I", 45_455)))
    found["cICP of sRGB"] = png(2, 8, (b"cICP", bytes((1, 13, 0, 1))))
    found["cHRM alone"] = png(2, 8, (b"cHRM", bytes(32)))
    for name, profile in profiles.items():
        if name.startswith("srgb"):
            found[name] = png(0 if name == "srgb grey" else 2, 8, iccp(profile))
    moving = io.BytesIO()
    scene().save(moving, "PNG", save_all=True, append_images=[scene(seed=1)], duration=9)
    found["moving"] = moving.getvalue()
    return found


def refused(profiles):
    """What `decode` follows and the graph does not; orientations other than upright where named."""
    odd = bytearray(exif(6, kind=4))
    odd[13] = 9  # a signed number
    found = {
        "JPEG in CMYK": jpeg(scene().convert("CMYK")),
        "JPEG, orientation in XMP alone": jpeg(None, xmp_segment(6)),
        "JPEG, two EXIF segments": jpeg(None, exif_segment(1), exif_segment(6)),
        "JPEG, orientation of an odd type": jpeg(None, segment(0xE1, b"Exif\0\0" + odd)),
        "JPEG, profile in two segments": jpeg(
            None,
            icc_segment(profiles["display p3"][:300], 1, 2),
            icc_segment(profiles["display p3"][300:], 2, 2),
        ),
        "PNG, orientation behind the pixels": png(2, 8, after=[(b"eXIf", exif(6))]),
        "PNG, orientation in XMP alone": png(2, 8, text(b"iTXt", b"XML:com.adobe.xmp", xmp(6))),
        "PNG, the same packed": png(
            2, 8, (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp(6)))
        ),
        "PNG, orientation in a raw profile": png(
            2,
            8,
            text(b"tEXt", b"Raw profile type exif", b"\nexif\n  38\n" + exif(6).hex().encode()),
        ),
        "PNG, gamma": png(2, 8, (b"gAMA", struct.pack(">I", 100_000))),
        "PNG, gamma and primaries": png(
            2,
            8,
            (b"gAMA", struct.pack(">I", 45_455)),
            (b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)),
        ),
        "PNG, cICP": png(2, 8, (b"cICP", bytes((12, 13, 0, 1)))),
    }
    for kind in ("GIF", "BMP", "WEBP", "TIFF"):
        stream = io.BytesIO()
        scene().save(stream, kind)
        found[kind] = stream.getvalue()
    for name in ("display p3", "adobe", "prophoto", "linear", "gamma 2.2", "swapped"):
        found[f"JPEG, {name}"] = jpeg(None, icc_segment(profiles[name]))
        found[f"PNG, {name}"] = png(2, 8, iccp(profiles[name]))
    found["JPEG, grey of gamma 1.8"] = jpeg(
        scene().convert("L"), icc_segment(profiles["grey gamma 1.8"])
    )
    return found


@pytest.mark.parametrize("kind", [jpegs, pngs])
def test_variants_are_equal(graph, profiles, kind):
    variants = kind(profiles)
    assert len(variants) == {jpegs: 67, pngs: 85}[kind]
    apart = [
        name
        for name, content in variants.items()
        if not np.array_equal(graph(tf.constant(content)).numpy(), decode(content, SIZE))
    ]
    assert apart == []


def test_the_rest_is_refused(graph, profiles):
    """Each of them is decoded by Pillow, and none comes out as the graph would have it."""
    for name, content in refused(profiles).items():
        assert decode(content, SIZE).shape == (SIZE, SIZE, 3), name
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"JPEG|PNG|EXIF|XMP|serving"):
            graph(tf.constant(content))


def test_a_jpeg_without_its_end_is_refused(graph):
    """`decode` reads it as far as it goes."""
    for content in (jpeg(), jpeg(progressive=True)):
        assert decode(content[:-2], SIZE).shape == (SIZE, SIZE, 3)
        with pytest.raises(tf.errors.InvalidArgumentError):
            graph(tf.constant(content[:-2]))


def test_orientation_shows(graph):
    """Turned pictures differ: no test above holds for want of an orientation."""
    upright = decode(png(2, 8), SIZE).astype(int)
    for orientation in range(2, 9):
        turned = graph(tf.constant(png(2, 8, (b"eXIf", exif(orientation))))).numpy()
        assert np.abs(turned - upright).mean() > 5


def any_file(r, profiles):
    """A file that may be damaged: a variant with random segments or chunks, bytes changed."""
    odd = [exif(r.randint(0, 9), r.choice("<>"), r.choice((3, 4)), r.randint(0, 3))]
    odd.append(bytes(r.choice((b"", odd[0][: r.randint(0, 30)], b"Exif\0\0" + odd[0]))))
    profile, packet = r.choice([*profiles.values()]), xmp(r.randint(0, 9))
    number = struct.pack(">I", r.choice((45_455, 43_181, 47_728, 100_000, 0)))
    if r.random() < 0.5:
        parts = [
            segment(0xE1, b"Exif\0\0" + r.choice(odd)),
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet),
            icc_segment(profile, *r.choice(((1, 1), (1, 1), (2, 2)))),
            segment(0xFE, bytes(r.randint(0, 65_000))),
        ]
        image = scene(r.randint(1, 200), r.randint(1, 200), r.randint(0, 9))
        image = image.convert(r.choice(("RGB", "RGB", "L", "CMYK")))
        content = jpeg(image, *r.sample(parts, r.randint(0, 2)), quality=r.randint(20, 100))
    else:
        parts = [
            (b"eXIf", r.choice(odd)),
            text(b"iTXt", b"XML:com.adobe.xmp", packet),
            iccp(profile),
            (b"sRGB", b"\0"),
            (b"gAMA", number),
            (b"cICP", bytes(r.choice(((1, 13, 0, 1), (12, 13, 0, 1), (1, 13, 0, 0))))),
            text(
                b"tEXt", r.choice((b"exif", b"xmp", b"Title", b"gamma", b"Raw profile type exif"))
            ),
        ]
        kind, bits = r.choice(TYPES)
        some = r.sample(parts, r.randint(0, 3))
        if kind in (0, 2) and r.random() < 0.3:
            some.append(clear(kind, bits))
        late = [some.pop()] if some and r.random() < 0.1 else []
        top = r.choice((None, 255, 1000, 4095, 16_384)) if bits == 16 else None
        content = png(kind, bits, *some, after=late, interlaced=r.random() < 0.2, top=top)
    if r.random() < 0.3:
        damaged = bytearray(content)
        for _ in range(r.randint(1, 3)):
            damaged[r.randrange(min(len(damaged), r.choice((100, 10**9))))] = r.randrange(256)
        content = bytes(damaged)
    return content


@pytest.mark.parametrize("tries", [200, pytest.param(10_000, marks=pytest.mark.slow)])
def test_two_decoders_one_answer(graph, profiles, tries):
    """Whatever the file: where both decode it they agree to the last bit."""
    r, equal = random.Random(tries), 0
    for number in range(tries):
        content = any_file(r, profiles)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's, of damaged EXIF
                expected = decode(content, SIZE)
        except ImageError:
            expected = None
        try:
            found = graph(tf.constant(content)).numpy()
        except tf.errors.OpError:
            continue
        if expected is not None:
            np.testing.assert_array_equal(found, expected, err_msg=f"file {number}")
            equal += 1
    assert equal > tries // 5
