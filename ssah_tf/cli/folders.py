"""What commands share that read folders: what they leave out, and the line that says so."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ssah_tf.data.scan import PassedOver


def patterns(given: list[str] | None) -> list[str]:
    """Patterns as they are meant, from the folder that is read or from the current one."""
    from ssah_tf.data.scan import with_absolute

    return with_absolute(given or ())


Exclude = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Leave out files and folders of this name or path, such as 'raw' or '*_small.jpg'.",
    ),
]


def print_passed_over(passed: "PassedOver") -> None:
    """Print on stderr what was passed over, if anything was."""
    if line := passed.line():
        typer.echo(line, err=True)
