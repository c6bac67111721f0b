"""The command `ssah`. Nothing heavy is imported before a command needs it."""

import importlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from ssah_tf.cli.progress import BEGIN_AGAIN, resumable
from ssah_tf.system.errors import SsahError, Stopped
from ssah_tf.system.signals import take_signals
from ssah_tf.system.text import printable, write_any_text
from ssah_tf.version import __version__

#: Seconds that a decoder may take to its end after a signal.
DECODERS = 0.4
#: Command -> the module of `ssah_tf.cli` that has it, alone or beside others.
COMMANDS = {
    "suggest": "label",
    "label": "label",
    "train": "train",
    "baseline": "train",
    "evaluate": "train",
    "report": "train",
    "ablation": "train",
    "export": "export",
    "verify": "export",
    "encode": "encode",
    "index": "search",
    "search": "search",
    "stats": "search",
    "migrate": "search",
    "load": "search",
    "duplicates": "duplicates",
    "serve": "serve",
    "data": "data",
}


class Modules(Mapping[str, Any]):
    """The commands by name, each imported when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        group = typer.main.get_group(importlib.import_module(f"ssah_tf.cli.{COMMANDS[name]}").app)
        return group.commands.get(name, group)  # `ssah data` is a group itself

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Commands(typer.core.TyperGroup):
    """The commands, each ended by Ctrl-C or SIGTERM with a line."""

    def __init__(self, **given: Any):
        super().__init__(**given)
        self.commands: Any = Modules()

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with resumable(BEGIN_AGAIN):  # here, since click has an answer of its own to Ctrl-C
            return super().invoke(ctx)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands, each with its first sentence, however long."""
        rows = [(name, one.get_short_help_str(200)) for name, one in self.commands.items()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


# Boxes around help would take longer to import than all else that help needs.
app = typer.Typer(
    cls=Commands,
    help="Learn compact binary hash codes for image search from a few labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Learn compact binary hash codes for image search from a few labels."""
    if show:
        typer.echo(f"ssah-tf {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; what a user or the machine got wrong is one line on stderr.

    The exit code is 1, and 128 and its number for a signal: 130 after Ctrl-C. A traceback is left
    to bugs of ours.
    """
    write_any_text()
    try:
        app()
    except SsahError as error:
        typer.echo(f"ssah: {error}", err=True)
        if isinstance(error, Stopped):
            leave(error.exit_code)
        sys.exit(error.exit_code)
    except Exception as error:
        from ssah_tf.system.machine import refusal

        line = refusal(error)
        if line is None:
            raise
        typer.echo(f"ssah: {printable(line)}", err=True)
        sys.exit(1)


def leave(exit_code: int) -> None:
    """Let the next signal end the process, and end it here if a decoder thread is busy for long.

    Python would wait for that thread.
    """
    take_signals(signal.SIG_DFL)
    threads = sys.modules.get("ssah_tf.data.threads")
    if threads is not None and not threads.drop_decoders(DECODERS):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(exit_code)
