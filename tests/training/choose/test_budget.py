import time

import pytest

from ssah_tf.system.durations import parse_duration
from ssah_tf.training.choose.budget import Clock, smallest_budget, written


def test_times_that_are_written():
    assert [written(s) for s in (0.2, 89, 90, 600, 7300)] == [
        "1 s",
        "89 s",
        "2 min",
        "10 min",
        "2 h 2 min",
    ]


@pytest.mark.parametrize("seconds", [1, 10, 10.1, 299, 300.5, 4000])
def test_the_smallest_budget_is_enough(seconds):
    found = parse_duration(smallest_budget(seconds), "--budget")
    assert seconds <= found < seconds + 70


def test_a_clock_counts_what_others_have_spent():
    clock = Clock(100, before=30, began=time.monotonic() - 20)
    assert clock.spent == pytest.approx(50, abs=1)
    assert clock.left == pytest.approx(50, abs=1)
