"""A photo of any format goes in everywhere: checked, trained on, encoded, indexed, searched for."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ssah_tf import Encoder
from ssah_tf.data import formats, load_images
from ssah_tf.data.check import check_data
from ssah_tf.data.found import find_again
from ssah_tf.data.split import make_split
from ssah_tf.encoding.encode import encode_files, find_images
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.serve import decoders

#: Kind -> its colour: no two have the same code.
COLOURS = {
    "jpg": (230, 30, 30),
    "png": (30, 230, 30),
    "webp": (30, 30, 230),
    "bmp": (230, 230, 30),
    "gif": (230, 30, 230),
    "tif": (30, 230, 230),
    "avif": (130, 30, 30),
    "heic": (30, 130, 30),
    "dng": (30, 30, 130),
    "cr2": (130, 130, 30),
    "cr3": (130, 30, 130),
    "nef": (30, 130, 130),
    "arw": (230, 130, 30),
    "orf": (30, 230, 130),
    "rw2": (130, 30, 230),
}
EXTRAS = {"heic": "heic", **dict.fromkeys(("dng", "cr2", "cr3", "nef", "arw", "orf", "rw2"), "raw")}


@pytest.fixture(scope="module")
def photos(tmp_path_factory, files):
    """Two class folders with a photo of every format, and a raw file beside its JPEG."""
    folder = tmp_path_factory.mktemp("formats") / "photos"
    assert tuple(COLOURS) == files.KINDS
    for name, shade in (("a", 0), ("b", 20)):
        (folder / name).mkdir(parents=True)
        for kind, colour in COLOURS.items():
            image = Image.new("RGB", (320, 240), tuple(value + shade for value in colour))
            (folder / name / f"{kind}.{kind}").write_bytes(files.picture_file(kind, image))
    (folder / "a" / "jpg.cr2").write_bytes((folder / "a" / "cr2.cr2").read_bytes())
    return folder


@pytest.fixture(scope="module")
def index(photos, write_encoder):
    """Folders of an index of the photos, and of its encoder."""
    folder = photos.parent / "encoder"
    folder.mkdir()
    write_encoder(folder / "encoder.onnx")
    encoder = Encoder.load(folder)
    with PhotoIndex.open(photos.parent / "index", encoder) as index:
        index.sync(encoder, [photos])
    return photos.parent / "index", folder


def expected(kind, shade=0):
    return tuple(value + shade for value in COLOURS[kind])


def test_trained_on_and_found_again(photos, tmp_path):
    """Every file is an image of the set; the pair of a JPEG is told."""
    loaded = load_images(str(photos))
    assert len(loaded.images) == 2 * len(COLOURS)
    assert loaded.bad == {}
    assert loaded.passed.line() == (
        "1 image file passed over: 1 raw beside a picture of the same name"
    )
    pixels = loaded.images.hold(8, 100).pixels
    for name, image in zip(loaded.images.ids, pixels, strict=True):
        colour = expected(name.rpartition(".")[2], 20 if name.startswith("b/") else 0)
        np.testing.assert_allclose(image[4, 4].astype(int), colour, atol=6)
    split = make_split(loaded.images, validation_per_class=1, query_per_class=2, as_available=True)
    assert find_again(split, str(photos), None).lines() == []
    report = check_data(loaded)
    assert (report.images, report.bad_files, report.exact_duplicates) == (30, {}, [])
    assert report.warnings()[-1].endswith("images are of one level: blank, or of an unknown range")
    copy = shutil.copytree(photos, tmp_path / "photos")
    (copy / "a" / "heic.heic").rename(copy / "a" / "other.HEIC")
    found = find_again(split, str(copy), None)
    assert found.moved == {"a/heic.heic": "a/other.HEIC"}


def test_encoded(photos, tmp_path, index, shared):
    """The codes are those of the colours."""
    encoder = Encoder.load(index[1])
    scanned = find_images([photos])
    done = encode_files(encoder, scanned.paths, tmp_path / "codes.npy")
    assert (done.images, done.bad) == (30, {})
    codes = np.load(tmp_path / "codes.npy")
    names = json.loads((tmp_path / "codes.npy.json").read_text())["paths"]
    for name, code in zip(names, codes, strict=True):
        shade = 20 if "/b/" in name else 0
        assert code.tobytes().hex() == shared.code_of(*expected(name.rpartition(".")[2], shade))
    paths = [str(photos / "a" / f"{kind}.{kind}") for kind in COLOURS]
    np.testing.assert_array_equal(encoder.encode(paths), codes[[names.index(p) for p in paths]])
    contents = [(photos / "a" / f"{kind}.{kind}").read_bytes() for kind in COLOURS]
    np.testing.assert_array_equal(encoder.encode(contents), encoder.encode(paths))


@pytest.mark.parametrize("kind", COLOURS)
def test_indexed_and_searched_for(photos, index, ssah, kind):
    """A photo finds itself first."""
    query = str(photos / "b" / f"{kind}.{kind}")
    code, out, _ = ssah("search", index[0], query, "-k", "1", "--json")
    assert code == 0
    (row,) = json.loads(out)
    assert row["neighbours"][0]["path"] == query
    assert row["neighbours"][0]["distance"] == 0


def test_served(photos, index, client):
    """As the picture that is searched for, and as a picture of the page."""

    class Folder:
        folder = index[0]

    service = client(Folder)
    for kind in COLOURS:
        path = photos / "a" / f"{kind}.{kind}"
        for body in ({"content": path.read_bytes()}, {"files": {"image": path.read_bytes()}}):
            answer = service.post("/search", params={"k": 1}, **body)
            assert answer.status_code == 200, answer.text
            (photo,) = answer.json()["neighbours"]
            assert photo["path"] == f"a/{kind}.{kind}" or photo["path"] == str(path)
        for link in ("thumbnail", "image"):
            if link in photo:
                drawn = service.get(photo[link])
                assert drawn.status_code == 200
                assert drawn.headers["content-type"] in ("image/jpeg", "image/png")


@pytest.mark.parametrize("kind", ["heic", "dng"])
def test_without_the_extra(photos, index, client, monkeypatch, ssah, kind):
    """Everywhere the same line; an index forgets no photo for that."""
    monkeypatch.setattr(formats, "installed", lambda module: module == "PIL._avif")
    query = str(photos / "b" / f"{kind}.{kind}")
    code, _, err = ssah("search", index[0], query, "-k", "1")
    install = f"pip install 'ssah-tf[{EXTRAS[kind]}]'"
    assert code == 1
    assert f"to read it, {install}\n" in err

    class Folder:
        folder = index[0]

    lack = "from ssah_tf.data import formats; formats.installed = lambda m: m == 'PIL._avif'; from "
    code = decoders.CODE.replace("from ", lack, 1)
    monkeypatch.setattr(decoders, "CODE", code)
    answer = client(Folder).post("/search", content=(photos / "b" / f"{kind}.{kind}").read_bytes())
    assert answer.status_code == 422
    assert answer.json()["error"].endswith(f": to read it, {install}")


def test_a_folder_without_the_extras(photos, index, monkeypatch, ssah, tmp_path):
    """What is passed over is counted, with what to install; the index sets it aside, whole."""
    present = formats.installed
    monkeypatch.setattr(formats, "installed", lambda module: module == "PIL._avif")
    counts = "2 .arw, 2 .cr2, 2 .cr3, 2 .dng, 2 .heic, 2 .nef, 2 .orf, 2 .rw2"
    line = f"17 image files passed over: {counts}, 1 raw beside a picture of the same name"
    line += " (to read more of them: pip install 'ssah-tf[heic,raw]')"
    code, out, _ = ssah("data", "check", photos, "--no-near")
    assert code == 0
    assert f"warning: {line}\n" in out
    own = shutil.copytree(index[0], tmp_path / "index")
    words = ("index", index[1], photos, "--output", own)
    code, _, err = ssah(*words)
    assert code == 0
    assert line in err.splitlines()
    with PhotoIndex.open(own) as opened:
        assert (len(opened), len(opened.missing)) == (14, 16)
    monkeypatch.setattr(formats, "installed", present)
    assert ssah(*words)[0] == 0
    with PhotoIndex.open(own) as opened:
        assert (len(opened), len(opened.missing)) == (30, 0)
