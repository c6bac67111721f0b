"""The contract of an index, on each engine, against a plain Python model."""

import json

import numpy as np
import pytest

from ssah_tf.errors import SsahError
from ssah_tf.search import CodeIndex
from ssah_tf.search.code_index import MANIFEST
from ssah_tf.search.engines import ENGINES, make_engine


class Model:
    """A dictionary and a sort."""

    def __init__(self):
        self.codes = {}

    def search(self, query, k):
        return self.range(query, 10**9)[:k]

    def range(self, query, radius):
        value = int.from_bytes(query.tobytes())
        rows = (((value ^ code).bit_count(), number) for number, code in self.codes.items())
        return sorted(row for row in rows if row[0] <= radius)


def some_codes(rng, count, bits, distinct):
    """Codes of which only so many differ, with clean padding."""
    pool = rng.integers(0, 2, (distinct, bits), dtype=np.uint8)
    return np.packbits(pool[rng.integers(distinct, size=count)], axis=1)


def assert_equal(rows, ids, distances):
    assert [(int(d), int(i)) for d, i in zip(distances, ids, strict=True)] == rows


@pytest.mark.parametrize("steps", [300, pytest.param(1250, marks=pytest.mark.slow)])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("bits", "distinct"), [(12, 9), (48, 4), (64, 10_000), (130, 40)])
def test_random_operations(engine, bits, distinct, steps, tmp_path):
    """Random operations, 10,000 in all in the long form, each answer compared."""
    rng = np.random.default_rng([bits, distinct])
    index, model, next_id = CodeIndex(bits, "m", engine), Model(), 0

    def value_of(code):
        return int.from_bytes(code.tobytes())

    for step in range(steps):
        what = rng.choice(["add", "remove", "update", "search", "range", "save"],
                          p=[0.3, 0.12, 0.1, 0.3, 0.15, 0.03])  # fmt: skip
        there = list(model.codes)
        if what == "add":
            count = int(rng.integers(1, 8))
            codes = some_codes(rng, count, bits, distinct)
            ids = rng.permutation(np.arange(next_id, next_id + 2 * count))[:count]
            next_id += 2 * count
            index.add(ids, codes)
            model.codes |= {int(i): value_of(c) for i, c in zip(ids, codes, strict=True)}
        elif what == "remove" and there:
            ids = rng.choice(there, size=min(len(there), int(rng.integers(1, 6))), replace=False)
            index.remove(ids)
            for number in ids:
                del model.codes[int(number)]
        elif what == "update" and there:
            ids = rng.choice(there, size=min(len(there), 3), replace=False)
            codes = some_codes(rng, len(ids), bits, distinct)
            index.update(ids, codes)
            model.codes |= {int(i): value_of(c) for i, c in zip(ids, codes, strict=True)}
        elif what == "save":
            index.save(tmp_path / "index")
            index = CodeIndex.load(tmp_path / "index", engine)
        elif what == "search":
            queries = some_codes(rng, 2, bits, distinct)
            k = int(rng.integers(1, 30))
            ids, distances = index.search(queries, k)
            for row, query in enumerate(queries):
                assert_equal(model.search(query, k), ids[row], distances[row])
        else:
            queries = some_codes(rng, 2, bits, distinct)
            radius = int(rng.integers(0, bits // 2))
            for query, found in zip(queries, index.range_search(queries, radius), strict=True):
                assert_equal(model.range(query, radius), *found)
        assert len(index) == len(model.codes), step
    assert all(number in index for number in model.codes)
    assert next_id not in index


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


def test_empty_and_small():
    index = CodeIndex(16, "m")
    query = np.zeros((3, 2), np.uint8)
    assert index.search(query, 5)[0].shape == (3, 0)
    assert [len(ids) for ids, _ in index.range_search(query, 16)] == [0, 0, 0]
    index.add([], np.zeros((0, 2), np.uint8))
    index.add([7], np.array([[255, 255]], np.uint8))
    ids, distances = index.search(query, 5)
    assert ids.tolist() == [[7]] * 3
    assert distances.tolist() == [[16]] * 3
    assert index.range_search(query[:1], 15)[0][0].tolist() == []
    assert index.range_search(query[:1], 16)[0][0].tolist() == [7]  # the radius is included
    index.remove([7])
    assert len(index) == 0


def test_refusals():
    index = CodeIndex(12, "m")
    index.add([1], np.array([[1, 16]], np.uint8))
    with pytest.raises(SsahError, match="id 1 is in the index already"):
        index.add([2, 1], np.zeros((2, 2), np.uint8))
    with pytest.raises(SsahError, match="an id comes twice"):
        index.add([3, 3], np.zeros((2, 2), np.uint8))
    with pytest.raises(SsahError, match="2 ids, but 1 codes"):
        index.add([3, 4], np.zeros((1, 2), np.uint8))
    with pytest.raises(SsahError, match="ones in the padding"):
        index.add([3], np.array([[0, 1]], np.uint8))
    with pytest.raises(SsahError, match="1 bytes a code, expected 2"):
        index.search(np.zeros((1, 1), np.uint8), 3)
    for ids in ([5], [1, 5]):
        with pytest.raises(SsahError, match="id 5 is not in the index"):
            index.remove(ids)
    with pytest.raises(SsahError, match="id 0 is not in the index"):
        index.update([0], np.zeros((1, 2), np.uint8))
    with pytest.raises(SsahError, match="k must be at least 1"):
        index.search(np.zeros((1, 2), np.uint8), 0)
    with pytest.raises(SsahError, match="radius must be at least 0"):
        index.range_search(np.zeros((1, 2), np.uint8), -1)
    assert index.ids.tolist() == [1]
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
    for text in ("", "[]", "{}", '{"bits": "x"}'):
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
    assert len(list(tmp_path.iterdir())) == 3
