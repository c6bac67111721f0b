"""Close codes with close hashes: both ways find every pair."""

import numpy as np
import pytest

from ssah_tf.metrics.hamming import hamming_distances
from ssah_tf.search import close_pairs as module
from ssah_tf.search.close_pairs import CodeJoin, by_codes, by_hashes, close_pairs

COUNT, HASH_RADIUS = 700, 52


def learned_like(bits, seed=0, centres=12, turned=0.08):
    """Codes around a few centres, and random hashes of 16 bytes."""
    rng = np.random.default_rng(seed)
    of_centre = rng.integers(0, 2, (centres, bits), dtype=np.uint8)
    codes = of_centre[rng.integers(centres, size=COUNT)] ^ (rng.random((COUNT, bits)) < turned)
    return np.packbits(codes, axis=1), rng.integers(0, 256, (COUNT, 16), dtype=np.uint8)


def expected(codes, hashes, radius, free):
    """By all distances: position, others by (distance of hashes, position), distances of codes."""
    far = hamming_distances(codes, codes).astype(int)
    apart = hamming_distances(hashes, hashes).astype(int)
    found = []
    for one in np.flatnonzero(free).tolist():
        others = np.flatnonzero((far[one] <= radius) & (apart[one] <= HASH_RADIUS) & free)
        others = others[others > one]
        others = others[np.lexsort((others, apart[one, others]))]
        if len(others):
            found.append((one, others.tolist(), far[one, others].tolist()))
    return found


def listed(pairs):
    """Pairs as lists."""
    return [(one, others.tolist(), far.tolist()) for one, others, far in pairs if len(others)]


@pytest.mark.parametrize(
    ("bits", "radius"),
    [(16, 2), (24, 0), (48, 6), (48, 11), (64, 8), (72, 9), (128, 16), (512, 90)],
)
def test_both_ways_find_every_pair(bits, radius, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 1 << 12)
    monkeypatch.setattr(module, "QUERIES", 64)
    codes, hashes = learned_like(bits)
    free = np.random.default_rng(1).random(COUNT) < 0.9
    right = expected(codes, hashes, radius, free)
    assert len(right) > 5
    join = CodeJoin(codes, radius)
    codes_first = by_codes(join, hashes, HASH_RADIUS, free, lambda *_: None)
    hashes_first = by_hashes(
        codes=codes,
        hashes=hashes,
        radius=radius,
        hash_radius=HASH_RADIUS,
        engine="numpy",
        free=free,
        progress=lambda *_: None,
    )
    assert listed(codes_first) == right
    assert listed(hashes_first) == right


@pytest.mark.parametrize("collapsed", [False, True])
def test_the_shorter_way_is_taken(collapsed, monkeypatch):
    """Where many codes are equal, hashes are searched; else codes are joined."""
    taken = []
    for name in ("by_codes", "by_hashes"):
        way = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, way=way, n=name: taken.append(n) or way(*a))
    monkeypatch.setattr(module, "FROM", COUNT)
    codes, hashes = learned_like(
        48, centres=1 if collapsed else 300, turned=0 if collapsed else 0.02
    )
    free = np.ones(COUNT, bool)
    found = listed(close_pairs(hashes, codes, 2, HASH_RADIUS, "numpy", free))
    assert taken == ["by_hashes" if collapsed else "by_codes"]
    assert found == expected(codes, hashes, 2, free)


@pytest.mark.parametrize("first", [2, COUNT + 1])
def test_what_joins_meanwhile_is_left_out(first, monkeypatch):
    """The caller takes photos out of the search while it goes on."""
    monkeypatch.setattr(module, "FROM", first)
    codes, hashes = learned_like(48, centres=300)
    free, gone = np.ones(COUNT, bool), set()
    for one, others, _ in close_pairs(hashes, codes, 16, 60, "numpy", free):
        assert not gone & {one, *others.tolist()}
        free[others] = False
        gone |= set(others.tolist())
    assert len(gone) > 20
