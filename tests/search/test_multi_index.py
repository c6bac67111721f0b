"""Tables against all distances: exact, in the order of (distance, position)."""

import numpy as np
import pytest

from ssah_tf.search.multi_index import MultiIndex, with_ones

#: Nothing is given up.
ALL = 1 << 40


def some_words(rng, kind, count, bits):
    """Codes at random, around few centres, or nearly all the same."""
    top = np.uint64(2**bits - 1)
    if kind == "random":
        return rng.integers(0, 2**64, count, dtype=np.uint64) & top
    centres = np.random.default_rng(bits).integers(0, 2**64, 9, dtype=np.uint64) & top
    chance = 0.05 if kind == "centres" else 0.01
    turned = np.packbits(rng.random((count, 64)) < chance, axis=1).view(np.uint64)[:, 0]
    return centres[rng.integers(9 if kind == "centres" else 1, size=count)] ^ (turned & top)


@pytest.mark.parametrize("bits", [33, 48, 64])
@pytest.mark.parametrize("kind", ["random", "centres", "alike"])
def test_exact_against_all_distances(kind, bits):
    rng = np.random.default_rng(bits)
    words, queries = some_words(rng, kind, 700, bits), some_words(rng, kind, 6, bits)
    index = MultiIndex(words, bits)
    for query in [*queries, ~words[0] & np.uint64(2**bits - 1)]:
        far = np.bitwise_count(words ^ query)
        order = np.argsort(far, kind="stable")
        for k in (1, 7, 100, 700):
            positions, distances = index.nearest(query, k, ALL)
            np.testing.assert_array_equal(positions, order[:k])
            np.testing.assert_array_equal(distances, far[order[:k]])
        for radius in (0, 1, 2, 3, 7, bits // 2, bits, 99):
            positions, distances = index.within(query, radius, ALL)
            inside = order[: (far <= radius).sum()]
            np.testing.assert_array_equal(positions, inside)
            np.testing.assert_array_equal(distances, far[inside])
            assert (positions.dtype, distances.dtype) == (np.int64, np.int32)


def test_a_small_budget_gives_a_search_up():
    """4,096 codes of 48 bits have four tables of 12 bits; radius 3 asks for one value in each."""
    rng = np.random.default_rng(0)
    words = some_words(rng, "random", 4096, 48)
    index = MultiIndex(words, 48)
    assert [substring.bits for substring in index.substrings] == [12] * 4
    candidates = sum(
        np.count_nonzero((words ^ words[0]) >> np.uint64(12 * table) & np.uint64(4095) == 0)
        for table in range(4)
    )
    assert index.within(words[0], 3, 4 + candidates)[0].tolist() == [0]
    assert index.within(words[0], 3, 3 + candidates) is None
    assert index.within(words[0], 3, 3) is None
    assert index.nearest(words[0], 1, ALL)[0].tolist() == [0]
    assert index.nearest(words[0], 20, 1000) is None


def test_tables_have_no_more_values_than_there_are_codes():
    """So they take 4 bytes a code and table, and at most as much again."""
    for count, tables in ((2, 33), (1023, 4), (1024, 4), (4000, 3)):
        index = MultiIndex(some_words(np.random.default_rng(0), "random", count, 33), 33)
        assert len(index.substrings) == tables
        assert sum(substring.bits for substring in index.substrings) == 33
        assert index.nbytes <= 8 * count * tables + 4


def test_values_with_so_many_ones():
    assert with_ones(4, 2).tolist() == [3, 5, 6, 9, 10, 12]
    assert with_ones(3, 0).tolist() == [0]
    assert with_ones(2, 3).tolist() == []
