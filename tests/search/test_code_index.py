"""The embedded index and its files; `test_contract.py` has what every index does."""

import hashlib
import json

import numpy as np
import pytest

from ssah_tf.search import CodeIndex
from ssah_tf.search.code_index import MANIFEST, Ascending, Owners
from ssah_tf.search.engines import ENGINES, make_engine
from ssah_tf.search.groups import group
from ssah_tf.system.errors import SsahError


def some_codes(rng, count, bits, distinct):
    """Codes of which only so many differ, with clean padding."""
    pool = rng.integers(0, 2, (distinct, bits), dtype=np.uint8)
    return np.packbits(pool[rng.integers(distinct, size=count)], axis=1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("distinct", [5, 300, 5000])
def test_recall_is_1_against_all_distances(engine, distinct):
    """5,000 codes in shuffled ids: the full order by (distance, id), by NumPy's own sort."""
    rng = np.random.default_rng(distinct)
    codes, queries = some_codes(rng, 5000, 64, distinct), some_codes(rng, 20, 64, distinct)
    ids = rng.permutation(10_000)[:5000]
    index = CodeIndex(64, "m", engine)
    index.add(ids, codes)
    found, distances = index.search(queries, 400)
    all_distances = np.bitwise_count(queries[:, None] ^ codes[None]).sum(axis=2)
    for row, far in enumerate(all_distances):
        order = np.lexsort((ids, far))[:400]
        np.testing.assert_array_equal(found[row], ids[order])
        np.testing.assert_array_equal(distances[row], far[order])


def test_an_unknown_engine_is_refused():
    with pytest.raises(SsahError, match="engine 'hnsw': choose from auto, numpy, faiss"):
        make_engine("hnsw", np.zeros((1, 2), np.uint8))


def test_damaged_files_are_refused(tmp_path, rng):
    index = CodeIndex(64, "m")
    index.add(np.arange(100), some_codes(rng, 100, 64, 50))
    index.save(tmp_path)
    saved = (tmp_path / MANIFEST).read_bytes()
    (codes,) = tmp_path.glob("codes-*.npy")
    whole = codes.read_bytes()
    for bit in range(8):  # checksums on either side of the right one
        codes.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1 << bit]))
        with pytest.raises(SsahError, match=f"{codes}: damaged .its checksum differs"):
            CodeIndex.load(tmp_path)
    for broken in (whole[:200], b"", b"\x80\x04pickle"):
        codes.write_bytes(broken)
        with pytest.raises(SsahError, match="not an index of ssah-tf"):
            CodeIndex.load(tmp_path)
    codes.unlink()
    with pytest.raises(SsahError, match="not an index of ssah-tf"):
        CodeIndex.load(tmp_path)
    codes.write_bytes(whole)
    assert len(CodeIndex.load(tmp_path)) == 100
    about = json.loads((tmp_path / MANIFEST).read_bytes())
    about["files"]["codes"]["file"] = "../../etc/passwd"
    (tmp_path / MANIFEST).write_text(json.dumps(about))
    with pytest.raises(SsahError, match="not an index of ssah-tf"):
        CodeIndex.load(tmp_path)
    for text in ("", "[]", "{}", '{"format": 2}', *(f'{{"format": 2, "bits": {bits}}}'
                                                    for bits in ('"x"', "[1]", "{}"))):  # fmt: skip
        (tmp_path / MANIFEST).write_text(text)
        with pytest.raises(SsahError, match="not an index of ssah-tf"):
            CodeIndex.load(tmp_path)
    for version in ({"format": 1}, {}):  # the first one did not say
        about = json.loads(saved) | version
        if not version:
            del about["format"]
        (tmp_path / MANIFEST).write_text(json.dumps(about))
        with pytest.raises(SsahError, match="made by an older version: make it anew"):
            CodeIndex.load(tmp_path)
    (tmp_path / MANIFEST).write_text(json.dumps(json.loads(saved) | {"format": 4}))
    line = (
        r"made by a newer version of ssah-tf \(format 4, .* up to 3\): pip install --upgrade ssah"
    )
    with pytest.raises(SsahError, match=line):
        CodeIndex.load(tmp_path)
    with pytest.raises(SsahError, match="not an index of ssah-tf"):
        CodeIndex.load(tmp_path / "none")


def test_a_save_that_is_cut_off_leaves_the_old_index(tmp_path, rng, monkeypatch):
    """Killed before `index.json` is replaced: the old files are all there still."""
    from ssah_tf.search import code_index as module

    index = CodeIndex(64, "m")
    index.add(np.arange(50), some_codes(rng, 50, 64, 50))
    index.save(tmp_path)
    index.add(np.arange(50, 90), some_codes(rng, 40, 64, 40))

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            index.save(tmp_path)
    assert len(CodeIndex.load(tmp_path)) == 50
    index.save(tmp_path)
    assert len(CodeIndex.load(tmp_path)) == 90
    assert len(list(tmp_path.iterdir())) == 2  # ids in a row take no file


@pytest.mark.parametrize("collapsed", [True, False])
@pytest.mark.parametrize("ids", ["in a row", "with gaps", "huge", "negative"])
def test_saved_ids_and_groups(tmp_path, rng, ids, collapsed):
    """What is loaded answers as what was saved, and holds what it must on disk alone."""
    numbers = {
        "in a row": np.arange(7, 307),
        "with gaps": np.arange(300) * 3,
        "huge": np.arange(300) * 3 + 2**40,
        "negative": np.arange(300) * 2 - 300,
    }[ids]
    codes = some_codes(rng, 300, 64, 9 if collapsed else 10_000)
    index = CodeIndex(64, "m")
    index.add(numbers, codes)
    index.save(tmp_path)
    loaded = CodeIndex.load(tmp_path)
    np.testing.assert_array_equal(loaded.ids, numbers)
    assert (loaded.groups.owners is not None) == collapsed
    for mine, other in zip(loaded.search(codes[:9], 40), index.search(codes[:9], 40), strict=True):
        np.testing.assert_array_equal(mine, other)
    assert int(numbers[5]) in loaded
    assert int(numbers[-1]) + 1 not in loaded
    assert int(numbers[0]) - 1 not in loaded
    np.testing.assert_array_equal(np.concatenate([i for i, _ in loaded.items()]), numbers)
    width = {"in a row": 0, "with gaps": 4}.get(ids, 8)
    extra = 9 * 8 + 10 * 4 + 300 * 4 if collapsed else 0
    assert loaded.nbytes == 300 * (8 + width) + extra


def test_damaged_groups_are_refused(tmp_path, rng):
    """Even where the checksum is made to fit; each is told for what it is."""
    index = CodeIndex(64, "m")
    index.add(np.arange(300), some_codes(rng, 300, 64, 9))
    index.save(tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_bytes())
    for name, change, what in (
        ("members", lambda a: np.where(a == 5, 300, a), "contents"),
        ("members", lambda a: a[:-1], "shapes"),
        ("starts", lambda a: a[::-1], "contents"),
        ("starts", lambda a: a + 1, "contents"),
        ("starts", lambda a: a + (a > 0), "contents"),
        ("starts", lambda a: a - (a == a[-1]), "contents"),
        ("starts", lambda a: a.astype(np.int64), "types"),
        ("distinct", lambda a: a[:, :-1], "shapes"),
        ("codes", lambda a: a[0], "types"),
        ("codes", lambda a: a[None], "types"),
    ):
        about = json.loads(json.dumps(manifest))
        path = tmp_path / about["files"][name]["file"]
        whole = path.read_bytes()
        array = np.ascontiguousarray(change(np.load(path)).astype(np.load(path).dtype)
                                     if name != "starts" else change(np.load(path)))  # fmt: skip
        np.save(path, array)
        about["files"][name]["sha256"] = hashlib.sha256(array).hexdigest()
        (tmp_path / MANIFEST).write_text(json.dumps(about))
        with pytest.raises(SsahError, match=f"not an index of ssah-tf .arrays of other {what}.$"):
            CodeIndex.load(tmp_path)
        path.write_bytes(whole)
    (tmp_path / MANIFEST).write_text(json.dumps(manifest))
    assert len(CodeIndex.load(tmp_path)) == 300


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("distinct", [5, 5000])
@pytest.mark.parametrize("radius", [0, 9, 20, 64])
def test_range_search_against_all_distances(engine, distinct, radius):
    """On collapsed codes and on codes that are nearly all distinct."""
    rng = np.random.default_rng(distinct)
    codes, queries = some_codes(rng, 500, 64, distinct), some_codes(rng, 5, 64, distinct)
    ids = rng.permutation(1000)[:500]
    index = CodeIndex(64, "m", engine)
    index.add(ids, codes)
    all_distances = np.bitwise_count(queries[:, None] ^ codes[None]).sum(axis=2)
    for (found, far), expected in zip(
        index.range_search(queries, radius), all_distances, strict=True
    ):
        order = np.lexsort((ids, expected))[: (expected <= radius).sum()]
        np.testing.assert_array_equal(found, ids[order])
        np.testing.assert_array_equal(far, expected[order])


def test_an_empty_index_answers_with_nothing():
    index = CodeIndex(16, "m")
    assert len(index) == 0
    assert index.ids.tolist() == []
    assert 0 not in index
    ids, distances = index.search(np.zeros((3, 2), np.uint8), 5)
    assert ids.shape == distances.shape == (3, 0)
    rows = index.range_search(np.zeros((3, 2), np.uint8), 16)
    assert [(found.shape, far.shape) for found, far in rows] == [((0,), (0,))] * 3
    assert list(index.items()) == []


def test_an_index_that_was_emptied_is_as_one_that_is_new(tmp_path):
    new, emptied = CodeIndex(16, "m"), CodeIndex(16, "m")
    emptied.add([3, 9], np.zeros((2, 2), np.uint8))
    emptied.remove([9, 3])
    for index, folder in ((new, tmp_path / "new"), (emptied, tmp_path / "emptied")):
        index.save(folder)
        assert len(CodeIndex.load(folder)) == index.nbytes == 0
    names = [sorted(path.name for path in folder.iterdir()) for folder in tmp_path.iterdir()]
    assert names[0] == names[1]


def test_ids_that_are_there_or_missing_are_named():
    """The first of them, in the order in which they were given."""
    index = CodeIndex(8, "m")
    codes = np.arange(4, dtype=np.uint8)[:, None]
    index.add([2, 4, 6, 8], codes)
    with pytest.raises(SsahError, match="id 8 is in the index already"):
        index.add([5, 8, 4], codes[:3])
    for missing in (1, 5, 9, 99):
        with pytest.raises(SsahError, match=f"id {missing} is not in the index"):
            index.remove([missing])
        with pytest.raises(SsahError, match=f"id {missing} is not in the index"):
            index.update([missing], codes[:1])
        with pytest.raises(SsahError, match=f"id {missing} is not in the index"):
            index.update([4, missing, 3], codes[:3])
    assert index.ids.tolist() == [2, 4, 6, 8]
    with pytest.raises(SsahError, match="id 3 is not in the index"):
        CodeIndex(8, "m").remove([3])
    one = CodeIndex(8, "m")
    one.add([7], codes[:1])
    with pytest.raises(SsahError, match="id 9 is not in the index"):
        one.remove([9])


def test_ids_take_no_more_bytes_than_they_need():
    """None if they follow one another, four up to 2^32 - 1, else eight."""
    codes = np.arange(3, dtype=np.uint8)[:, None]
    for ids, width in (
        ([5, 6, 7], 0),
        ([-1, 0, 1], 0),
        ([0, 1, 3], 4),
        ([1, 5, 2**32 - 1], 4),
        ([0, 5, 2**32], 8),
        ([-1, 5, 6], 8),
        ([-9, -7, -5], 8),
    ):
        index = CodeIndex(8, "m")
        index.add(ids, codes)
        assert index.ids.tolist() == ids
        assert index.nbytes == 3 * (1 + width)
        there = range(min(ids) - 1, min(ids) + 9)
        assert [number in index for number in there] == [number in ids for number in there]
        assert ids[-1] in index
        assert ids[-1] + 1 not in index


def test_codes_are_grouped_if_less_than_half_of_them_differ():
    """Of ten codes five differ, or four; the first of equals stands for them."""
    for distinct, grouped in ((5, False), (4, True)):
        index = CodeIndex(8, "m")
        index.add(np.arange(10), (np.arange(10) % distinct).astype(np.uint8)[::-1, None])
        assert (index.groups.owners is not None) == grouped
    assert index.groups.codes.ravel().tolist() == [1, 0, 3, 2]
    assert index.groups.owners.starts.tolist() == [0, 3, 6, 8, 10]
    assert index.groups.owners.members.tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 3, 7]


@pytest.mark.parametrize("width", [1, 5, 8, 12, 20])
@pytest.mark.parametrize("mix", [0x9E3779B97F4A7C15, 1, 0])
def test_groups_are_right_whatever_the_hash(width, mix, monkeypatch):
    """Against a dictionary; also with a hash of which nothing, or little, is left."""
    monkeypatch.setattr("ssah_tf.search.groups.MIX", np.uint64(mix))
    rng = np.random.default_rng(width)
    codes = some_codes(rng, 300, 8 * width, 40)
    owners = {}
    for position, code in enumerate(codes):
        owners.setdefault(code.tobytes(), []).append(position)
    distinct, found = group(codes)
    assert [code.tobytes() for code in distinct] == list(owners)
    parts = np.split(found.members, found.starts[1:-1])
    assert [part.tolist() for part in parts] == list(owners.values())
    assert (found.starts.dtype, found.members.dtype) == (np.uint32, np.uint32)
    assert group(codes[:1]) is None


def test_no_more_owners_are_looked_at_than_a_search_needs():
    """Codes at distances 0, 1, 1, 2 with two owners each: k = 3 needs those up to distance 1."""
    starts, members = np.uint32([0, 2, 4, 6, 8]), np.uint32([0, 1, 2, 5, 3, 4, 6, 7])
    owners = Owners(starts, members)
    nearest, distances = np.arange(4), np.int32([0, 1, 1, 2])
    asked = []

    def ids_at(positions):
        asked.append(len(positions))
        return 10 + positions.astype(np.int64)

    for k, looked_at in ((1, 1), (2, 2), (3, 6), (4, 6), (6, 6), (7, 8), (8, 8), (9, 8), (None, 8)):
        ids, far = owners.ids(ids_at, nearest, distances, k)
        assert ids.tolist() == list(range(10, 18))[:k]
        assert far.tolist() == [0, 0, 1, 1, 1, 1, 2, 2][:k]
        assert asked.pop() == looked_at
    ids, far = owners.ids(ids_at, nearest[:0], distances[:0], None)
    assert (len(ids), len(far)) == (0, 0)


def test_files_are_called_after_their_content_and_only_old_ones_go(tmp_path):
    index = CodeIndex(8, "m")
    index.add([1, 5], np.uint8([[1], [2]]))
    index.save(tmp_path)
    for name in ("my-photos.npy", "codes-notes.txt"):
        (tmp_path / name).write_text("mine")
    index.update([5], np.uint8([[3]]))
    index.save(tmp_path)
    about = json.loads((tmp_path / MANIFEST).read_bytes())
    assert (about["format"], about["bits"], about["codes"], about["first_id"]) == (3, 8, 2, 1)
    names = {
        name: f"{name}-{hashlib.sha256(content).hexdigest()[:16]}.npy"
        for name, content in (("codes", b"\1\3"), ("ids", np.uint32([1, 5]).tobytes()))
    }
    assert {name: entry["file"] for name, entry in about["files"].items()} == names
    assert {path.name for path in tmp_path.iterdir()} == {
        MANIFEST, "my-photos.npy", "codes-notes.txt", *names.values(),
    }  # fmt: skip


def test_items_come_in_blocks(monkeypatch):
    monkeypatch.setattr("ssah_tf.search.code_index.BLOCK", 6)
    index = CodeIndex(8, "m")
    index.add(np.arange(20) * 2, np.arange(20, dtype=np.uint8)[:, None])
    blocks = list(index.items())
    assert [len(ids) for ids, _ in blocks] == [6, 6, 6, 2]
    assert np.concatenate([ids for ids, _ in blocks]).tolist() == list(range(0, 40, 2))
    assert np.concatenate([codes for _, codes in blocks]).ravel().tolist() == list(range(20))


@pytest.mark.parametrize(
    ("parts", "ascend"),
    [
        ([[1, 2, 5], [7], [8, 9]], True),
        ([[1, 3, 2]], False),
        ([[1, 1]], False),
        ([[1, 2], [2, 3]], False),
        ([[1, 9], [5]], False),
        ([[0], [1], [0]], False),
    ],
)
def test_numbers_in_parts_ascend_or_not(parts, ascend):
    check = Ascending()
    assert all([check(np.array(part)) for part in parts]) == ascend


def test_large_files_are_checked_a_piece_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("ssah_tf.search.code_index.PIECE", 64)
    index = CodeIndex(8, "m")
    index.add(np.arange(301) * 2, (np.arange(301) % 7).astype(np.uint8)[:, None])
    index.save(tmp_path)
    assert CodeIndex.load(tmp_path).ids.tolist() == list(range(0, 602, 2))
    about = json.loads((tmp_path / MANIFEST).read_bytes())
    path = tmp_path / about["files"]["ids"]["file"]
    ids = np.load(path)
    ids[[15, 16]] = ids[[16, 15]]  # across the border of two pieces
    np.save(path, ids)
    about["files"]["ids"]["sha256"] = hashlib.sha256(ids).hexdigest()
    (tmp_path / MANIFEST).write_text(json.dumps(about))
    with pytest.raises(SsahError, match="arrays of other contents"):
        CodeIndex.load(tmp_path)
