"""What commands share: work that can be interrupted, and bars that show how far it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ssah_tf.system.signals import ends_on_signals as resumable

__all__ = ["BEGIN_AGAIN", "SAME_AGAIN", "progress_bar", "resumable"]

#: How to go on with what keeps its parts.
SAME_AGAIN = "the same command goes on where it was"
#: How to go on with all else: nothing is left half written.
BEGIN_AGAIN = "give the same command again"


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, if that is a terminal; gives a function to tell it (done, total)."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
