"""The embedded index and its files; `test_contract.py` has what every index does."""

import hashlib
import json

import numpy as np
import pytest

from ssah_tf.search import CodeIndex
from ssah_tf.search.code_index import MANIFEST, Ascending
from ssah_tf.search.engines import ENGINES, make_engine
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
    (codes,) = tmp_path.glob("codes-*.npy")
    whole = codes.read_bytes()
    for broken in (whole[:-1] + bytes([whole[-1] ^ 1]), whole[:200], b"", b"\x80\x04pickle"):
        codes.write_bytes(broken)
        with pytest.raises(SsahError, match=r"damaged|not an index of ssah-tf"):
            CodeIndex.load(tmp_path)
    codes.write_bytes(whole)
    assert len(CodeIndex.load(tmp_path)) == 100
    about = json.loads((tmp_path / MANIFEST).read_bytes())
    about["files"]["codes"]["file"] = "../../etc/passwd"
    (tmp_path / MANIFEST).write_text(json.dumps(about))
    with pytest.raises(SsahError, match="not an index of ssah-tf"):
        CodeIndex.load(tmp_path)
    for text in ("", "[]", "{}", '{"bits": "x"}', '{"format": 2, "bits": "x"}'):
        (tmp_path / MANIFEST).write_text(text)
        with pytest.raises(SsahError, match="not an index of ssah-tf"):
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
    """Even where the checksum is made to fit."""
    index = CodeIndex(64, "m")
    index.add(np.arange(300), some_codes(rng, 300, 64, 9))
    index.save(tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_bytes())
    for name, change in (
        ("members", lambda a: np.where(a == 5, 300, a)),
        ("members", lambda a: a[:-1]),
        ("starts", lambda a: a[::-1]),
        ("starts", lambda a: a + 1),
        ("starts", lambda a: a.astype(np.int64)),
        ("distinct", lambda a: a[:, :-1]),
        ("codes", lambda a: a[0]),
    ):
        about = json.loads(json.dumps(manifest))
        path = tmp_path / about["files"][name]["file"]
        whole = path.read_bytes()
        array = np.ascontiguousarray(change(np.load(path)).astype(np.load(path).dtype)
                                     if name != "starts" else change(np.load(path)))  # fmt: skip
        np.save(path, array)
        about["files"][name]["sha256"] = hashlib.sha256(array).hexdigest()
        (tmp_path / MANIFEST).write_text(json.dumps(about))
        with pytest.raises(SsahError, match="not an index of ssah-tf"):
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
    assert [len(found) for found, _ in index.range_search(np.zeros((3, 2), np.uint8), 16)] == [
        0
    ] * 3
    assert list(index.items()) == []


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
    assert index.ids.tolist() == [2, 4, 6, 8]
    with pytest.raises(SsahError, match="id 3 is not in the index"):
        CodeIndex(8, "m").remove([3])


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


def test_starts_begin_with_nothing(tmp_path):
    """The owners of the first code are the first members, also where the checksum fits."""
    index = CodeIndex(8, "m")
    index.add(np.arange(30), (np.arange(30) % 3).astype(np.uint8)[:, None])
    index.save(tmp_path)
    about = json.loads((tmp_path / MANIFEST).read_bytes())
    path = tmp_path / about["files"]["starts"]["file"]
    starts = np.load(path)
    assert starts.tolist() == [0, 10, 20, 30]
    starts[0] = 1
    np.save(path, starts)
    about["files"]["starts"]["sha256"] = hashlib.sha256(starts).hexdigest()
    (tmp_path / MANIFEST).write_text(json.dumps(about))
    with pytest.raises(SsahError, match="arrays of other contents"):
        CodeIndex.load(tmp_path)


def test_large_files_are_checked_a_piece_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("ssah_tf.search.code_index.PIECE", 64)
    index = CodeIndex(8, "m")
    index.add(np.arange(300) * 2, (np.arange(300) % 7).astype(np.uint8)[:, None])
    index.save(tmp_path)
    assert CodeIndex.load(tmp_path).ids.tolist() == list(range(0, 600, 2))
    about = json.loads((tmp_path / MANIFEST).read_bytes())
    path = tmp_path / about["files"]["ids"]["file"]
    ids = np.load(path)
    ids[[15, 16]] = ids[[16, 15]]  # across the border of two pieces
    np.save(path, ids)
    about["files"]["ids"]["sha256"] = hashlib.sha256(ids).hexdigest()
    (tmp_path / MANIFEST).write_text(json.dumps(about))
    with pytest.raises(SsahError, match="arrays of other contents"):
        CodeIndex.load(tmp_path)
