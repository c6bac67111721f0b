"""Threads that compute, shared by the whole process."""

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def helpers() -> ThreadPoolExecutor:
    """Threads that help the callers: one a core but for the caller's own."""
    return ThreadPoolExecutor(max_workers=max(1, cores() - 1), thread_name_prefix="compute")


def parallel(
    work: Callable[[Item], Result], items: Sequence[Item], threads: int | None = None
) -> list[Result]:
    """Results of `work` for each item, in order; the caller works, and idle helpers with it.

    A caller never waits for a helper that has not begun. So calls side by side take a thread
    each, and one alone takes all cores. Nobody spins while it waits.

    Args:
        work: What is done; it may run in several threads at once.
        items: What it is done with.
        threads: How many at most, the caller's own among them; one a core if `None`.
    """
    threads = min(len(items), threads or cores())
    if threads <= 1:
        return [work(item) for item in items]
    results: dict[int, Result] = {}
    left, lock = iter(range(len(items))), threading.Lock()

    def help_out() -> None:
        while True:
            with lock:
                number = next(left, None)
            if number is None:
                return
            results[number] = work(items[number])

    started = [helpers().submit(help_out) for _ in range(threads - 1)]
    try:
        help_out()
    finally:
        left = iter(())  # after an error nothing more is begun
        begun = [future for future in started if not future.cancel()]
        for future in begun:
            future.result()
    return [results[number] for number in range(len(items))]
