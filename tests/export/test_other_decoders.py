"""docs/decode.md: each call of each program, on each kind of file, against our own decoder.

The page is the source: its code is run, and its tables say what must come out.
"""

import base64
import io
import json
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssah_tf import Encoder
from ssah_tf.data.decode import readable

PAGE = Path(__file__).parents[2] / "docs" / "decode.md"
#: Side of the encoder's images.
SIZE = 28
PROGRAMS = ("TensorFlow", "OpenCV", "Pillow", "sharp", "browser")
CALLS = {"pixels": "The calls to take", "plain": "The calls that one would write first"}
XMP = b'<x:xmpmeta xmlns:tiff="-"><r tiff:Orientation="6"/></x:xmpmeta>'


def code_of(program):
    """The block of a program, by the second word behind its fence."""
    (found,) = re.findall(
        rf"^```\w+ {program.lower()}\n(.*?)^```", PAGE.read_text(), flags=re.M | re.S
    )
    return found


def table_of(heading):
    """Kind of file -> what each program makes of it, as the page has it."""
    text = PAGE.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    assert rows[0] == ["file", *PROGRAMS]
    return {kind: dict(zip(PROGRAMS, cells, strict=True)) for kind, *cells in rows[2:]}


def bmp_of(indices, palette, bits):
    """A BMP of 1 or 4 bits a pixel: indices `(height, width)`, colours `(n, 3)`."""
    height, width = indices.shape
    places = np.zeros((height, -(-width * bits // 32) * 32 // bits), np.uint8)
    places[:, :width] = indices
    shifts = np.arange(8 - bits, -1, -bits)
    packed = (places.reshape(height, -1, 8 // bits) << shifts).sum(axis=2).astype(np.uint8)
    body = packed[::-1].tobytes()
    colours = b"".join(bytes([*colour[::-1].tolist(), 0]) for colour in palette)
    start = 54 + len(colours)
    head = struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start)
    info = (40, width, height, 1, bits, 0, len(body), 2835, 2835, len(palette), 0)
    return head + struct.pack("<IiiHHIIiiII", *info) + colours + body


def png_of_grey(values, clear):
    """A PNG of 4 bits of grey `(height, width)`, an even width, whose level `clear` is clear."""
    height, width = values.shape
    rows = (values[:, ::2] << 4 | values[:, 1::2]).astype(np.uint8)
    lines = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 4, 0, 0, 0, 0)),
        (b"tRNS", struct.pack(">H", clear)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    )


def contents_by_kind(profile):
    """Kind of file, as the page names it -> contents of some files of it."""
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (20, 26, 4), dtype=np.uint8))
    rgba = small.resize((104, 77), Image.Resampling.BICUBIC)
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")

    def saved(image, kind, **options):
        file = io.BytesIO()
        image.save(file, kind, **options)
        return file.getvalue()

    def turned(kind, image=rgb, **options):
        """Seven orientations."""
        found = []
        for way in range(2, 9):
            exif = Image.Exif()
            exif[0x0112] = way
            found.append(saved(image, kind, exif=exif, **options))
        return found

    sixteen = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    palette = rng.integers(0, 256, (16, 3), dtype=np.uint8)
    places = rng.integers(0, 16, (77, 104), dtype=np.uint8)
    jpegs = [saved(rgb, "JPEG", subsampling=way, quality=90) for way in range(3)]
    jpegs += [saved(rgb, "JPEG", progressive=True), saved(grey, "JPEG")]
    return {
        "JPEG: 4:4:4, 4:2:2, 4:2:0, progressive, grey": jpegs,
        "JPEG, turned by EXIF": turned("JPEG"),
        "JPEG, turned by XMP alone": [saved(rgb, "JPEG", xmp=XMP)],
        "JPEG, colours of Display P3": [saved(rgb, "JPEG", icc_profile=profile)],
        "JPEG, CMYK": [saved(rgb.convert("CMYK"), "JPEG")],
        "JPEG, four times the encoder's size": [saved(rgb.resize((416, 308)), "JPEG")],
        "PNG: RGB, grey, palette": [
            saved(image, "PNG") for image in (rgb, grey, rgb.quantize(64), grey.convert("1"))
        ],
        "PNG, transparent": [
            saved(rgba, "PNG"),
            saved(rgba.convert("LA"), "PNG"),
            saved(rgba.quantize(64), "PNG"),
            saved(rgb, "PNG", transparency=rgb.getpixel((3, 3))),
        ],
        "PNG, 4 bits of grey, one level clear": [png_of_grey(places, 3)],
        "PNG, 16 bits": [saved(sixteen, "PNG")],
        "PNG, turned by EXIF": turned("PNG"),
        "PNG, transparent and turned": turned("PNG", rgba),
        "WebP, lossy or lossless": [saved(rgb, "WEBP"), saved(rgb, "WEBP", lossless=True)],
        "WebP, transparent": [saved(rgba, "WEBP", lossless=True)],
        "WebP, turned by EXIF": turned("WEBP", lossless=True),
        "BMP, 24 bits": [saved(rgb, "BMP")],
        "BMP, grey of 8 bits": [saved(grey, "BMP")],
        "BMP, palette of 8 bits": [saved(rgb.quantize(200), "BMP")],
        "BMP, palette of 4 bits": [bmp_of(places, palette, 4)],
        "BMP, 1 bit": [bmp_of(places % 2, palette[:2], 1)],
    }


#: Prints what became of each file by each call: width, height and pixels; null if it is refused.
IN_PYTHON = """
import base64, json, sys
for path in sys.argv[1:]:
    with open(path, "rb") as file:
        content = file.read()
    for call in (lambda content: pixels(content, SIZE), plain):
        try:
            found = call(content)
            said = [*found.shape[1::-1], base64.b64encode(found.astype("uint8").tobytes()).decode()]
        except Exception:
            said = None
        print(json.dumps(said))
"""
IN_NODE = """
import { readFileSync } from "node:fs";
for (const path of process.argv.slice(2)) {
  for (const call of [pixels, plain]) {
    let said = null;
    try {
      const { data, width, height } = await call(readFileSync(path));
      said = [width, height, Buffer.from(data).toString("base64")];
    } catch {}
    console.log(JSON.stringify(said));
  }
}
"""
IN_BROWSER = """
const [content, done] = arguments;
const file = new Blob([Uint8Array.from(atob(content), (c) => c.charCodeAt(0))]);
const say = ({ data, width, height }) =>
  [width, height, btoa(Array.from(data, (value) => String.fromCharCode(value)).join(""))];
Promise.all([pixels, plain].map((call) => call(file).then(say, () => null))).then(done);
"""


def printed_by(command, paths):
    done = subprocess.run([*command, *paths], stdout=subprocess.PIPE, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return list(zip(lines[::2], lines[1::2], strict=True))


def in_python(python, program):
    return [python, "-c", f"{code_of(program)}\nSIZE = {SIZE}\n{IN_PYTHON}"]


def by_tensorflow(paths, request):
    return printed_by(in_python(sys.executable, "TensorFlow"), paths)


def by_pillow(paths, request):
    return printed_by(in_python(sys.executable, "Pillow"), paths)


def by_opencv(paths, request):
    folder = request.getfixturevalue("tmp_path_factory").mktemp("opencv")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    install = [folder / "bin" / "pip", "install", "--quiet", "opencv-python-headless==5.0.0.93"]
    subprocess.run(install, check=True)
    return printed_by(in_python(folder / "bin" / "python", "OpenCV"), paths)


def by_sharp(paths, request):
    if shutil.which("npm") is None:
        pytest.skip("Node.js is not installed")
    folder = request.getfixturevalue("tmp_path_factory").mktemp("sharp")
    install = ["npm", "install", "--no-audit", "--no-fund", "sharp@0.35.5"]
    subprocess.run(install, cwd=folder, check=True, capture_output=True)
    (folder / "decode.mjs").write_text(code_of("sharp") + IN_NODE)
    return printed_by(["node", folder / "decode.mjs"], paths)


def by_browser(paths, request):
    driver = request.getfixturevalue("driver")
    driver.get("about:blank")
    script = code_of("browser") + IN_BROWSER
    contents = [base64.b64encode(path.read_bytes()).decode() for path in paths]
    return [driver.execute_async_script(script, content) for content in contents]


def picture_of(said):
    """What a call gave, as a picture of Pillow."""
    width, height, content = said
    data = base64.b64decode(content)
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[len(data) // (width * height)]
    return Image.frombytes(mode, (width, height), data)


def on_white(image):
    """RGB `(height, width, 3)`."""
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB")).astype(int)


def ours(content, laid):
    """Our decoder's picture upright, and as it is stored: `(height, width, 3)` each."""
    with readable(content, SIZE) as image, Image.open(io.BytesIO(content)) as file:
        upright = image.rgb()
        back = laid.get(file.getexif().get(0x0112, 1))
        stored = upright if back is None else upright.transpose(back)
        return np.asarray(upright).astype(int), np.asarray(stored).astype(int)


def verdict(said, content, encoder, laid):
    """A word of the page, for what a call made of a file; `laid`: see `picture_files.py`."""
    if said is None:
        return "refused"
    found, (wanted, stored) = picture_of(said), ours(content, laid)
    pixels = on_white(found)
    if pixels.shape == wanted.shape and (pixels == wanted).all():
        np.testing.assert_array_equal(encoder.encode([found]), encoder.encode([content]))
        return "same"
    if not (wanted.shape == stored.shape and (wanted == stored).all()) and near(pixels, stored):
        return "not turned"
    with Image.open(io.BytesIO(content)) as image:
        if image.mode == "P" and (pixels == np.asarray(image)[..., None]).all():
            return "indices"
    if near(pixels, wanted):
        return "near"
    return "full size" if pixels.size > wanted.size else "others"


def near(found, wanted):
    return found.shape == wanted.shape and np.abs(found - wanted).max() <= 8


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS)
def test_calls_of_the_page(program, exported, profiles, files, tmp_path, request):
    """Each cell of both tables, by the code of the page."""
    encoder = Encoder.load(exported[1])
    assert encoder.image_size == SIZE
    kinds = contents_by_kind(profiles["display p3"])
    paths, of_kind = [], []
    for kind, contents in kinds.items():
        for content in contents:
            paths.append(tmp_path / f"{len(paths):02d}.bin")
            paths[-1].write_bytes(content)
            of_kind.append(kind)
    answers = globals()[f"by_{program.lower()}"](paths, request)
    for place, (call, heading) in enumerate(CALLS.items()):
        found = {}
        for kind, path, said in zip(of_kind, paths, answers, strict=True):
            word = verdict(said[place], path.read_bytes(), encoder, files.LAID)
            found.setdefault(kind, []).append(word)
        words = {kind: ", ".join(dict.fromkeys(some)) for kind, some in found.items()}
        assert words == {kind: row[program] for kind, row in table_of(heading).items()}, call
