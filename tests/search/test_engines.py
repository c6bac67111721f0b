"""Scans and tables: one answer, whatever threads, widths and blocks it comes from."""

import faiss
import numpy as np
import pytest

from ssah_tf.search import scan as scans
from ssah_tf.search import tabled
from ssah_tf.search.engines import ENGINES, make_engine
from ssah_tf.search.scan import widened
from ssah_tf.search.tabled import TabledEngine


def right(codes, queries, k):
    """Positions and distances of the k nearest, from all distances."""
    far = np.bitwise_count(queries[:, None] ^ codes[None]).sum(axis=2)
    order = np.argsort(far, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(far, order, axis=1)


def check(engine, codes, queries, k, radius):
    positions, distances = engine.nearest(queries, k)
    for found, expected in zip((positions, distances), right(codes, queries, k), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert (positions.dtype, distances.dtype) == (np.int64, np.int32)
    everything = zip(*right(codes, queries, len(codes)), strict=True)
    for found, (order, far) in zip(engine.within(queries, radius), everything, strict=True):
        inside = (far <= radius).sum()
        np.testing.assert_array_equal(found[0], order[:inside])
        np.testing.assert_array_equal(found[1], far[:inside])
        assert (found[0].dtype, found[1].dtype) == (np.int64, np.int32)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("width", [1, 2, 3, 5, 6, 8, 12, 18, 20, 24, 33, 65])
def test_codes_of_every_width(name, width):
    rng = np.random.default_rng(width)
    codes = rng.integers(0, 256, (400, width), dtype=np.uint8)
    queries = rng.integers(0, 256, (3, width), dtype=np.uint8)
    check(make_engine(name, codes), codes, queries, 50, 4 * width - 2)


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("cores", [1, 2, 5])
@pytest.mark.parametrize("asked", [1, 4, 11])
def test_work_that_is_shared_out(name, cores, asked, monkeypatch):
    """Queries are, or codes where there are fewer queries than threads; ties across a border."""
    monkeypatch.setattr(scans, "WORK", 1)
    monkeypatch.setattr(scans, "QUERIES", 3)
    monkeypatch.setattr(scans, "BLOCK", 16)
    monkeypatch.setattr(scans, "cores", lambda: cores)
    rng = np.random.default_rng(asked)
    codes = rng.integers(0, 4, (203, 2), dtype=np.uint8)
    queries = rng.integers(0, 4, (asked, 2), dtype=np.uint8)
    engine = make_engine(name, codes)
    assert engine.threads(asked) == cores
    parts = engine.parts(asked, cores)
    if asked < cores:
        assert [rows for rows, _ in parts] == [slice(0, asked)] * cores
    else:
        assert [part for _, part in parts] == [slice(0, 203)] * len(parts)
        assert max(rows.stop - rows.start for rows, _ in parts) <= 3
    for k in (1, 60, 203):
        check(engine, codes, queries, k, 2)
    assert engine.nearest(queries[:0], 7)[0].shape == (0, 7)
    assert engine.within(queries[:0], 7) == []


def test_a_small_search_stays_in_its_thread():
    engine = make_engine("numpy", np.zeros((1000, 8), np.uint8))
    assert engine.threads(500) == 1
    assert engine.parts(1, 1) == [(slice(0, 1), slice(0, 1000))]


def test_codes_of_a_quick_width_are_not_copied():
    """What is mapped stays on disk."""
    for width, wide in ((3, 4), (4, 4), (6, 8), (8, 8), (12, 16), (17, 20), (65, 72), (72, 72)):
        codes = np.ones((3, width), np.uint8)
        found = widened(codes)
        assert found.shape == (3, wide)
        assert np.shares_memory(found, codes) == (width == wide)
        assert found.sum() == codes.sum()


def test_faiss_keeps_the_threads_that_it_had(monkeypatch):
    """Its own are not used here, and are there for whoever calls it otherwise."""
    seen = []
    real = faiss.knn_hamming
    monkeypatch.setattr(
        faiss, "knn_hamming", lambda *a: (seen.append(faiss.omp_get_max_threads()), real(*a))[1]
    )
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(3)
    try:
        make_engine("faiss", np.zeros((9, 8), np.uint8)).nearest(np.zeros((2, 8), np.uint8), 4)
        assert faiss.omp_get_max_threads() == 3
    finally:
        faiss.omp_set_num_threads(before)
    assert seen == [1]


@pytest.fixture
def small(monkeypatch):
    """Tables from 100 codes and the tenth query on; a candidate costs two codes."""
    monkeypatch.setattr("ssah_tf.search.engines.FROM", 100)
    monkeypatch.setattr(tabled, "QUERIES", 10)
    monkeypatch.setattr(tabled, "CANDIDATE", 2)
    monkeypatch.setattr(tabled, "PATIENCE", 5)


@pytest.mark.parametrize("name", ENGINES)
def test_tables_are_made_once_they_pay(name, small):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (3000, 6), dtype=np.uint8)
    engine = make_engine(name, codes)
    for _ in range(3):
        check(engine, codes, codes[:3], 1, 1)
        assert engine.tables is None or engine.asked >= 10
    assert engine.tables is not None
    scanned = []
    real = engine.scan.nearest
    engine.scan.nearest = lambda queries, k: (scanned.append(len(queries)), real(queries, k))[1]
    check(engine, codes, codes[:4], 1, 1)
    check(engine, codes, codes[:4], 2000, 1)  # of so many neighbours a scan tells at once
    assert scanned == [0, 4]


@pytest.mark.parametrize("name", ENGINES)
def test_tables_that_do_not_help_are_dropped(name, small):
    """Among random codes the nearest are far, and nearly all would be looked at."""
    rng = np.random.default_rng(0)
    codes, queries = rng.integers(0, 256, (2, 3000, 8), dtype=np.uint8)
    engine = make_engine(name, codes)
    check(engine, codes, queries[:12], 30, 20)
    assert (engine.tables, engine.patience <= 0) == (None, True)
    check(engine, codes, queries[:30], 30, 20)
    assert engine.tables is None


def test_few_codes_and_long_ones_are_scanned():
    """Beside the others tables would take more memory than the codes, or would not help."""
    for codes in (np.zeros((tabled.FROM - 1, 8), np.uint8), np.zeros((tabled.FROM, 4), np.uint8),
                  np.zeros((tabled.FROM, 9), np.uint8)):  # fmt: skip
        assert not isinstance(make_engine("numpy", codes), TabledEngine)
    assert isinstance(make_engine("numpy", np.zeros((tabled.FROM, 8), np.uint8)), TabledEngine)


def test_one_caller_makes_the_tables_and_others_scan(small):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (3000, 8), dtype=np.uint8)
    engine = make_engine("numpy", codes)
    with engine.making:  # as if another thread made them
        check(engine, codes, codes[:20], 1, 1)
    assert engine.tables is None
    check(engine, codes, codes[:20], 1, 1)
    assert engine.tables is not None
