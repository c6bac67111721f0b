"""The closed forms against every order of the ties, one by one."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ssah_tf.metrics import (
    precision_recall_by_radius,
    tie_aware_average_precision,
    tie_aware_precision,
)

BITS = 4


def tables(distances, relevant, bits=BITS):
    """Counts of all and of relevant images at each distance, `(1, bits + 1)` each."""
    distances, relevant = np.array(distances), np.array(relevant, dtype=bool)
    return (
        np.bincount(distances, minlength=bits + 1)[None],
        np.bincount(distances[relevant], minlength=bits + 1)[None],
    )


def over_all_orders(distances, relevant, k):
    """Mean AP@k (divided by min(R, k)) and P@k over all n! orders before a stable sort."""
    ap, precision = [], []
    denominator = max(1, min(sum(relevant), k))
    for order in permutations(range(len(distances))):
        ranking = [relevant[i] for i in sorted(order, key=lambda i: distances[i])]
        hits = [sum(ranking[: t + 1]) for t in range(len(ranking))]
        top = range(min(k, len(ranking)))
        ap.append(sum(hits[t] / (t + 1) for t in top if ranking[t]) / denominator)
        precision.append(sum(ranking[:k]) / k)
    return np.mean(ap), np.mean(precision)


def test_worked_example():
    """Rankings 1 0 1 1 and 1 1 0 1: (29/36 + 33/36) / 2 = 31/36.

    At k = 2: 1 0 gives 1/2 and 1 1 gives (1 + 1)/2, mean 3/4; P@2 is (1/2 + 1) / 2 = 3/4.
    """
    counts, relevant = tables([0, 1, 1, 2], [1, 0, 1, 1])
    assert tie_aware_average_precision(counts, relevant) == pytest.approx([31 / 36], abs=1e-12)
    assert tie_aware_average_precision(counts, relevant, 2) == pytest.approx([3 / 4], abs=1e-12)
    assert tie_aware_precision(counts, relevant, 2) == pytest.approx([3 / 4], abs=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_equals_mean_over_all_orders(seed):
    rng = np.random.default_rng(seed)
    distances = rng.integers(0, 3 if seed % 2 else BITS + 1, size=6).tolist()
    relevant = rng.integers(0, 2, size=6).tolist()
    counts, hits = tables(distances, relevant)
    for k in (1, 2, 3, 5, 6, 9):
        ap, precision = over_all_orders(distances, relevant, k)
        assert tie_aware_average_precision(counts, hits, k) == pytest.approx([ap], abs=1e-12)
        assert tie_aware_precision(counts, hits, k) == pytest.approx([precision], abs=1e-12)
    ap, _ = over_all_orders(distances, relevant, 6)
    assert tie_aware_average_precision(counts, hits) == pytest.approx([ap], abs=1e-12)


def test_one_big_tie_with_one_relevant():
    """One relevant image at a uniform rank 1..n: E[1/rank] = H(n)/n; n = 4: 25/48."""
    counts, relevant = tables([3, 3, 3, 3], [0, 1, 0, 0])
    assert tie_aware_average_precision(counts, relevant) == pytest.approx([25 / 48], abs=1e-12)
    assert tie_aware_precision(counts, relevant, 1) == pytest.approx([1 / 4], abs=1e-12)


def test_without_ties_equals_scikit_learn():
    """Forty images at forty distances, so that there is nothing to average over."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        distances, relevant = rng.permutation(40), rng.random(40) < 0.3
        counts, hits = tables(distances, relevant, bits=40)
        expected = average_precision_score(relevant, -distances)
        assert tie_aware_average_precision(counts, hits) == pytest.approx([expected], abs=1e-12)


def test_large_ties_stay_exact():
    """All of 200,000 images tied: E[AP] = rho + (1 - rho) H(n)/n, rho = (R - 1)/(n - 1).

    In double precision to 1e-12, where H(n) is a sum of 200,000 terms.
    """
    n, r = 200_000, 20_000
    rho = (r - 1) / (n - 1)
    harmonic = np.log(n) + 0.577215664901532860606 + 1 / (2 * n) - 1 / (12 * n**2)
    counts, relevant = np.array([[n]]), np.array([[r]])
    expected = rho + (1 - rho) * harmonic / n
    assert tie_aware_average_precision(counts, relevant) == pytest.approx([expected], abs=1e-12)


def test_several_queries_and_unsigned_counts():
    first, second = tables([0, 1, 1, 2], [1, 0, 1, 1]), tables([3, 3, 3, 3], [0, 1, 0, 0])
    counts = np.concatenate([first[0], second[0]]).astype(np.uint8)
    relevant = np.concatenate([first[1], second[1]]).astype(np.uint8)
    expected = [31 / 36, 25 / 48]
    assert tie_aware_average_precision(counts, relevant) == pytest.approx(expected, abs=1e-12)
    assert tie_aware_precision(counts, relevant, 1) == pytest.approx([1, 1 / 4], abs=1e-12)


def test_nothing_relevant_is_zero():
    counts, relevant = tables([0, 1, 1], [0, 0, 0])
    assert tie_aware_average_precision(counts, relevant) == [0]
    assert tie_aware_average_precision(counts, relevant, 2) == [0]
    assert tie_aware_precision(counts, relevant, 2) == [0]


def test_precision_recall_by_radius():
    """Nothing at 0; one of two relevant at 1; two of three at 2 and 3; two of four at 4."""
    precision, recall = precision_recall_by_radius(*tables([1, 1, 2, 4], [1, 0, 1, 0]))
    assert precision == pytest.approx(np.array([[0, 1 / 2, 2 / 3, 2 / 3, 1 / 2]]), abs=1e-12)
    assert recall == pytest.approx(np.array([[0, 1 / 2, 1, 1, 1]]), abs=1e-12)


def test_recall_without_relevant_is_zero():
    _, recall = precision_recall_by_radius(*tables([1, 2], [0, 0]))
    np.testing.assert_array_equal(recall, np.zeros((1, BITS + 1)))


@pytest.mark.parametrize("relevant", [np.ones((1, 4)), np.ones((2, 5)), np.ones(5)])
def test_refuses_other_shapes(relevant):
    counts = np.ones((1, 5), np.int64)
    for function in (
        tie_aware_average_precision,
        precision_recall_by_radius,
        lambda counts, relevant: tie_aware_precision(counts, relevant, 1),
    ):
        with pytest.raises(ValueError, match=r"received shapes \(1, 5\) and .* expected the same"):
            function(counts, relevant)


@pytest.mark.parametrize("shape", [(5,), (1, 5, 1), (1, 0)])
def test_refuses_what_is_no_table(shape):
    counts = np.ones(shape, np.int64)
    with pytest.raises(ValueError, match=r"expected the same \(q, distances\)"):
        tie_aware_average_precision(counts, counts)


def test_refuses_rank_zero():
    counts, relevant = tables([0, 1], [0, 1])
    with pytest.raises(ValueError, match="k: received 0, expected a rank >= 1"):
        tie_aware_average_precision(counts, relevant, 0)
    with pytest.raises(ValueError, match="k: received -1, expected a rank >= 1"):
        tie_aware_precision(counts, relevant, -1)
