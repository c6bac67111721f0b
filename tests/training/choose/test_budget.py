import time

import pytest

from ssah_tf.system.errors import SsahError
from ssah_tf.training.choose.budget import Clock, parse_budget, smallest_budget, written


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), (" 2 M ", 120)],
)
def test_times_that_are_read(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "ten minutes", "-5m", "10m later", "0s", "5d", "m", "1e3s"]
)
def test_times_that_are_refused(text):
    with pytest.raises(SsahError, match=r"--budget .*: expected a time such as 90s, 10m or 2h"):
        parse_budget(text)


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
    found = parse_budget(smallest_budget(seconds))
    assert seconds <= found < seconds + 70


def test_a_clock_counts_what_others_have_spent():
    clock = Clock(100, before=30, began=time.monotonic() - 20)
    assert clock.spent == pytest.approx(50, abs=1)
    assert clock.left == pytest.approx(50, abs=1)
