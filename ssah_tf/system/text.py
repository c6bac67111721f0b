"""Text of strangers: on a terminal, and where text must be Unicode."""

import difflib
import heapq
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

#: Names that are compared with what was typed, at most.
COMPARED = 500


def write_any_text() -> None:
    """Let what the encoding of stdout or stderr lacks be written as escapes, not end the program.

    (Windows gives redirected output its old code pages; under Linux a locale may be Latin-1.)
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def plain_console(stderr: bool = False) -> "Console":
    """A console that takes text as it is: `[red]` is no colour, and `:cat:` no picture."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def printable(name: str) -> str:
    """A name on one line: control characters and undecodable bytes as escapes."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def near(typed: str, known: Iterable[str], count: int) -> list[str]:
    """What is spelled nearly as what was typed, the nearest first.

    Comparing takes a while, so of many only those are compared that begin and are as long alike.

    Args:
        typed: What was typed.
        known: What it may have meant.
        count: How many at most.
    """
    likely = heapq.nsmallest(
        COMPARED, known, key=lambda one: (one[:1] != typed[:1], abs(len(one) - len(typed)))
    )
    return difflib.get_close_matches(typed, likely, n=count)


def as_unicode(path: str) -> str:
    """A path as text of Unicode alone, as Parquet and JSON want it: bytes that are none are marked.

    (File systems allow any bytes; Python holds those that are no text as surrogates.)
    """
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def lines_of(error: BaseException, text: str | None = None) -> list[str]:
    """What an exception says, in lines that have text; its class if it says nothing.

    Args:
        error: The exception.
        text: What it says, if that is not `str(error)`.
    """
    lines = [line.strip() for line in (str(error) if text is None else text).splitlines()]
    return [line for line in lines if line] or [type(error).__name__]


def first_line(error: BaseException, text: str | None = None) -> str:
    """What an exception of other people's code says first, as the reason in a line of ours."""
    return lines_of(error, text)[0]


def quoted(path: str | Path) -> str:
    """A path as a shell takes it, on one line."""
    return printable(shlex.quote(str(path)))
