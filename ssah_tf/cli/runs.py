"""What the commands that train and measure print of a run and of its photos."""

from typing import TYPE_CHECKING

import typer

from ssah_tf.cli.folders import print_passed_over
from ssah_tf.cli.overrides import absolute
from ssah_tf.cli.progress import tell_skipped
from ssah_tf.system.text import printable

if TYPE_CHECKING:
    from ssah_tf.data import ImageSet, Loaded
    from ssah_tf.data.found import Found
    from ssah_tf.training.recipe_sections import DataSection
    from ssah_tf.training.run import Run


def find_photos(
    run: "Run", data: str | None, spec: "DataSection | None" = None
) -> "tuple[Run, Found]":
    """Find the images of a run again, and print what is odd about them. See `photos_of`."""
    from ssah_tf.training.photos import photos_of

    run, found = photos_of(run, None if data is None else absolute(data), spec)
    for line in found.lines():
        typer.echo(f"data: {printable(line)}", err=True)
    if found.loaded is not None:
        print_passed_over(found.loaded.passed)
    return run, found


def print_findings(loaded: "Loaded") -> None:
    """Print which files were skipped, the first by name, and what else is odd about the images."""
    from ssah_tf.data.check import check_data

    tell_skipped(loaded.bad.values(), "; see `ssah data check`")
    if loaded.missing:
        typer.echo(f"without a file: {loaded.missing[0]!r}, for example", err=True)
    report = check_data(loaded, near=False)
    if not loaded.passed.unexpected:  # else it is among the warnings
        print_passed_over(loaded.passed)
    for line in [*report.warnings(), *report.errors()]:
        typer.echo(f"data: {line}; see `ssah data check`", err=True)


def print_start(run: "Run", images: "ImageSet") -> None:
    """Print what the numbers will not say, the protocol and the run folder."""
    from ssah_tf.metrics import LabelLists
    from ssah_tf.training.doubts import doubts_of_split

    split, labels = run.split, LabelLists.of(images.labels)
    query, database = (labels.take(images.positions(p)) for p in (split.query, split.database))
    for line in doubts_of_split(query, database, images.classes):
        typer.echo(f"numbers: {line}", err=True)
    typer.echo(f"{printable(split.protocol)}\nrun folder: {printable(str(run.folder))}")


def print_result(run: "Run", metrics: dict) -> None:
    """Print the numbers of a run that has ended, stored ones beside them, and what it made."""
    from ssah_tf.training import tables

    tables.print_metrics(metrics)
    if (stored := tables.stored_rows(run.recipe)) is not None:
        tables.print_stored_rows(stored)
    typer.echo(f"encoder: {run.model_path}\nreport: {run.report_path}")
