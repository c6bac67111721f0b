"""What the benchmarks share: rates of several pieces of work, taken side by side."""

import time
from collections.abc import Callable


def rates(count: int, rows: dict[str, Callable]) -> dict[str, float]:
    """Items a second of each piece of work on `count` items, in turns, the best of five.

    In turns, so that a busy moment does not hit one of them alone; each is run once before.
    """
    best = dict.fromkeys(rows, 0.0)
    for work in rows.values():
        work()
    for _ in range(5):
        for name, work in rows.items():
            began = time.perf_counter()
            work()
            best[name] = max(best[name], count / (time.perf_counter() - began))
    return best
