"""Codes against features: a case by hand, and the definition done slowly."""

import numpy as np
import pytest

from ssah_tf.metrics import neighbour_recall
from ssah_tf.metrics import neighbours as module

BITS = 8


def codes(*texts):
    return np.packbits(np.array([[c == "1" for c in text] for text in texts], np.uint8), axis=1)


def test_by_hand(monkeypatch):
    """Features of one number; 0 is nearest to 1 and to -2.

    By codes 1 is at distance 0, then two at distance 1 (one of them is -2), then 9. Of the two that
    are right the first 1 has one, the first 2 have it and half of the other.
    """
    monkeypatch.setattr(module, "NEAR", 2)
    monkeypatch.setattr(module, "WITHIN", (1, 2, 100))
    database = np.array([[1.0], [-2], [5], [9]], np.float32)
    found = neighbour_recall(
        np.zeros((1, 1), np.float32),
        codes("0000"),
        database,
        codes("0000", "1000", "0100", "1111"),
        4,
    )
    assert (found.queries, found.database, found.near) == (1, 4, 2)
    assert found.recall == {1: 0.5, 2: 0.75}
    assert found.interval == {1: (0.5, 0.5), 2: (0.75, 0.75)}
    assert found.chance == {1: 0.25, 2: 0.5}
    assert found.of_query == (0.75,)


def test_as_sorted_lists_say(rng):
    """No two distances of a query are equal, so that orders are certain; more queries than a chunk.

    Code i of the database has the first i bits set, and queries none.
    """
    q, n = module.CHUNK + 3, 130
    query, database = rng.normal(size=(q, 5)), rng.normal(size=(n, 5))
    database_codes = np.packbits(np.tri(n, n, -1, dtype=np.uint8), axis=1)
    query_codes = np.zeros((q, database_codes.shape[1]), np.uint8)
    found = neighbour_recall(query, query_codes, database, database_codes, n)
    distances = np.linalg.norm(query[:, None] - database, axis=2)
    nearest = np.argsort(distances, axis=1)[:, :10]
    for k in (10, 100):
        assert found.recall[k] == pytest.approx((nearest < k).mean())
        assert found.chance[k] == k / n
        low, high = found.interval[k]
        assert low <= found.recall[k] <= high
    np.testing.assert_allclose(found.of_query, (nearest < 100).mean(axis=1))


def test_a_database_smaller_than_the_ranks(rng):
    found = neighbour_recall(
        rng.normal(size=(2, 3)), codes("01", "10"), rng.normal(size=(4, 3)), codes(*["11"] * 4), 2
    )
    assert (found.near, found.recall, found.chance) == (4, {4: 1.0}, {4: 1.0})


def test_codes_that_do_not_fit():
    with pytest.raises(ValueError, match="query_codes"):
        neighbour_recall(np.zeros((1, 1)), codes("0"), np.zeros((1, 1)), codes("0"), 9)
