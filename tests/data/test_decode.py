import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data import decode as images
from ssah_tf.data import regions
from ssah_tf.data.decode import decode
from ssah_tf.system.errors import ImageError


def encoded(image, kind="PNG", **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noise(width, height):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def png_header(width, height):
    """A PNG that claims a size and holds no pixels."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def reason(source, **options):
    """The message with which an image is refused; always one line."""
    with pytest.raises(ImageError) as caught:
        decode(source, 8, **options)
    message = str(caught.value)
    assert message
    assert len(message.splitlines()) == 1
    return message


def test_same_size_is_untouched():
    pixels = np.asarray(noise(8, 8))
    decoded = decode(encoded(noise(8, 8)), 8)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, pixels)


def test_centre_crop():
    """4 x 2 pixels of four columns: the middle two remain."""
    row = np.array([10, 20, 30, 40], np.uint8)
    wide = Image.fromarray(np.tile(row[None, :, None], (2, 1, 3)))
    np.testing.assert_array_equal(decode(encoded(wide), 2)[0, :, 0], [20, 30])
    np.testing.assert_array_equal(
        decode(encoded(wide.rotate(-90, expand=True)), 2)[:, 0, 0], [20, 30]
    )


@pytest.mark.parametrize("shape", [(40, 40), (61, 33), (20, 47), (1, 50), (5, 5)])
def test_central_square_resized(shape):
    image = noise(*shape)
    side, (width, height) = min(shape), image.size
    box = ((width - side) // 2, (height - side) // 2)
    square = image.crop((*box, box[0] + side, box[1] + side))
    expected = square.resize((16, 16), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(decode(encoded(image), 16), np.asarray(expected))


def test_resize_has_antialiasing():
    """A board of black and white pixels becomes grey, not black or white."""
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    grey = decode(encoded(Image.fromarray(board.astype(np.uint8))), 8)
    assert np.all(np.abs(grey.astype(int) - 128) <= 2)


@pytest.mark.parametrize(
    ("image", "kind", "expected"),
    [
        (Image.new("L", (8, 8), 77), "PNG", (77, 77, 77)),
        (Image.new("1", (8, 8), 1), "PNG", (255, 255, 255)),
        (Image.new("RGB", (8, 8), (9, 90, 200)), "PNG", (9, 90, 200)),
        (Image.new("RGB", (8, 8), (9, 90, 200)), "BMP", (9, 90, 200)),
        (Image.new("RGB", (8, 8), (9, 90, 200)).quantize(4), "GIF", (9, 90, 200)),
        (Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "PNG", (255, 255, 255)),
        # 51 / 255 = 1/5 of black on white: 4/5 * 255 = 204.
        (Image.new("RGBA", (8, 8), (0, 0, 0, 51)), "PNG", (204, 204, 204)),
        (Image.new("LA", (8, 8), (0, 0)), "PNG", (255, 255, 255)),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF", (255, 0, 0)),
        # The high byte of 0x80ff; Pillow's own conversion would give 255.
        (Image.fromarray(np.full((8, 8), 0x80FF, np.uint16)), "PNG", (128, 128, 128)),
        (Image.fromarray(np.full((8, 8), 0x80FF, np.uint16)), "TIFF", (128, 128, 128)),
        # 31 bits and a sign, unless all values fit into fewer.
        (Image.fromarray(np.full((8, 8), 0x40FFFFFF, np.int32)), "TIFF", (129, 129, 129)),
        (Image.fromarray(np.full((8, 8), 0x80FF, np.int32)), "TIFF", (128, 128, 128)),
    ],
)
def test_modes(image, kind, expected):
    decoded = decode(encoded(image, kind), 4)
    assert decoded.shape == (4, 4, 3)
    np.testing.assert_array_equal(decoded, np.broadcast_to(np.array(expected, np.uint8), (4, 4, 3)))


def test_transparent_colour_is_laid_on_white():
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, 4:] = (1, 2, 3)
    decoded = decode(encoded(Image.fromarray(pixels), transparency=(1, 2, 3)), 8)
    assert np.all(decoded[:, :4] == 0)
    assert np.all(decoded[:, 4:] == 255)


def test_transparent_palette_is_laid_on_white():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.paste(1, (4, 0, 8, 8))
    decoded = decode(encoded(image, transparency=0), 8)
    assert np.all(decoded[:, :4] == 255)
    np.testing.assert_array_equal(decoded[0, 4], (0, 200, 0))


def test_jpeg_of_one_colour():
    for mode, colour, expected in (
        ("RGB", (200, 30, 60), (200, 30, 60)),
        ("L", 90, (90, 90, 90)),
        ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
    ):
        decoded = decode(encoded(Image.new(mode, (16, 16), colour), "JPEG"), 8).astype(int)
        assert np.abs(decoded - expected).max() <= 3, mode


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation):
    """Stored turned or mirrored, shown upright; each orientation as NumPy sees it."""
    upright = np.asarray(noise(8, 8))
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(decode(content, 8), upright)


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(content, 8)[0, 0], (255, 0, 0))


def test_path_and_bytes_agree(tmp_path):
    path = tmp_path / "a photo 'é 漢字'.PNG"
    path.write_bytes(encoded(noise(20, 12)))
    np.testing.assert_array_equal(decode(path, 8), decode(path.read_bytes(), 8))
    np.testing.assert_array_equal(decode(str(path), 8), decode(path, 8))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
def test_truncated(kind):
    content = encoded(noise(64, 64), kind)
    assert decode(content, 8).shape == (8, 8, 3)
    assert reason(content[: len(content) // 2], name="half.img").startswith("half.img: ")


@pytest.mark.parametrize("content", [b"", b"not an image\n" * 9, b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_garbage(content, tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    from_path, from_bytes = reason(path), reason(content, name=str(path))
    assert from_path.startswith(f"{path}: ")
    assert " at 0x" not in from_bytes  # no address of a buffer object


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
@pytest.mark.filterwarnings("ignore")
def test_damage_is_an_image_error_or_an_image(kind, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 10**6)
    generator = np.random.default_rng(1)
    content = np.frombuffer(encoded(noise(16, 16), kind), np.uint8)
    refused = 0
    for _ in range(40):
        damaged = content.copy()
        damaged[generator.integers(0, min(len(content), 200), 4)] = generator.integers(0, 256, 4)
        try:
            assert decode(damaged.tobytes(), 8, name="x").shape == (8, 8, 3)
        except ImageError as error:
            assert str(error).startswith("x: ")
            assert len(str(error).splitlines()) == 1
            refused += 1
    assert refused


def test_no_file(tmp_path):
    path = tmp_path / "gone.jpg"
    assert reason(path) == f"{path}: no such file"
    link = tmp_path / "link.jpg"
    link.symlink_to("gone.jpg")
    assert reason(link) == f"{link}: no such file"


def test_folder_or_loop_instead_of_a_file(tmp_path):
    folder = tmp_path / "x.jpg"
    folder.mkdir()
    assert reason(folder).startswith(f"{folder}: ")
    loop = tmp_path / "loop.jpg"
    loop.symlink_to("loop.jpg")
    assert reason(loop).startswith(f"{loop}: ")


def test_odd_names_stay_on_one_line():
    message = reason(b"", name="a\nb\r\x1b[2J\udcff.jpg")
    assert message.startswith(r"a\nb\r\x1b[2J\udcff.jpg: ")
    message.encode("utf-8")  # can be printed
    assert reason(b"", name="a 'b' é漢.jpg").startswith("a 'b' é漢.jpg: ")


def test_too_many_pixels(monkeypatch):
    content = encoded(noise(10, 10))
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    assert decode(content, 8).shape == (8, 8, 3)
    monkeypatch.setattr(images, "MAX_PIXELS", 99)
    assert reason(content, name="big.png") == "big.png: 10 x 10 pixels, the limit is 99"


# The first is refused by our limit, the second by Pillow's.
@pytest.mark.parametrize("side", [12_500, 20_000])
def test_decompression_bomb_takes_no_memory(side, tmp_path):
    """In a process of its own, where the peak of memory is that of the decoder alone."""
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))
    code = (
        "import resource, sys\n"
        "from ssah_tf.data.decode import decode, ImageError\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "try:\n    decode(sys.argv[1], 8)\n"
        "except ImageError as error:\n    print(peak() - before, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    kib, message = done.stdout.rstrip("\n").split(" ", 1)
    assert int(kib) < 20 * 1024  # decoded it would take 460 MB or more
    assert message.startswith(f"{path}: ")
    assert message.endswith(("limit is 150,000,000", "more than 150,000,000 pixels, the limit"))
    assert done.stderr == ""  # no warning of Pillow beside our message


def stored_kinds():
    """Name -> content: every way in which pixels are stored or brought to 8 bits."""
    rng = np.random.default_rng(0)
    rgb = noise(37, 23)
    rgba = Image.fromarray(rng.integers(0, 256, (23, 37, 4), dtype=np.uint8))
    twelve = Image.fromarray(rng.integers(0, 4096, (23, 37), dtype=np.uint16))
    signed = Image.fromarray(rng.integers(-500, 70_000, (23, 37), dtype=np.int32))
    floats = Image.fromarray(rng.random((23, 37), np.float32) * 700)
    colour = tuple(int(value) for value in np.asarray(rgb)[4, 5])
    return {
        "rgb": (rgb, "PNG", {}),
        "rgba": (rgba, "PNG", {}),
        "grey with alpha": (rgba.convert("LA"), "PNG", {}),
        "palette": (rgb.quantize(9), "PNG", {"transparency": 3}),
        "bits": (rgb.convert("1"), "PNG", {}),
        "transparent colour": (rgb, "PNG", {"transparency": colour}),
        "12 bits": (twelve, "PNG", {}),
        "32 bits": (signed, "TIFF", {}),
        "floats": (floats, "TIFF", {}),
        "cmyk": (rgb.convert("CMYK"), "TIFF", {}),
    }


def deep_png(top, channels):
    """A PNG of 16 bits a sample up to `top`, RGB with a transparent colour, or RGBA."""
    values = np.random.default_rng(1).integers(0, top, (23, 37, channels)).astype(">u2")
    values[3:6, 8] = values[0, 0]

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    rows = b"".join(b"\0" + row.tobytes() for row in values)
    clear = chunk(b"tRNS", values[0, 0].tobytes()) if channels == 3 else b""
    head = struct.pack(">IIBBBBB", 37, 23, 16, {3: 2, 4: 6}[channels], 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", head),
            clear,
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        )
    )


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_bands_change_no_pixel(orientation, monkeypatch):
    """A picture that is worked through row by row has the pixels of one that is taken at once."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    contents = {
        name: encoded(image, kind, exif=exif, **more)
        for name, (image, kind, more) in stored_kinds().items()
    }
    contents |= {f"16 bits {top} {n}": deep_png(top, n) for top in (900, 65_536) for n in (3, 4)}
    at_once = {name: decode(content, 8) for name, content in contents.items()}
    monkeypatch.setattr(regions, "BAND", 1)
    assert len(list(regions.bands((0, 0, 23, 23)))) == 23
    for name, content in contents.items():
        np.testing.assert_array_equal(decode(content, 8), at_once[name], name)


@pytest.mark.parametrize(("mode", "colour", "most"), [("I;16", 700, 4), ("RGBA", (9, 8, 7, 99), 6)])
def test_memory_of_a_large_picture(mode, colour, most, tmp_path):
    """Bytes a pixel above what its file unpacks to: 2 and 4. In a process of its own."""
    Image.new(mode, (3500, 3500), colour).save(tmp_path / "large.png", compress_level=1)
    code = (
        "import sys\n"
        "from ssah_tf.data.decode import decode\n"
        "def of(name):\n"
        "    lines = open('/proc/self/status').read().splitlines()\n"
        "    return next(int(x.split()[1]) for x in lines if x.startswith(name))\n"
        "before = of('VmRSS')\n"
        "decode(sys.argv[1], 8)\n"
        "print((of('VmHWM') - before) * 1024 / 3500**2)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "large.png")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < most
