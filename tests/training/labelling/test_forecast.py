"""The learning curve carried on: known curves, measured with known noise."""

import numpy as np
import pytest

from ssah_tf.training.labelling.forecast import forecast, round_number


def rounds_of(counts, scores, width=0.04, classes=3):
    """Rounds as the journal keeps them, of mAP with a 95 % interval so wide."""
    return [
        {"labelled": n, "classes": classes, "map": s, "low": s - width / 2, "high": s + width / 2}
        for n, s in zip(counts, scores, strict=True)
    ]


def test_a_curve_without_noise():
    """Of 1 - mAP = 2 n^-1/2, half of the error is gone after four times the labels."""
    counts = np.array([48, 96, 144, 192, 240, 288, 336, 400])
    found = forecast(rounds_of(counts, 1 - 2 / np.sqrt(counts), 0.004), 10_000)
    assert [each["labels"] for each in found] == [100, 200, 400]
    for each in found:
        true = 2 / 20 - 2 / np.sqrt(400 + each["labels"])
        assert each["low"] < true < each["high"]
        assert each["low"] <= each["gain"] <= each["high"]
    gains = [each["gain"] for each in found]
    assert gains == sorted(gains)
    assert gains[-1] == pytest.approx(2 / 20 - 2 / np.sqrt(800), abs=0.01)


@pytest.mark.parametrize("power", [0.1, 0.3, 0.5])
def test_the_range_holds_what_is_true(rng, power):
    """In nine of ten cases at least, for 40 noisy curves of six rounds each."""
    counts = 48 * np.arange(1, 7)
    deviation = 0.35 / np.sqrt(counts / 3)
    held = 0
    for _ in range(40):
        error = 0.3 * (counts / 288) ** -power
        scores = 1 - error + rng.normal(size=6) * deviation
        rounds = [
            {"labelled": n, "classes": 3, "map": s, "low": s - 1.96 * d, "high": s + 1.96 * d}
            for n, s, d in zip(counts, scores, deviation, strict=True)
        ]
        found = forecast(rounds, 10_000)[-1]
        held += found["low"] <= 0.3 - 0.3 * (1 + found["labels"] / 288) ** -power <= found["high"]
    assert held >= 36


def test_less_is_known_the_wider_the_range():
    def width(rounds):
        found = forecast(rounds, 1000)[-1]
        return found["high"] - found["low"]

    counts, scores = [50, 100, 150, 200], [0.5, 0.6, 0.65, 0.68]
    assert width(rounds_of(counts, scores, 0.3)) > width(rounds_of(counts, scores, 0.05))
    assert width(rounds_of(counts[1:], scores[1:])) > width(rounds_of(counts, scores))


def test_a_flat_curve_promises_little():
    counts = 100 * np.arange(1, 9)
    found = forecast(rounds_of(counts, np.full(8, 0.8), 0.02), 10_000)[-1]
    assert found["gain"] < 0.01
    falling = forecast(rounds_of(counts, np.linspace(0.85, 0.8, 8), 0.02), 10_000)[-1]
    assert found["gain"] >= falling["gain"] >= 0


@pytest.mark.parametrize(
    ("counts", "classes"),
    [
        ([100, 200], [3, 3]),
        ([100, 200, 200], [3, 3, 3]),
        ([50, 100, 150, 200], [2, 2, 3, 3]),
        ([50, 100, 150], [3, 3, 4]),
    ],
)
def test_it_cannot_be_said_yet(counts, classes):
    """Fewer than three rounds of different numbers of labels, of the same classes."""
    rounds = rounds_of(counts, np.linspace(0.5, 0.6, len(counts)))
    for each, number in zip(rounds, classes, strict=True):
        each["classes"] = number
    assert forecast(rounds, 1000) == []


def test_a_round_without_a_measure_ends_the_curve():
    rounds = rounds_of([50, 100, 150, 200], [0.5, 0.6, 0.65, 0.7])
    empty = {"labelled": 75, "classes": 3, "map": None, "low": None, "high": None}
    assert forecast([rounds[0], empty, *rounds[1:]], 1000) == forecast(rounds[1:], 1000) != []
    assert forecast([*rounds, empty], 1000) == []


def test_no_more_labels_than_photos():
    rounds = rounds_of([50, 100, 150], [0.5, 0.6, 0.65])
    assert [each["labels"] for each in forecast(rounds, 240)] == [40, 75]
    assert forecast(rounds, 160) == []


def test_round_numbers():
    assert [round_number(v) for v in (3.2, 0.4, 12, 37.5, 144, 1234)] == [3, 1, 10, 40, 150, 1000]
