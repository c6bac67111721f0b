"""`ssah index --watch`: a line for each batch that is taken in, until a signal comes."""

from typing import TYPE_CHECKING

import typer

from ssah_tf.cli.progress import resumable, tell_damaged, tell_flat
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import printable

if TYPE_CHECKING:
    from ssah_tf.search.sync import Synced
    from ssah_tf.search.watch import Watcher

#: A look at all folders, whatever the system tells: network drives tell nothing.
SWEEP = "10m"


def follow(watcher: "Watcher", sweep: float) -> None:
    """Take in what changes, and say so."""
    from ssah_tf.system.folder_events import FolderEvents

    def deaf(line: str) -> None:
        typer.echo(f"{line}: they are found by --sweep alone", err=True)

    with (
        resumable("all that was told is in the index; the same command goes on"),
        FolderEvents(watcher.folders(), watcher.matters, deaf) as events,
    ):
        typer.echo("watching (Ctrl-C stops)")
        for done in watcher.batches(events, sweep):
            if isinstance(done, SsahError):
                typer.echo(f"ssah: {done}; this is tried again", err=True)
            else:
                tell(done)


def tell(done: "Synced") -> None:
    """Print what a batch was."""
    for reason in done.bad.values():
        typer.echo(f"skipped: {printable(reason)}", err=True)
    tell_damaged(done.damaged)
    tell_flat(done.flat)
    given, changed, taken = done.labels
    counts = {
        "new": done.added,
        "changed": done.changed,
        "moved": done.moved,
        "back": done.back,
        "missing": done.vanished,
        "given labels": given,
        "with other labels": changed,
        "without their labels": taken,
    }
    if any(counts.values()):
        parts = (f"{count:,} {what}" for what, count in counts.items() if count)
        typer.echo(f"{done.photos:,} photos: {', '.join(parts)}")
    if 5 * done.vanished > done.photos - done.added - done.back + done.vanished:
        typer.echo(
            f"{done.vanished:,} photos vanished at once, more than a fifth of the index: look "
            "whether a disk or a folder is away; they are back as soon as their files are",
            err=True,
        )
