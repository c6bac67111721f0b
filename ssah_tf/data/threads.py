"""Threads that decode image files, shared by the whole process."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from ssah_tf.system.signals import raise_if_ending

Item = TypeVar("Item")
Result = TypeVar("Result")

_pool: ThreadPoolExecutor | None = None


def decoder_pool() -> ThreadPoolExecutor:
    """The threads that decode image files: one a core, shared by the whole process."""
    global _pool
    if _pool is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        _pool = ThreadPoolExecutor(max_workers=cores or 1, thread_name_prefix="decode")
    return _pool


def limit_decoders(count: int) -> None:
    """Decode in so many threads from now on, where a process has a share of the cores."""
    global _pool
    _pool = ThreadPoolExecutor(max_workers=count, thread_name_prefix="decode")


def drop_decoders(seconds: float) -> bool:
    """Give up what waits for a decoder thread, at the end of the program.

    Returns:
        Whether the threads have ended after some seconds: one may be at a very large image.
    """
    global _pool
    pool, _pool = _pool, None
    if pool is None:
        return True
    pool.shutdown(wait=False, cancel_futures=True)
    waiting = threading.Thread(target=pool.shutdown, daemon=True)
    waiting.start()
    waiting.join(seconds)
    return not waiting.is_alive()


def in_batches(
    work: Callable[[Item], Result], items: Iterable[Item], batch: int
) -> Iterator[list[Result]]:
    """Results of `work` for each item, in order, a batch at a time.

    While the caller is busy with one batch, the decoder threads work on the next. What has not
    begun is given up if the caller stops in the middle.
    """
    items = iter(items)

    def begin() -> list[Future[Result]]:
        return [decoder_pool().submit(work, item) for item in islice(items, batch)]

    running, coming = begin(), list[Future[Result]]()
    try:
        while running:
            raise_if_ending()
            coming = begin()
            yield [future.result() for future in running]
            running = coming
    finally:
        for future in (*running, *coming):
            future.cancel()
