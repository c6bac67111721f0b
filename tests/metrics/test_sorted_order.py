import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ssah_tf.metrics.sorted_order import FEW, ranked, sorted_average_precision


def test_ties_stay_in_database_order():
    """Distances 1 0 1 2 and relevance 1 1 0 1: the ranking is 1 1 0 1, AP (1 + 1 + 3/4)/3 = 11/12.

    With the two tied images the other way round it is 1 0 1 1, AP (1 + 2/3 + 3/4)/3 = 29/36.
    """
    distances = np.array([1, 0, 1, 2], dtype=np.uint8)
    ap, _ = sorted_average_precision(distances, np.array([1, 1, 0, 1], bool))
    assert ap == pytest.approx(11 / 12, abs=1e-12)
    ap, _ = sorted_average_precision(distances, np.array([0, 1, 1, 1], bool))
    assert ap == pytest.approx(29 / 36, abs=1e-12)


def test_cutoffs_divide_by_the_hits_found():
    """Ranking 0 1 0 1 1 0. AP@1 = 0; AP@2 = AP@3 = 1/2; AP@4 = (1/2 + 2/4)/2; all: + 3/5 over 3."""
    distances = np.arange(6, dtype=np.uint8)
    ap, at = sorted_average_precision(
        distances, np.array([0, 1, 0, 1, 1, 0], bool), (1, 2, 3, 4, 100)
    )
    assert ap == pytest.approx(1.6 / 3, abs=1e-12)
    assert at == pytest.approx([0, 1 / 2, 1 / 2, 1 / 2, 1.6 / 3], abs=1e-12)


def test_without_ties_equals_scikit_learn():
    rng = np.random.default_rng(1)
    for dtype in (np.uint8, np.uint16):
        distances, relevant = rng.permutation(200).astype(dtype), rng.random(200) < 0.2
        expected = average_precision_score(relevant, -distances.astype(int))
        ap, _ = sorted_average_precision(distances, relevant)
        assert ap == pytest.approx(expected, abs=1e-12)


def test_nothing_relevant_is_zero():
    ap, at = sorted_average_precision(np.zeros(3, np.uint8), np.zeros(3, bool), (1, 2))
    assert (ap, at) == (0.0, [0.0, 0.0])


def test_refuses():
    with pytest.raises(ValueError, match=r"received shapes \(3,\) and \(4,\)"):
        sorted_average_precision(np.zeros(3, np.uint8), np.zeros(4, bool))
    with pytest.raises(ValueError, match=r"received shapes \(1, 3\) and \(1, 3\)"):
        sorted_average_precision(np.zeros((1, 3), np.uint8), np.zeros((1, 3), bool))
    with pytest.raises(ValueError, match=r"cutoffs: received \(5, 0\), expected ranks >= 1"):
        sorted_average_precision(np.zeros(3, np.uint8), np.zeros(3, bool), (5, 0))
    with pytest.raises(ValueError, match=r"cutoffs: received \(-1,\), expected ranks >= 1"):
        sorted_average_precision(np.zeros(3, np.uint8), np.zeros(3, bool), (-1,))


@pytest.mark.parametrize("hits", [0, 1, FEW, FEW + 1, 200])
def test_ranks_counted_are_ranks_sorted(rng, hits):
    distances = rng.integers(0, 9, 200).astype(np.uint8)
    relevant = np.isin(np.arange(200), rng.permutation(200)[:hits])
    order = np.argsort(distances, kind="stable")
    ranks, counts, relevant_counts = ranked(distances, relevant, 12)
    np.testing.assert_array_equal(ranks, np.flatnonzero(relevant[order]) + 1)
    np.testing.assert_array_equal(counts, np.bincount(distances, minlength=12))
    np.testing.assert_array_equal(relevant_counts, np.bincount(distances[relevant], minlength=12))
