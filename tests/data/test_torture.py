"""A folder of awkward files: each is read right, or listed with its reason; none crashes."""

import io
import json
import os
import resource
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from ssah_tf import Encoder
from ssah_tf.data import load_images
from ssah_tf.data.decode import decode
from ssah_tf.data.files import check, file_set, read_all
from ssah_tf.data.scan import scan
from ssah_tf.system.errors import DataError

RED = (200, 30, 40)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def plain(mode="RGB", colour=RED, size=(40, 30)):
    return Image.new(mode, size, colour)


def noisy(size=(64, 48)):
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def huge_png(side=20_000):
    """A black PNG of `side` x `side` grey pixels, a few kB long, written row by row."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    press = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    body = b"".join(press.compress(row) for _ in range(side)) + press.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


def good_files():
    """Name -> (content, colour of the middle pixel, tolerance)."""
    exif = Image.Exif()
    exif[0x0112] = 6
    two = plain()
    second = plain(colour=(0, 0, 255))
    palette = plain().quantize(8)
    grey16 = Image.fromarray(np.full((30, 40), 0x80FF, np.uint16))
    files = {
        "rgb.png": (encoded(plain(), "PNG"), RED, 0),
        "grey.png": (encoded(plain("L", 77), "PNG"), (77,) * 3, 0),
        "bilevel.png": (encoded(plain("1", 1), "PNG"), (255,) * 3, 0),
        "palette.png": (encoded(palette, "PNG"), RED, 0),
        "transparent palette.png": (encoded(palette, "PNG", transparency=0), (255,) * 3, 0),
        "rgba.png": (encoded(plain("RGBA", (*RED, 0)), "PNG"), (255,) * 3, 0),
        "half transparent.png": (encoded(plain("RGBA", (0, 0, 0, 51)), "PNG"), (204,) * 3, 0),
        "grey with alpha.png": (encoded(plain("LA", (9, 0)), "PNG"), (255,) * 3, 0),
        "grey 16 bit.png": (encoded(grey16, "PNG"), (128,) * 3, 0),
        "interlaced by name.PNG": (encoded(plain(), "PNG", optimize=True), RED, 0),
        "one pixel.png": (encoded(plain(size=(1, 1)), "PNG"), RED, 0),
        "one row.png": (encoded(plain(size=(300, 1)), "PNG"), RED, 0),
        "one column.png": (encoded(plain(size=(1, 300)), "PNG"), RED, 0),
        "rgb.jpg": (encoded(plain(), "JPEG", quality=95), RED, 4),
        "grey.jpeg": (encoded(plain("L", 77), "JPEG"), (77,) * 3, 2),
        "progressive.jpg": (encoded(plain(), "JPEG", progressive=True, quality=95), RED, 4),
        "cmyk.jpg": (encoded(plain("CMYK", (0, 255, 255, 0)), "JPEG"), (255, 0, 0), 4),
        "turned.JPG": (encoded(plain(), "JPEG", exif=exif, quality=95), RED, 4),
        "large.jpg": (encoded(plain(size=(2000, 1500)), "JPEG", quality=95), RED, 4),
        "lossy.webp": (encoded(plain(), "WEBP", quality=95), RED, 6),
        "lossless.webp": (encoded(plain(), "WEBP", lossless=True), RED, 0),
        "alpha.webp": (encoded(plain("RGBA", (*RED, 0)), "WEBP", lossless=True), (255,) * 3, 0),
        "moving.webp": (
            encoded(two, "WEBP", save_all=True, append_images=[second], lossless=True),
            RED,
            0,
        ),
        "rgb.bmp": (encoded(plain(), "BMP"), RED, 0),
        "palette.bmp": (encoded(palette, "BMP"), RED, 0),
        "still.gif": (encoded(plain(), "GIF"), RED, 0),
        "moving.gif": (encoded(two, "GIF", save_all=True, append_images=[second]), RED, 0),
        "rgb.tif": (encoded(plain(), "TIFF"), RED, 0),
        "lzw.tiff": (encoded(plain(), "TIFF", compression="tiff_lzw"), RED, 0),
        "cmyk.tiff": (encoded(plain("CMYK", (0, 255, 255, 0)), "TIFF"), (255, 0, 0), 0),
        "grey 16 bit.tiff": (encoded(grey16, "TIFF"), (128,) * 3, 0),
        "pages.tiff": (encoded(two, "TIFF", save_all=True, append_images=[second]), RED, 0),
        "really a png.jpg": (encoded(plain(), "PNG"), RED, 0),
        "really a jpeg.png": (encoded(plain(), "JPEG", quality=95), RED, 4),
    }
    names = (
        "a b.png",
        'it\'s "quoted".png',
        "two\nlines.png",
        "漢字 é ñ.png",
        "-rf.png",
        "#%&.png",
    )
    for name in names:
        files[name] = (encoded(plain(), "PNG"), RED, 0)
    return files


def bad_files():
    """Name -> content of files that must be listed."""
    jpeg, png = encoded(noisy(), "JPEG"), encoded(noisy(), "PNG")
    files = {
        "empty.jpg": b"",
        "empty.png": b"",
        "text.jpg": b"not an image at all",
        "page.png": b"<html><body>404</body></html>",
        "huge.png": huge_png(),
        "zeros.jpg": bytes(5000),
        "only a header.gif": b"GIF89a",
    }
    for share in (0.1, 0.5, 0.9):
        files[f"cut at {share}.jpg"] = jpeg[: int(share * len(jpeg))]
        files[f"cut at {share}.png"] = png[: int(share * len(png))]
    for kind in ("WEBP", "TIFF", "BMP", "GIF"):
        content = encoded(noisy(), kind)
        files[f"cut.{kind.lower()}"] = content[: len(content) // 2]
    return files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("torture")
    for name, content in {**{n: c for n, (c, _, _) in good_files().items()}, **bad_files()}.items():
        (root / name).write_bytes(content)
    (root / "directory.jpg").mkdir()
    (root / "directory.jpg" / "inside.png").write_bytes(encoded(plain(), "PNG"))
    (root / "loop").symlink_to(root)
    (root / "loop.png").symlink_to("loop.png")
    (root / "dangling.jpg").symlink_to("nowhere.jpg")
    os.mkfifo(root / "pipe.jpg")
    (root / "unreadable.jpg").write_bytes(encoded(plain(), "JPEG"))
    (root / "unreadable.jpg").chmod(0)
    (root / "notes.txt").write_text("no image by its ending")
    return root


@pytest.fixture(scope="module")
def scanned(folder):
    ids = scan(folder).paths
    assert len(set(ids)) == len(ids) >= 60
    return ids, *read_all(folder, ids)


def test_every_good_file_is_read_right(folder, scanned):
    ids, _, bad = scanned
    for name, (_, colour, tolerance) in good_files().items():
        assert name in ids
        assert name not in bad, bad.get(name)
        middle = decode(folder / name, 16)[8, 8].astype(int)
        assert np.abs(middle - colour).max() <= tolerance, (name, middle)
    assert "directory.jpg/inside.png" in ids


def test_encoder_sees_what_training_sees(folder, scanned, exported):
    """Paths and bytes of every good file, to the last bit."""
    encoder = Encoder.load(exported[1])
    names = [name for name in scanned[0] if name not in scanned[2]]
    expected = np.stack([decode(folder / name, encoder.image_size) for name in names])
    paths = [folder / name for name in names]
    contents = [path.read_bytes() for path in paths]
    logits = encoder.logits(expected)
    np.testing.assert_array_equal(encoder.logits(paths), logits)
    np.testing.assert_array_equal(encoder.logits(contents), logits)
    np.testing.assert_array_equal(encoder.encode(paths), encoder.encode(expected))


def test_every_bad_file_is_listed_with_its_reason(folder, scanned):
    ids, digests, bad = scanned
    special = {"loop.png", "dangling.jpg", "pipe.jpg"}
    if os.geteuid():  # root reads everything
        special.add("unreadable.jpg")
    assert set(bad) == set(bad_files()) | special
    for name, reason in bad.items():
        assert len(reason.splitlines()) == 1
        assert reason.startswith(str(folder)), reason
        assert digests[ids.index(name)] == ""
    assert "more than 150,000,000 pixels, the limit" in bad["huge.png"]
    assert "empty, or not an image" in bad["empty.jpg"]
    assert "not a regular file" in bad["pipe.jpg"]


@pytest.mark.slow
def test_commands_of_an_index_survive(folder, scanned, exported, tmp_path):
    """Each file is indexed or told in one line; all of them ask; duplicates are looked for."""

    def ssah(*words):
        command = [sys.executable, "-m", "ssah_tf.cli", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done

    ids, _, bad = scanned
    index, names = tmp_path / "index", {line.split("/")[-1].split(": ")[0] for line in bad.values()}
    done = ssah("index", exported[1], folder, "--output", index, "--labels", "folders")
    assert f"{len(ids) - len(bad)} photos: {len(ids) - len(bad)} new" in done.stdout
    skipped = [line for line in done.stderr.splitlines() if line.startswith("skipped: ")]
    assert {line.split("/")[-1].split(": ")[0] for line in skipped} == names
    done = ssah("search", index, folder, "-k", 2, "--json", "--html", tmp_path / "page.html")
    assert len(json.loads(done.stdout)) == len(ids) - len(bad)
    assert done.stderr.count("skipped: ") == len(bad)
    done = ssah("duplicates", index, "--csv", tmp_path / "found.csv", "--html", tmp_path / "p.html")
    assert "copies" in done.stdout
    assert "distinct codes" in ssah("stats", index).stdout


def test_links_to_folders_are_not_followed(scanned):
    assert not any(name.startswith("loop/") for name in scanned[0])


def test_too_many_bad_files_are_refused(folder, scanned):
    ids = scanned[0]
    with pytest.raises(DataError, match="image files cannot be read"):
        file_set(folder, ids, np.ones((len(ids), 1), np.uint8), ("x",))


def test_set_of_what_is_left(folder, tmp_path):
    """The set that a label file makes of the folder: good files only, in the order of the scan."""
    root = tmp_path / "photos"
    root.mkdir()
    os.symlink(folder, root / "torture")  # a link to a folder: passed over
    for k in range(300):
        (root / f"{k}.png").write_bytes(encoded(plain(colour=(k % 256, 0, 0)), "PNG"))
    for name in ("empty.jpg", "cut at 0.5.jpg", "huge.png"):
        (root / name).write_bytes(bad_files()[name])
    table = tmp_path / "l.csv"
    table.write_text("path,label\n" + "".join(f"{k}.png,{k % 2}\n" for k in range(300)))
    loaded = load_images(str(root), str(table))
    assert set(loaded.bad) == {"empty.jpg", "cut at 0.5.jpg", "huge.png"}
    assert len(loaded.images) == 300


def test_bomb_takes_no_memory(folder):
    """It is refused by its header: nobody holds its 400 million pixels."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    check(str(folder / "huge.png"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB
