"""The command that says which photos to label next: `suggest`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ssah_tf.cli.extras import import_tensorflow, need
from ssah_tf.cli.folders import Exclude, patterns, print_passed_over
from ssah_tf.cli.progress import SAME_AGAIN, progress_bar, resumable, tell_skipped
from ssah_tf.system.errors import DataError
from ssah_tf.system.text import printable

app = typer.Typer()


@app.command()
def suggest(
    photos: Annotated[Path, typer.Argument(help="Look at the photos of this folder.")],
    count: Annotated[
        int, typer.Option(min=1, help="Find so many photos; the first are worth the most.")
    ] = 100,
    labels: Annotated[
        Path | None,
        typer.Option(help="Read labels that are known from this file: .csv, .jsonl, or lists."),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(help="Write the table here: what --labels has, then the photos to label."),
    ] = Path("to_label.csv"),
    work: Annotated[
        Path, typer.Option(help="Keep features in this folder, so that they are computed once.")
    ] = Path("labelling"),
    exclude: Exclude = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override a value of the recipe frozen, e.g. data.image_size=160.",
        ),
    ] = None,
) -> None:
    """Find the photos that are most worth a label, and write them to a table to fill in.

    Without labels they show all that there is; with some, what these leave in doubt.
    """
    need("train", "ssah suggest")
    import_tensorflow()
    from ssah_tf.training.hash_layer.feature_store import FeatureStore, features_in
    from ssah_tf.training.labelling.photos import load_photos
    from ssah_tf.training.labelling.suggest import features_of_photos, suggest
    from ssah_tf.training.labelling.table import check_table, write_table

    check_table(output, labels)
    with resumable(SAME_AGAIN):
        with progress_bar("reading") as bar:
            loaded = load_photos(photos, labels, patterns(exclude), bar)
        images = loaded.images
        tell_skipped(loaded.bad.values())
        for line in loaded.lines():
            typer.echo(printable(line), err=True)
        print_passed_over(loaded.passed)
        if images.labels.any(axis=1).all():
            raise DataError(f"{photos}: all {len(images):,} photos have a label")
        store = FeatureStore(features_in(work), progress_bar)
        features = features_of_photos(images, store, tuple(overrides or ()))
        found = suggest(features, images.labels, images.digests, count)
        added = write_table(output, labels, [images.ids[position] for position in found])
    if len(found) < count:
        typer.echo(
            f"--count {count:,}: there are only {len(found):,}, the others have a label or are "
            "copies",
            err=True,
        )
    typer.echo(
        f"{len(found):,} photos to label in {printable(str(output))}, {added:,} of them new rows\n"
        "fill in the column label (several separated by ;), then\n"
        f"  more: ssah suggest {quoted(photos)} --labels {quoted(output)} "
        f"--output {quoted(output)}\n"
        f"  learn: ssah train --data {quoted(photos)} --labels {quoted(output)} "
        f"--features {quoted(work)}"
    )


def quoted(path: Path) -> str:
    """A path as a shell takes it."""
    return printable(shlex.quote(str(path)))
