"""The time that a person gives, and how much of it is left."""

import math
import time


def smallest_budget(seconds: float) -> str:
    """The least time to ask for that is no less than some seconds, as `parse_duration` reads it."""
    return f"{10 * math.ceil(seconds / 10)}s" if seconds < 300 else f"{math.ceil(seconds / 60)}m"


class Clock:
    """How much of a budget is left, over all processes that have worked on it.

    Args:
        budget: Seconds.
        before: Seconds that other processes have spent.
        began: When this one began, by `time.monotonic`; now by default.
    """

    def __init__(self, budget: float, before: float = 0.0, began: float | None = None):
        self.budget = budget
        self.before = before
        self.began = time.monotonic() if began is None else began

    @property
    def spent(self) -> float:
        """Seconds that are gone."""
        return self.before + time.monotonic() - self.began

    @property
    def left(self) -> float:
        """Seconds that are left; below 0 after the end."""
        return self.budget - self.spent
