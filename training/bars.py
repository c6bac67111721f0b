"""Bars that show how far some work is; who does the work knows no terminal."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

#: Makes a bar for some work: a block that gives a function to tell it (done, total).
Bars = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


def no_bar(what: str) -> AbstractContextManager[Callable[[int, int], None]]:
    """A bar that nobody sees."""
    return nullcontext(lambda done, total: None)
