import numpy as np
import pytest
from scipy import stats

from ssah_tf.metrics import paired_difference
from ssah_tf.metrics.paired import t_quantile


def test_difference_by_hand():
    """Differences 1, 2, 3, 4, 5 of mean 3: deviation sqrt(10 / 4), t of 4 degrees 2.776."""
    found = paired_difference([11, 22, 33, 44, 55], [10, 20, 30, 40, 50])
    assert found.values == (1, 2, 3, 4, 5)
    assert found.mean == 3
    assert found.deviation == pytest.approx(2.5**0.5)
    reach = 2.7764451 * 0.5**0.5
    assert found.interval == pytest.approx((3 - reach, 3 + reach))
    assert found.text == "+3.0000 ± 1.5811"
    assert found.interval_text == "+1.0368 to +4.9632"


def test_interval_is_that_of_a_paired_t_test():
    way, other = np.random.default_rng(0).normal(size=(2, 10))
    expected = stats.ttest_rel(way, other).confidence_interval(0.95)
    assert paired_difference(way, other).interval == pytest.approx(tuple(expected))


def test_what_pairs_share_is_not_spread():
    shared = np.random.default_rng(1).normal(size=6)
    found = paired_difference(shared + 0.5, shared)
    assert found.mean == pytest.approx(0.5)
    assert found.deviation == pytest.approx(0, abs=1e-12)


def test_few_pairs_have_no_interval():
    four = paired_difference([1, 2, 3, 4], [0, 0, 0, 0])
    assert four.interval is None
    assert four.interval_text == ""
    assert four.deviation is not None
    one = paired_difference([0.25], [0.5])
    assert one.deviation is None
    assert one.text == "-0.2500"


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 30])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_quantiles_are_those_of_scipy(level, freedom):
    assert t_quantile(level, freedom) == pytest.approx(stats.t.ppf((1 + level) / 2, freedom))


def test_what_does_not_pair_is_refused():
    for way, other in (([1], [1, 2]), ([], [])):
        with pytest.raises(ValueError, match="expected pairs"):
            paired_difference(way, other)
