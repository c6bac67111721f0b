import time

import pytest

from ssah_tf.system.durations import parse_duration
from ssah_tf.training.choose.budget import Clock, smallest_budget


@pytest.mark.parametrize("seconds", [1, 10, 10.1, 299, 300.5, 4000])
def test_the_smallest_budget_is_enough(seconds):
    found = parse_duration(smallest_budget(seconds), "--budget")
    assert seconds <= found < seconds + 70


def test_a_clock_counts_what_others_have_spent():
    clock = Clock(100, before=30, began=time.monotonic() - 20)
    assert clock.spent == pytest.approx(50, abs=1)
    assert clock.left == pytest.approx(50, abs=1)
