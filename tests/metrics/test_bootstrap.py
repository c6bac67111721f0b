import numpy as np
import pytest

from ssah_tf.metrics import bootstrap_interval


def test_half_width_is_that_of_the_normal_law():
    """The mean of n values of spread s spreads by s / sqrt(n): half width 1.96 s / sqrt(n).

    10 % tolerance: the ends of 4,000 resamples are known to about 3 %.
    """
    values = np.random.default_rng(0).normal(0.5, 0.2, size=400)
    low, high = bootstrap_interval(values, n_bootstrap=4000)
    assert low < values.mean() < high
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.1)


def test_level_narrows_the_interval():
    """Half widths at 50 % and 95 % are 0.674 and 1.960 standard errors."""
    values = np.random.default_rng(1).normal(size=300)
    wide = np.diff(bootstrap_interval(values, n_bootstrap=4000, level=0.95))
    narrow = np.diff(bootstrap_interval(values, n_bootstrap=4000, level=0.5))
    assert narrow / wide == pytest.approx(0.674 / 1.960, rel=0.1)


def test_shrinks_with_the_number_of_queries():
    """A hundred times the queries, a tenth of the width."""
    values = np.random.default_rng(2).random(100)
    wide = np.diff(bootstrap_interval(values))
    narrow = np.diff(bootstrap_interval(np.tile(values, 100)))
    assert narrow / wide == pytest.approx(0.1, rel=0.2)


def test_same_seed_same_interval():
    values = np.random.default_rng(3).random(50)
    assert bootstrap_interval(values, seed=5) == bootstrap_interval(values, seed=5)
    assert bootstrap_interval(values, seed=5) != bootstrap_interval(values, seed=6)
    given = bootstrap_interval(values, n_bootstrap=1000, seed=0, level=0.95)
    assert bootstrap_interval(values) == given


@pytest.mark.parametrize(("value", "resamples"), [(0.25, 1000), (0.5, 1), (0.75, 2), (-3, 1)])
def test_equal_values_have_no_width(value, resamples):
    assert bootstrap_interval(np.full(10, value), n_bootstrap=resamples) == (value, value)


def test_resamples_in_blocks_are_the_same(monkeypatch):
    """Seven resamples of five values: at once, three, two or one at a time."""
    values = np.random.default_rng(4).random(5)
    whole = bootstrap_interval(values, n_bootstrap=7)
    for elements in (15, 10, 1):
        monkeypatch.setattr("ssah_tf.metrics.bootstrap._BLOCK_ELEMENTS", elements)
        assert bootstrap_interval(values, n_bootstrap=7) == whole


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([], {}, r"values: received shape \(0,\)"),
        ([[0.1]], {}, r"values: received shape \(1, 1\)"),
        (0.1, {}, r"values: received shape \(\)"),
        ([0.1], {"n_bootstrap": -1}, "n_bootstrap: received -1"),
        ([0.1], {"n_bootstrap": 0}, "n_bootstrap: received 0"),
        ([0.1], {"level": 95}, "level: received 95"),
        ([0.1], {"level": 1}, "level: received 1"),
        ([0.1], {"level": 0}, "level: received 0"),
        ([0.1], {"level": -0.1}, "level: received -0.1"),
    ],
)
def test_refuses(values, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(np.array(values), **options)
