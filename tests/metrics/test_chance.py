"""The level of random codes: by hand, by every order of small databases, and by simulation."""

from itertools import combinations

import numpy as np
import pytest

from ssah_tf.metrics import evaluate_retrieval
from ssah_tf.metrics.chance import (
    chance_average_precision,
    chance_by_hits,
    chance_of_empty_ball,
    chance_of_no_hit,
)


def orders(n, r):
    """Every way in which r relevant images may lie in a ranking of n, all equally likely."""
    for places in combinations(range(n), r):
        relevant = np.zeros(n)
        relevant[list(places)] = 1
        yield relevant


def by_hits(relevant, k):
    top = relevant[:k]
    precision = np.cumsum(top) / np.arange(1, k + 1)
    return float((precision * top).sum() / max(top.sum(), 1))


def test_by_hand():
    """One of two is relevant: (1 + 1/2) / 2. One of three: (1 + 1/2 + 1/3) / 3."""
    assert chance_average_precision(np.array([1]), 2) == pytest.approx([3 / 4])
    assert chance_average_precision(np.array([0, 1, 3]), 3) == pytest.approx([0, 11 / 18, 1])
    assert chance_by_hits(np.array([1]), 2, 1) == pytest.approx([1 / 2])
    assert chance_of_no_hit(1, 4, 2) == pytest.approx(1 / 2)
    assert chance_of_no_hit(3, 4, 2) == 0
    assert chance_of_empty_ball(1, 2, 0) == pytest.approx(3 / 4)
    assert chance_of_empty_ball(9, 2, 2) == 0


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_every_order_of_a_small_database(n):
    for r in range(n + 1):
        every = list(orders(n, r))
        whole = np.mean([by_hits(order, n) for order in every])
        assert chance_average_precision(np.array([r]), n)[0] == pytest.approx(whole)
        for k in range(1, n + 1):
            expected = np.mean([by_hits(order, k) for order in every])
            assert chance_by_hits(np.array([r]), n, k)[0] == pytest.approx(expected)


def test_random_codes_reach_it(rng):
    """Means over many random encoders of 8 and 24 bits: within five standard errors."""
    database = np.eye(4, dtype=np.uint8)[rng.choice(4, 90, p=(0.6, 0.2, 0.15, 0.05))]
    queries = np.eye(4, dtype=np.uint8)[rng.choice(3, 12)]
    for bits in (8, 24):
        found = []
        for _ in range(300):
            codes = [
                np.packbits(rng.integers(0, 2, (len(part), bits), np.uint8), axis=1)
                for part in (queries, database)
            ]
            order = rng.permutation(len(database))
            one = evaluate_retrieval(
                codes[0], queries, codes[1][order], database[order], bits,
                cutoffs=(1, 5, 40, 200), n_bootstrap=0,
            )  # fmt: skip
            found.append(one.to_dict())
        chance = found[0]["chance"]
        for name, expected in chance.items():
            for k in expected if isinstance(expected, dict) else (None,):
                values = [one[name] if k is None else one[name][k] for one in found]
                error = np.std(values, ddof=1) / len(values) ** 0.5
                wanted = expected if k is None else expected[k]
                assert abs(np.mean(values) - wanted) < 5 * error + 1e-5, (bits, name, k)
        assert found[0]["query_classes"] == len({*queries.argmax(axis=1).tolist()})
        assert found[0]["chance_per_class"][3] is None
        per_class = [value for value in found[0]["chance_per_class"] if value is not None]
        weights = [share for share in queries.mean(axis=0) if share]
        assert chance["map_tie_aware"] == pytest.approx(np.dot(per_class, weights))
