"""What the benchmarks share: rates of several pieces of work, taken side by side."""

import time
from collections.abc import Callable
from statistics import median


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


def processor_ratios(rows: dict[str, Callable], turns: int = 7) -> dict[str, float]:
    """Processor time of each piece of work as a ratio to the first, in turns; the middle one.

    Fit for a machine that has other work, too: what others take is not counted, and what they slow
    down is slowed down in the whole turn.
    """
    taken: dict[str, list[float]] = {name: [] for name in rows}
    for work in rows.values():
        work()
    for _ in range(turns):
        for name, work in rows.items():
            began = time.process_time()
            work()
            taken[name].append(time.process_time() - began)
    first = next(iter(taken.values()))
    return {
        name: median(own / base for own, base in zip(seconds, first, strict=True))
        for name, seconds in taken.items()
    }
