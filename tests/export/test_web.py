"""What the module for browsers reads of files, run in Node.js, against Pillow and our own rule.

`tests/serve/test_coding.py` runs the whole of it in a browser.
"""

import base64
import io
import json
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ssah_tf.data.colour import profile_of
from ssah_tf.data.icc import is_srgb
from ssah_tf.export.web import RUNTIME, VERSION, files_of_coding
from ssah_tf.system.errors import SsahError

CLIENTS = Path(__file__).parents[2] / "export" / "clients"
NODE = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
#: Prints what is read of each file, a line of JSON each.
READ = f"""
import {{ readFileSync }} from "node:fs";
import {{ readJpeg }} from "{(CLIENTS / "web" / "jpeg.mjs").as_uri()}";
import {{ readPng }} from "{(CLIENTS / "web" / "png.mjs").as_uri()}";
import {{ metadataOf }} from "{(CLIENTS / "web" / "onnx_metadata.mjs").as_uri()}";
for (const file of process.argv.slice(1)) {{
  const bytes = new Uint8Array(readFileSync(file));
  let found;
  try {{
    if (file.endsWith(".onnx")) found = Object.fromEntries(metadataOf(bytes));
    else found = await (file.endsWith(".png") ? readPng : readJpeg)(bytes);
    if (found.bare) found.bare = Buffer.concat(found.bare).toString("base64");
  }} catch (error) {{ found = {{ refused: error.message }}; }}
  console.log(JSON.stringify(found));
}}
"""
XMP = b'<x:xmpmeta xmlns:tiff="-"><r tiff:Orientation="%d"/></x:xmpmeta>'


def read(paths):
    command = ["node", "--input-type=module", "-e", READ, "--", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def exif(orientation):
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def chunks(file, *more):
    """Put chunks behind the head of a PNG file."""
    content = file.read_bytes()
    parts = (
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in more
    )
    file.write_bytes(content[:33] + b"".join(parts) + content[33:])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, profiles):
    """Files that are read, by name."""
    folder = tmp_path_factory.mktemp("pictures")
    rgba = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8))
    rgb, grey = rgba.convert("RGB"), rgba.convert("L")
    for number in range(1, 9):
        for ending in ("jpg", "png"):
            rgb.save(folder / f"exif-{number}.{ending}", exif=exif(number))
        rgb.save(folder / f"xmp-{number}.jpg", xmp=XMP % number)
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", (XMP % number).decode())
        rgb.save(folder / f"xmp-{number}.png", pnginfo=text)
    rgb.save(folder / "both.jpg", exif=exif(6), xmp=XMP % 3)
    big = exif(8)
    big.endian = ">"
    rgb.save(folder / "big-endian.jpg", exif=big)
    rgb.save(folder / "comment.jpg", comment=b"x" * 100, progressive=True)
    for name, profile in profiles.items():
        picture = grey if "grey" in name else rgb
        for ending in ("jpg", "png"):
            picture.save(folder / f"profile-{name}.{ending}".replace(" ", "-"), icc_profile=profile)
    rgb.save(folder / "long-profile.jpg", icc_profile=profiles["display p3"] + bytes(70_000))
    rgb.save(folder / "no-profile.jpg", icc_profile=b"nothing of the kind")
    for name, picture in (("rgba", rgba), ("la", rgba.convert("LA")), ("l", grey)):
        picture.save(folder / f"{name}.png")
    rgb.quantize(16).save(folder / "p.png")
    rgba.quantize(16).save(folder / "p-alpha.png")
    rgb.save(folder / "clear.png", transparency=(1, 2, 3))
    for name, more in {
        "srgb": [(b"sRGB", b"\0")],
        "gamma": [(b"gAMA", struct.pack(">I", 45455))],
        "gamma-1": [(b"gAMA", struct.pack(">I", 100_000))],
        "gamma-colours": [
            (b"gAMA", struct.pack(">I", 45455)),
            (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
        ],
        "cicp": [(b"cICP", b"\x01\x0d\0\x01"), (b"gAMA", struct.pack(">I", 100_000))],
    }.items():
        rgb.save(folder / f"{name}.png")
        chunks(folder / f"{name}.png", *more)
    return sorted(folder.iterdir())


@NODE
def test_files_as_python_reads_them(pictures):
    """Size, orientation, colours, transparency; without its metadata a file has the same pixels."""
    turned = 0
    for path, found in zip(pictures, read(pictures), strict=True):
        with Image.open(path) as image:
            orientation = Image.Image.getexif(image).get(0x0112, 1)
            profile = profile_of(image)
            srgb = profile is None or is_srgb(profile)
            pixels = np.asarray(image.convert("RGBA"))
            assert (found["width"], found["height"]) == image.size, path.name
        assert found["orientation"] == orientation, path.name
        assert found["alpha"] == (path.stem in {"rgba", "la", "p-alpha", "clear"}), path.name
        # A profile that is none is passed over in Python, and left to the browser.
        assert found["srgb"] == (srgb and path.stem != "no-profile"), path.name
        turned += orientation != 1
        with Image.open(io.BytesIO(base64.b64decode(found["bare"]))) as bare:
            np.testing.assert_array_equal(np.asarray(bare.convert("RGBA")), pixels, path.name)
            assert not {"exif", "xmp", "comment"} & set(bare.info), path.name
            assert (profile_of(bare) is None) == found["srgb"], path.name
            assert dict(Image.Image.getexif(bare)) == {}, path.name
    assert turned >= 28


@NODE
def test_what_is_refused(tmp_path):
    """Each with a line that says why."""
    rgb = Image.new("RGB", (6, 4), "red")
    files = {}

    def put(name, why, **options):
        rgb.save(tmp_path / name, **options)
        files[tmp_path / name] = why
        return tmp_path / name

    put("cmyk.jpg", "CMYK")
    rgb.convert("CMYK").save(tmp_path / "cmyk.jpg")
    cut = put("cut.jpg", "damaged")
    cut.write_bytes(cut.read_bytes()[:100])
    odd = put("odd.jpg", "EXIF data are damaged", exif=b"Exif\0\0no header")
    assert b"no header" in odd.read_bytes()
    put("deep.png", "16 bits")
    Image.fromarray(np.zeros((4, 6), np.uint16)).save(tmp_path / "deep.png")
    chunks(put("cicp.png", "cICP"), (b"cICP", b"\x09\x10\0\x01"))
    text = PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n0\n")
    put("raw.png", "may say how it lies", pnginfo=text)
    packed = PngInfo()
    packed.add_itxt("XML:com.adobe.xmp", "<x/>", zip=True)
    put("packed.png", "may say how it lies", pnginfo=packed)
    cut = put("cut.png", "damaged")
    cut.write_bytes(cut.read_bytes()[:50])
    behind = put("behind.png", "where they are not expected")
    content = behind.read_bytes()
    body = b"eXIf" + exif(6).tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    behind.write_bytes(content[:-12] + chunk + content[-12:])
    for (path, why), found in zip(files.items(), read(files), strict=True):
        assert why in found["refused"], (path.name, found)


@NODE
def test_metadata(tmp_path):
    """Of a file with numbers of many bytes before it; what is no ONNX file is told."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = numpy_helper.from_array(np.zeros(300_000, np.float32), "weights")
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, [300_000])
    graph = helper.make_graph(
        [helper.make_node("Add", ["images", "weights"], ["codes"])],
        "g",
        [given],
        [helper.make_tensor_value_info("codes", TensorProto.FLOAT, [300_000])],
        [weights],
    )
    about = {"model_id": "abc", "bits": "48", "name": "Vögel", "empty": ""}
    model = helper.make_model(graph, model_version=2**60)
    helper.set_model_props(model, about)
    onnx.save(model, tmp_path / "good.onnx")
    (tmp_path / "cut.onnx").write_bytes((tmp_path / "good.onnx").read_bytes()[:1000])
    (tmp_path / "none.onnx").write_bytes(b"\xff\xff not at all")
    found = read([tmp_path / name for name in ("good.onnx", "cut.onnx", "none.onnx")])
    assert found == [about, {"refused": "not an ONNX file"}, {"refused": "not an ONNX file"}]


def test_pictures_that_try_a_browser():
    """Pillow's pixels are those that a browser has to give."""
    for name in ("probe.jpg", "probe.png"):
        with Image.open(CLIENTS / "web" / name) as image:
            assert image.tobytes() == (CLIENTS / "web" / "probe.rgb").read_bytes()


@pytest.mark.slow
def test_files_are_in_the_wheel(tmp_path):
    """Installed by pip the files are there, too."""
    root = CLIENTS.parents[1]
    for name in ("ssah_tf", "training", "export"):
        shutil.copytree(root / name, tmp_path / name)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(root / name, tmp_path)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, tmp_path]
    subprocess.run(command, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"ssah_tf/export/clients/web/{path.name}" for path in (CLIENTS / "web").iterdir()}
    assert len(wanted) > 10
    assert wanted | {"ssah_tf/export/clients/prepare.mjs", "ssah_tf/serve/web/search.js"} <= held


def test_files_of_a_page(tmp_path):
    """All that a page loads is among them; where the runtime lacks, the way to it is said."""
    for name in RUNTIME:
        with pytest.raises(SsahError, match=rf"{name}: No such file .*onnxruntime-web@{VERSION}"):
            files_of_coding(tmp_path)
        (tmp_path / name).write_bytes(name.encode())
    files = files_of_coding(tmp_path)
    assert files[f"runtime/{RUNTIME[0]}"] == RUNTIME[0].encode()
    assert files["prepare.mjs"] == (CLIENTS / "prepare.mjs").read_bytes()
    assert {"web/encoder.mjs", "web/probe.jpg", "web/probe.png", "web/probe.rgb"} <= set(files)
    assert not any("index." in name for name in files)
