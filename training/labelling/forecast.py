"""What more labels would bring: the learning curve so far, carried on with its uncertainty.

The error 1 - mAP falls as a power of the number of labels, towards a floor that is not known
(Figueroa et al., "Predicting sample size required for classification performance", BMC Medical
Informatics and Decision Making 2012; Hestness et al., arXiv 1712.00409):

    e(n) = e(m) (f + (1 - f) (n / m)^-b)        m: labels now

Each e(m), f and b on a grid is as probable as the rounds make it, all alike before. So little
knowledge gives a wide range, not a wrong number. An f below 0 is no floor: the curve then falls
towards a straight line over log n, as measured ones do (docs/notebook/suggest.md).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: Rounds without which nothing is said.
ROUNDS = 3
#: Labels that are looked at, as shares of those now; a curve is never carried on further.
AHEAD = (0.25, 0.5, 1.0)
#: Deviation of mAP from one training to another, beside that of its queries.
TRAINING = 0.015
#: The grid: the error now, the floor as a share of it, and the power, from no gain to 1 / n.
ERROR_NOW = np.linspace(0.0025, 0.9975, 200)[:, None, None]
FLOOR = np.linspace(-1, 0.9, 20)[:, None]
POWER = np.linspace(0, 1, 21)
#: Of a 95 % interval, in standard deviations.
WIDTH = 2 * 1.96


def forecast(rounds: Sequence[Mapping[str, Any]], photos: int) -> list[dict[str, float]]:
    """What more labels would add to mAP.

    Only the last rounds are looked at that had as many classes as the newest one: with another
    class mAP is another question.

    Args:
        rounds: The newest last. Of each: `labelled`, the number of photos with a label; `classes`;
            and `map` with its 95 % interval `low`, `high`, `None` if it was not measured.
        photos: Photos in all, with and without a label.

    Returns:
        For some numbers `labels` of more labels, ascending: the `gain` in mAP, the median, with
        its 95 % range `low`, `high`. Empty if it cannot be said yet.
    """
    comparable = same_classes(rounds)
    counts = np.array([each["labelled"] for each in comparable], float)
    if len(np.unique(counts)) < ROUNDS:
        return []
    now = counts[-1]
    errors = np.array([1 - each["map"] for each in comparable])
    deviations = np.array([each["high"] - each["low"] for each in comparable]) / WIDTH
    probable = posterior(counts / now, errors, np.hypot(deviations, TRAINING))
    more = {round_number(share * now) for share in AHEAD}
    found = []
    for labels in sorted(labels for labels in more if labels <= photos - now):
        gains = ERROR_NOW - curve(np.array(1 + labels / now))
        low, gain, high = quantiles(gains, probable, (0.025, 0.5, 0.975))
        found.append({"labels": labels, "gain": gain, "low": low, "high": high})
    return found


def same_classes(rounds: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rounds at the end that were measured and had as many classes as the newest one."""
    found: list[Mapping[str, Any]] = []
    for each in reversed(rounds):
        if each["map"] is None or (found and each["classes"] != found[0]["classes"]):
            break
        found.append(each)
    return found[::-1]


def curve(share: np.ndarray) -> np.ndarray:
    """The error with a share n / m of the labels, `(errors, floors, powers)`."""
    return ERROR_NOW * (FLOOR + (1 - FLOOR) * share**-POWER)


def posterior(shares: np.ndarray, errors: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """How probable each error now, floor and power is, `(errors, floors, powers)`.

    Args:
        shares: Labels of each round, as shares of those now, `(rounds,)`.
        errors: What was measured, `(rounds,)`.
        deviations: Of it, normal and independent, `(rounds,)`.
    """
    log = np.zeros(np.broadcast_shapes(ERROR_NOW.shape, FLOOR.shape, POWER.shape))
    for share, error, deviation in zip(shares, errors, deviations, strict=True):
        log -= ((curve(share) - error) / deviation) ** 2 / 2
    probable = np.exp(log - log.max())
    return probable / probable.sum()


def quantiles(values: np.ndarray, weights: np.ndarray, at: Sequence[float]) -> list[float]:
    """Weighted quantiles of values, to four places."""
    order = np.argsort(values, axis=None)
    below = np.cumsum(weights.ravel()[order])
    places = np.minimum(np.searchsorted(below, at), values.size - 1)
    return [round(float(value), 4) for value in values.ravel()[order][places]]


def round_number(value: float) -> int:
    """A number of labels as people say it: to two digits, the last of them 0 or 5."""
    step = 5 * 10 ** max(0, len(str(int(value))) - 2)
    return max(1, round(value / step) * step) if value >= 10 else max(1, round(value))
