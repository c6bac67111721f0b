"""Files of a user are data: whatever is in them, reading gives a value or one clear line.

100,000 inputs in the long form: bytes of good files with random edits, and good JSON in which parts
are replaced. Anything but a value or an `SsahError` of one line fails.
"""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ssah_tf.data import ImageSet, Split
from ssah_tf.data.decode import decode
from ssah_tf.data.files import check
from ssah_tf.data.labels import label_rows, read_labels
from ssah_tf.data.perceptual_hash import BYTES as HASH_BYTES
from ssah_tf.encoding.record_file import read_records, write_records
from ssah_tf.encoding.records import Records
from ssah_tf.export.manifest import read_manifest, write_manifest
from ssah_tf.search.backends.folder import FolderStorage
from ssah_tf.search.backends.storage import State
from ssah_tf.search.code_index import CodeIndex
from ssah_tf.search.filters import matching
from ssah_tf.search.missing import Aside, Missing, from_bytes, read_older, to_bytes
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import Photo, PhotoTable
from ssah_tf.system.errors import SsahError
from ssah_tf.training.recipe import RECIPES, Recipe, load_recipe
from ssah_tf.training.run import Run

#: Inputs of each of the 15 readers in the short and in the long form: 15 x 7,000 > 100,000.
SHORT, LONG = 20, 7000

#: Pieces that have broken parsers.
PIECES = [
    *(
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\r",
        b"\n\n",
        b"\t",
        b'"',
        b"'",
        b"\\",
        b"../",
        b"/etc",
    ),
    *(b"%s", b"{", b"}", b"[", b"]", b"[" * 3000, b"{a: " * 500, b'{"a":' * 3000, b"- " * 2000),
    *(b"&a ", b"*a", b"<<: ", b"? ", b"!!python/object/apply:os.system ['true']", b"!!timestamp x"),
    *(b"!!int ''", b"!!float x", b"!!binary x", b"!!set x", b"!!omap x", b"!!pairs x", b"!!null x"),
    *(b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 5000, b"0x", b"1:60", b"2024-99-99", b"null"),
    *(b"true", b"\\ud800", b"\xed\xa0\x80", b"\xe2\x80\xa8", b"\x1b[2J", b"---\n", b"...\n", b"%Y"),
    *(
        b"path",
        b"label",
        b",",
        b";",
        b" 0 1",
        b"\x00\x00\x00\x00",
        b"\xff\xff\xff\xff",
        b"a" * 9000,
    ),
]

edits = st.lists(
    st.tuples(
        st.sampled_from(["insert", "replace", "delete", "repeat", "cut"]),
        st.floats(0, 1),
        st.one_of(st.sampled_from(PIECES), st.binary(max_size=6)),
    ),
    max_size=5,
)

values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["../../etc/passwd", "/etc/passwd", "a\nb", "\ud800", 10**400, -1, 2**63]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


def edited(content: bytes, changes) -> bytes:
    """The bytes after some edits; each place is a share of the length."""
    for kind, share, piece in changes:
        at = int(share * len(content))
        end = at + max(1, len(piece))
        if kind == "insert":
            content = content[:at] + piece + content[at:]
        elif kind == "replace":
            content = content[:at] + piece + content[end:]
        elif kind == "delete":
            content = content[:at] + content[end:]
        elif kind == "repeat":
            content = content[:end] + content[at:end] * 3 + content[end:]
        else:
            content = content[:at]
    return content


def grafted(tree, where: list[float], value):
    """JSON in which one part, found by shares of the way down, is another value."""
    if not where or not isinstance(tree, dict | list) or not tree:
        return value
    key = (list(tree) if isinstance(tree, dict) else range(len(tree)))[int(where[0] * len(tree))]
    changed = dict(tree) if isinstance(tree, dict) else list(tree)
    changed[key] = grafted(tree[key], where[1:], value)
    return changed


def bytes_like(*seeds: bytes):
    """Bytes of good files with some edits; sometimes bytes of nothing."""
    return st.one_of(st.builds(edited, st.sampled_from(seeds), edits), st.binary(max_size=60))


def json_like(seed):
    """Files like a good JSON file, edited as text or as a tree."""
    place = st.lists(st.floats(0, 0.999), max_size=4)
    tree = st.builds(lambda w, v: json.dumps(grafted(seed, w, v)).encode(), place, values)
    return st.one_of(bytes_like(json.dumps(seed).encode()), tree)


def clean(read, *arguments):
    """A value, or an error for a person: one line. Anything else is a bug of ours."""
    try:
        return read(*arguments)
    except SsahError as error:
        assert len(str(error).splitlines()) == 1, str(error)
        assert str(error).isprintable(), str(error)
        return None


@pytest.fixture(params=[SHORT, pytest.param(LONG, marks=pytest.mark.slow)], ids=["short", "long"])
def fuzz(request, tmp_path):
    """Feeds inputs to a reader: each is put into a file, and the reader called."""

    def run(inputs, read, name="file"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)

        @settings(
            max_examples=request.param,
            deadline=None,
            database=None,
            derandomize=request.param == SHORT,
            suppress_health_check=list(HealthCheck),
        )
        @given(inputs)
        def one(content):
            path.write_bytes(content)
            clean(read, path)

        one()

    return run


def test_recipe(fuzz):
    seeds = [path.read_bytes() for path in sorted(RECIPES.glob("*.yaml"))]

    def read(path):
        recipe = load_recipe(path)
        recipe.save(path)
        assert load_recipe(path) == recipe

    fuzz(bytes_like(*seeds), read, "recipe.yaml")


def test_recipe_of_a_resumed_run(fuzz):
    """The tree of a whole recipe with parts replaced: what pydantic has to say to it."""
    seed = load_recipe("fashion").model_dump()
    fuzz(json_like(seed), load_recipe, "recipe.yaml")


def test_override(fuzz):
    def read(path):
        words = path.read_bytes().decode("utf-8", "replace")
        assert isinstance(load_recipe("fashion", (words,)), Recipe)

    fuzz(bytes_like(b"model.bits=64", b"data.source=/a/b", b"loss.options={scale: 2}"), read)


CSV = 'path,label\na/1.jpg,cat\nb/2.jpg,"cat;dog"\nc/é.png,\n'.encode()


@pytest.mark.parametrize(
    ("name", "seeds"),
    [
        ("l.csv", (CSV, CSV.decode().encode("utf-16"), CSV.replace(b"\n", b"\r\n"))),
        (
            "l.jsonl",
            (
                b'{"path": "a/1.jpg", "label": "cat"}\n{"path": "b/2.jpg", "label": ["x", "y"]}\n',
                b'{"path": "c.png", "label": null}\n',
            ),
        ),
        ("l.txt", (b"a/1.jpg 0 1 0\nb/2.jpg 1 0 0\n../../etc/passwd 0 0 1\n",)),
    ],
)
def test_label_and_list_files(fuzz, name, seeds):
    """Whatever a list says, only images that were found below the folder get labels."""
    ids = ["a/1.jpg", "b/2.jpg", "c/é.png"]

    def read(path):
        rows, _ = label_rows(read_labels(path), ids)
        assert len(rows) == len(ids)

    fuzz(bytes_like(*seeds), read, name)


def test_image(fuzz):
    """Bytes of small images of every kind; decoded, or a reason given."""
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    seeds = []
    for kind, options in {
        "PNG": {},
        "JPEG": {"exif": exif},
        "WEBP": {},
        "GIF": {},
        "BMP": {},
        "TIFF": {"compression": "tiff_lzw"},
    }.items():
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        seeds.append(stream.getvalue())

    def read(path):
        digest, reason = check(str(path))
        assert bool(digest) != bool(reason)
        assert len(reason.splitlines()) <= 1
        assert decode(path.read_bytes(), 8).shape == (8, 8, 3)

    fuzz(bytes_like(*seeds), read, "a.jpg")


def test_manifest(fuzz, tmp_path):
    folder = tmp_path / "export"
    (folder / "saved_model").mkdir(parents=True)
    for name in ("encoder.onnx", "saved_model/saved_model.pb"):
        (folder / name).write_bytes(name.encode())
    write_manifest(folder, {"model_id": "abc", "bits": 12, "image_size": 28})
    seed = json.loads((folder / "encoder.json").read_bytes())
    fuzz(json_like(seed), lambda path: read_manifest(path.parent), "export/encoder.json")


IMAGES = ImageSet(
    name="set",
    ids=tuple("abcdef"),
    labels=np.eye(2, dtype=np.uint8)[np.arange(6) % 2],
    classes=("x", "y"),
    digests=tuple("123456"),
)


def test_split(fuzz, tmp_path):
    Split(("a", "b"), ("c",), ("d",), ("e", "f"), ("a", "b", "d"), 0, "by hand").save(
        tmp_path / "s"
    )
    seed = json.loads((tmp_path / "s").read_bytes())
    fuzz(json_like(seed), lambda path: Split.load(path).check(IMAGES), "split.json")


def saved_index(folder: Path) -> Path:
    """An index of 20 photos on disk; they share codes and their ids have gaps."""
    held = CodeIndex(12, "abc", "numpy")
    numbers = [2 * k for k in range(20)]
    codes = np.array([[k % 5, 16 * (k % 5)] for k in range(20)], np.uint8)
    held.add(numbers, codes)
    photos = {k: Photo(f"/photos/{k}.png", f"{k:064x}", 1, 1, ("cat", "dog")) for k in numbers}
    aside = {1: Aside(Photo("/photos/1.png", f"{1:064x}", 1, 1, ("cat",)), bytes(2))}
    state = State(held, PhotoTable.of(photos), 28, next_id=40, missing=Missing.of(aside))
    FolderStorage(folder).save(state)
    return folder


@pytest.mark.parametrize(
    "name",
    [
        "photos.json",
        "index.json",
        "photos.parquet",
        "missing.parquet",
        "ids",
        "codes",
        "distinct",
        "members",
    ],
)
def test_index(fuzz, tmp_path, name):
    folder = saved_index(tmp_path / "index")
    (place,) = folder.glob("codes-*")
    target = folder / name if name == "photos.json" else next(place.glob(f"{name}*"))
    content = target.read_bytes()
    seeds = json_like(json.loads(content)) if name.endswith("json") else bytes_like(content)

    def read(path):
        found = PhotoIndex.open(folder, engine="numpy").neighbours(np.zeros((1, 2), np.uint8), 3)
        assert len(found) == 1

    fuzz(seeds, read, str(target.relative_to(tmp_path)))


@pytest.mark.parametrize("older", [False, True])
def test_missing_photos(fuzz, tmp_path, older):
    """Beyond the checksum; and the table of an older version, which has none."""
    folder = saved_index(tmp_path / "index")
    (table,) = folder.glob("*/photos.parquet" if older else "*/missing.parquet")

    def read(path):
        try:
            rows = read_older(path) if older else from_bytes(path.read_bytes(), path.name)
        except (ValueError, OSError) as error:
            raise SsahError(f"{str(error).splitlines()[0]}") from None
        to_bytes(rows)

    fuzz(bytes_like(table.read_bytes()), read, table.name)


def test_table_of_photos(fuzz, tmp_path):
    """Beyond the checksum, which a stranger can write anew."""
    folder = saved_index(tmp_path / "index")
    (table,) = folder.glob("*/photos.parquet")

    def read(path):
        try:
            photos = PhotoTable.read(path)
        except (ValueError, OSError) as error:
            raise SsahError(f"{str(error).splitlines()[0]}") from None
        assert len(photos.in_memory()) == len(photos) == len(photos.contents())
        matching(photos, ["label=", "path=*"])

    fuzz(bytes_like(table.read_bytes()), read, "photos.parquet")


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_shard(fuzz, tmp_path, suffix):
    """Whatever is in a shard of codes, it is read or to be encoded again."""
    file = tmp_path / f"seed{suffix}"
    facts = np.arange(9, dtype=np.uint8).reshape(3, 3), np.zeros((3, 32), np.uint8)
    about = np.arange(3), np.arange(3), np.zeros((3, HASH_BYTES), np.uint8)
    paths, bad = ["a.png", "é.png", "c.png"], {"d.png": "d.png: empty"}
    write_records(file, Records("abc", 12, 5, paths, *facts, *about, bad))
    found = read_records(file)
    assert (found.model_id, found.bits, found.paths, found.bad) == ("abc", 12, paths, bad)

    def read(path):
        found = read_records(path)
        assert found is None or len(list(found)) == len(found.paths)

    fuzz(bytes_like(file.read_bytes()), read, f"shard{suffix}")


@pytest.mark.parametrize("name", ["history.json", "metrics.json"])
def test_run_folder(fuzz, tmp_path, name):
    epoch = {"epoch": 0, "stage": "joint", "seconds": 1.0, "validation_map": 0.5}
    seed = [epoch, epoch] if name == "history.json" else {"protocol": "p", "retrieval": {"map": 1}}

    def read(path):
        run = Run(path.parent)
        return run.history if name == "history.json" else run.metrics()

    fuzz(json_like(seed), read, name)
