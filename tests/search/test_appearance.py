"""Photos of one distance come by appearance: in an index, its changes, databases, old formats."""

import itertools
import json
import os

import numpy as np
import pytest
from PIL import Image

from ssah_tf.search.code_index import MANIFEST, CodeIndex
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.system.errors import SsahError

NAMES = map("looks{}".format, itertools.count())


class Looks:
    """A code is whether a picture is bright; its appearance code has as many ones as red is high.

    Args:
        folder: Where its file lies.
        model_id: Its model id.
        appearance_bits: 64, or 0 for an encoder of an older version.
    """

    bits, image_size = 8, 4

    def __init__(self, folder, model_id="looks", appearance_bits=64):
        self.model_id, self.appearance_bits = model_id, appearance_bits
        self.path = folder / f"{model_id}.onnx"
        self.path.write_bytes(os.urandom(100))

    def full_codes(self, images):
        bright = np.where(images[:, 0, 0, 1:2] > 127, 255, 0).astype(np.uint8)
        if not self.appearance_bits:
            return bright
        ones = images[:, 0, 0, :1] // 4 > np.arange(64)
        return np.concatenate([bright, np.packbits(ones, axis=1)], axis=1)


#: Name of a photo -> red and green; the order of names is not that of appearance.
PHOTOS = {"a": (200, 0), "b": (40, 0), "c": (120, 0), "d": (0, 0), "e": (100, 255), "f": (0, 255)}


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    for name, (red, green) in PHOTOS.items():
        write(tmp_path / "photos" / f"{name}.png", red, green)
    return tmp_path / "photos"


def write(path, red, green):
    Image.new("RGB", (5, 5), (red, green, 0)).save(path)


def query(red, green=0):
    return Looks.full_codes(Looks, np.full((1, 4, 4, 3), (red, green, 0), np.uint8))


Looks.appearance_bits = 64


def found(index, code, **how):
    """Names of what a search finds."""
    (hits,) = index.neighbours(code, **{"k": 9, **how})
    return "".join(os.path.basename(hit.photo.path)[0] for hit in hits)


@pytest.fixture(
    params=["folder", "pgvector", "plain", pytest.param("milvus", marks=pytest.mark.slow)]
)
def place(request, tmp_path):
    if request.param == "folder":
        return str(tmp_path / "index")
    if request.param == "milvus":
        return request.getfixturevalue("milvus")(next(NAMES))
    return request.getfixturevalue("postgres")(next(NAMES), database=request.param)


def test_the_nearest_in_appearance_come_first(photos, place, tmp_path):
    """Of all that share the last distance, whatever k; `order="id"` is that of before."""
    encoder = Looks(tmp_path)
    with PhotoIndex.open(place, encoder) as index:
        index.sync(encoder, [photos])
    with PhotoIndex.open(place) as index:
        assert index.codes.appearance_bits == 64
        assert found(index, query(120)) == "cabdef"
        assert found(index, query(0)) == "dbcafe"
        for k in range(1, 7):
            assert found(index, query(0), k=k) == "dbcafe"[:k]
        assert found(index, query(0), k=3, order="id") == "abc"
        assert found(index, query(0)[:, :1]) == "abcdef"
        assert found(index, query(0), k=None, radius=0) == "dbca"
        assert found(index, query(0), where=["path=*[abf].png"]) == "baf"
        assert found(index, query(0), where=["path=*[abf].png"], order="id") == "abf"


def test_changes_keep_appearance(photos, place, tmp_path):
    """A photo that was away, a changed one, and one of known content."""
    encoder = Looks(tmp_path)
    with PhotoIndex.open(place, encoder) as index:
        index.sync(encoder, [photos])
        (photos / "d.png").rename(tmp_path / "d.png")
        index.sync(encoder, [photos])
        assert found(index, query(0), k=2) == "bc"
        (tmp_path / "d.png").rename(photos / "d.png")
        write(photos / "b.png", 250, 0)
        (photos / "x.png").write_bytes((photos / "f.png").read_bytes())
        index.sync(encoder, [photos])
        assert found(index, query(0)) == "dcabfxe"
    with PhotoIndex.open(place) as index:
        assert found(index, query(0)) == "dcabfxe"


def test_an_index_without_appearance_goes_on_and_can_be_migrated(photos, place, tmp_path):
    old, new = Looks(tmp_path, "old", 0), Looks(tmp_path)
    with PhotoIndex.open(place, old) as index:
        index.sync(old, [photos])
        assert found(index, query(0)[:, :1]) == "abcdef"
        assert found(index, query(0)[:, :1], order="appearance") == "abcdef"
        if place.startswith("milvus"):
            return
        assert not index.migrate(new)
        assert found(index, query(0)) == "dbcafe"
    with PhotoIndex.open(place) as index:
        assert (index.codes.model_id, index.codes.appearance_bits) == ("looks", 64)
        assert found(index, query(0)) == "dbcafe"


def test_from_a_folder_into_a_database(photos, postgres, tmp_path):
    encoder = Looks(tmp_path)
    with PhotoIndex.open(tmp_path / "index", encoder) as index:
        index.sync(encoder, [photos])
    address = postgres(next(NAMES))
    with PhotoIndex.open(address, encoder) as index:
        taken = index.take(PhotoIndex.open(tmp_path / "index"))
        assert (taken.added, taken.changed) == (6, 0)
    with PhotoIndex.open(address, whole=True) as index:
        assert found(index, query(0)) == "dbcafe"
        assert index.take(PhotoIndex.open(tmp_path / "index")).kept == 6


def test_an_older_file_is_read_and_a_damaged_one_refused(tmp_path, rng):
    """Format 2 had no appearance codes, nor a word about them."""
    codes = rng.integers(0, 256, (50, 9), dtype=np.uint8) & np.uint8([3, *[255] * 8])
    old, new = CodeIndex(8, "m"), CodeIndex(8, "m", appearance_bits=64)
    old.add(np.arange(50), codes[:, :1])
    new.add(np.arange(50), codes)
    old.save(tmp_path / "old")
    about = json.loads((tmp_path / "old" / MANIFEST).read_bytes())
    del about["appearance_bits"]
    (tmp_path / "old" / MANIFEST).write_text(json.dumps(about | {"format": 2}))
    again = CodeIndex.load(tmp_path / "old")
    assert again.appearance_bits == 0
    np.testing.assert_array_equal(again.full_codes, codes[:, :1])
    new.save(tmp_path / "new")
    again = CodeIndex.load(tmp_path / "new")
    np.testing.assert_array_equal(again.full_codes, codes)
    np.testing.assert_array_equal(again.full_at(np.array([7, 3])), codes[[7, 3]])
    assert again.nbytes == new.nbytes
    (file,) = (tmp_path / "new").glob("appearance-*.npy")
    file.write_bytes(file.read_bytes()[:-1] + b"\0\0")
    with pytest.raises(SsahError, match=r"not an index of ssah-tf|damaged"):
        CodeIndex.load(tmp_path / "new")
    file.unlink()
    with pytest.raises(SsahError, match="not an index of ssah-tf"):
        CodeIndex.load(tmp_path / "new")


@pytest.mark.parametrize("engine", ["numpy", "faiss"])
def test_random_full_codes_as_by_hand(engine, rng):
    """Many owners of few codes, few of many, and appearance codes that are no whole words."""
    for distinct, bits, looks in ((3, 8, 128), (900, 20, 12), (40, 64, 64)):
        pool = rng.integers(0, 2, (distinct, bits), dtype=np.uint8)
        code = np.packbits(pool[rng.integers(distinct, size=2000)], axis=1)
        look = np.packbits(rng.integers(0, 2, (2000, looks), dtype=np.uint8), axis=1)
        index = CodeIndex(bits, "m", engine, looks)
        full = np.concatenate([code, look], axis=1)
        index.add(np.arange(2000), full)
        for at in rng.integers(2000, size=8):
            far = np.bitwise_count(code ^ code[at]).sum(axis=1)
            near = np.bitwise_count(look ^ look[at]).sum(axis=1)
            order = np.lexsort((np.arange(2000), near, far))
            for k in (1, 17, 1500):
                ids, distances = index.search(full[[at]], k)
                np.testing.assert_array_equal(ids[0], order[:k])
                np.testing.assert_array_equal(distances[0], far[order[:k]])
            ((ids, _),) = index.range_search(full[[at]], 9)
            np.testing.assert_array_equal(ids, order[: (far <= 9).sum()])
