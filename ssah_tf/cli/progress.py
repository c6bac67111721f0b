"""What commands share: work that can be interrupted, and bars that show how far it is."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import typer

from ssah_tf.system.signals import BEGIN_AGAIN
from ssah_tf.system.signals import ends_on_signals as resumable
from ssah_tf.system.text import plain_console, printable

__all__ = [
    "BEGIN_AGAIN",
    "SAME_AGAIN",
    "progress_bar",
    "resumable",
    "tell_damaged",
    "tell_flat",
    "tell_skipped",
]

#: How to go on with what keeps its parts.
SAME_AGAIN = "the same command goes on where it was"
#: Files that are named one by one, at most.
SHOWN = 20


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, if that is a terminal; gives a function to tell it (done, total)."""
    from rich.progress import Progress

    console = plain_console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def tell_flat(paths: Sequence[str]) -> None:
    """Say on stderr which pictures show one level only: a person may know better."""
    if paths:
        typer.echo(
            f"{len(paths):,} of one level, for example {printable(paths[0])}: blank, or its values "
            "have a range that is not known",
            err=True,
        )


def tell_damaged(lines: Collection[str]) -> None:
    """Say on stderr which files lack their end, and have a code nevertheless."""
    for line in list(lines)[:SHOWN]:
        typer.echo(f"{printable(line)}; read as far as it goes", err=True)
    if len(lines) > SHOWN:
        typer.echo(f"damaged: {len(lines) - SHOWN:,} more", err=True)


def tell_skipped(reasons: Collection[str], where: str = "") -> None:
    """Say on stderr why files were skipped: the first ones, then how many more.

    Args:
        reasons: One for each file.
        where: What is said behind the number of the others.
    """
    for reason in list(reasons)[:SHOWN]:
        typer.echo(f"skipped: {printable(reason)}", err=True)
    if len(reasons) > SHOWN:
        typer.echo(f"skipped: {len(reasons) - SHOWN:,} more{where}", err=True)
