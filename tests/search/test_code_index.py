"""The embedded index and its files; `test_contract.py` has what every index does."""

import hashlib
import json

import numpy as np
import pytest

from ssah_tf.search import CodeIndex
from ssah_tf.search.code_index import MANIFEST
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
    assert (loaded.groups.members is not None) == collapsed
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
