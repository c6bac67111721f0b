"""Times as people type them."""

import pytest

from ssah_tf.system.durations import in_words, parse_duration
from ssah_tf.system.errors import SsahError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), (" 2 M ", 120)],
)
def test_times_that_are_read(text, seconds):
    assert parse_duration(text, "--budget") == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "ten minutes", "-5m", "10m later", "0s", "5d", "m", "1e3s"]
)
def test_times_that_are_refused(text):
    with pytest.raises(SsahError, match=r"--budget .*: expected a time such as 90s, 10m or 2h"):
        parse_duration(text, "--budget")


def test_times_in_words():
    assert [in_words(s) for s in (0.2, 89, 90, 600, 7300)] == [
        "1 s",
        "89 s",
        "2 min",
        "10 min",
        "2 h 2 min",
    ]
