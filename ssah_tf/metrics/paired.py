"""Two ways compared seed by seed: what differs between seeds in both is not counted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: Pairs from which on an interval is given; of fewer the deviation itself is hardly known.
ENOUGH = 5


@dataclass(frozen=True)
class PairedDifference:
    """One way less another, over pairs that share seed, split, batches and first weights.

    Attributes:
        values: The difference of each pair.
        mean: Their mean.
        deviation: Their sample standard deviation, `None` of one pair.
        interval: Lower and upper end of the 95 % t interval of the mean, `None` of fewer than
            `ENOUGH` pairs. It covers the spread between seeds, not the choice of queries.
    """

    values: tuple[float, ...]
    mean: float
    deviation: float | None
    interval: tuple[float, float] | None

    @property
    def text(self) -> str:
        """Mean and deviation, such as `+0.0120 ± 0.0050`."""
        spread = "" if self.deviation is None else f" ± {self.deviation:.4f}"
        return f"{self.mean:+.4f}{spread}"

    @property
    def interval_text(self) -> str:
        """The interval, such as `+0.0058 to +0.0182`; empty without one."""
        return "" if self.interval is None else "{:+.4f} to {:+.4f}".format(*self.interval)


def paired_difference(way: Sequence[float], other: Sequence[float]) -> PairedDifference:
    """How far a way is above another, with the spread of the differences.

    Args:
        way: A number for each pair.
        other: The number of the other way, in the order of the pairs.

    Raises:
        ValueError: There are no pairs, or the numbers do not pair.
    """
    if len(way) != len(other) or not len(way):
        raise ValueError(f"received {len(way)} and {len(other)} values, expected pairs")
    values = np.asarray(way, np.float64) - np.asarray(other, np.float64)
    n, mean = len(values), float(values.mean())
    deviation = float(values.std(ddof=1)) if n > 1 else None
    interval = None
    if deviation is not None and n >= ENOUGH:
        reach = t_quantile(0.95, n - 1) * deviation / math.sqrt(n)
        interval = (mean - reach, mean + reach)
    return PairedDifference(tuple(values.tolist()), mean, deviation, interval)


def t_quantile(level: float, freedom: int) -> float:
    """The t that |T| stays below with probability `level`, T being of Student's law.

    With t = sqrt(freedom) tan(a) that probability is a finite sum of powers of cos a (Abramowitz
    and Stegun, 1964, 26.7.3 and 26.7.4), which rises with a; so a is found by halving.

    Args:
        level: Between 0 and 1.
        freedom: Degrees of freedom, 1 or more.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, freedom) < level else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def within(angle: float, freedom: int) -> float:
    """Probability that |T| < sqrt(freedom) tan(angle). See `t_quantile`."""
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power + 1) / (power + 2)
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
