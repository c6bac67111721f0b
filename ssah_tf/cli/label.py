"""The commands for labels: which photos to label next, `suggest`, and a page for it, `label`."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssah_tf.cli.duplicates import PATIENCE
from ssah_tf.cli.extras import import_tensorflow, lacks, need
from ssah_tf.cli.folders import Exclude, patterns, print_passed_over
from ssah_tf.cli.idle import refuse_idle
from ssah_tf.cli.label_duplicates import duplicates_beside, roots_of
from ssah_tf.cli.progress import SAME_AGAIN, progress_bar, resumable, tell_skipped
from ssah_tf.cli.proxy import AllowHost, AllowOrigin, ForwardedAllowIps, RootPath, reached
from ssah_tf.cli.serve import (
    Host,
    Port,
    TokenFile,
    listen,
    page_settings,
    refuse_open,
    run,
)
from ssah_tf.system.errors import DataError
from ssah_tf.system.text import printable, quoted

if TYPE_CHECKING:
    from ssah_tf.training.labelling.photos import Photos

Work = Annotated[
    Path, typer.Option(help="Keep features and steps in this folder, so that both are there again.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a value of the recipe frozen, e.g. data.image_size=160.",
    ),
]

app = typer.Typer(rich_markup_mode=None)


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
    work: Work = Path("labelling"),
    exclude: Exclude = None,
    overrides: Overrides = None,
) -> None:
    """Find the photos that are most worth a label, and write them to a table to fill in.

    Without labels they show all that there is; with some, what these leave in doubt.
    """
    need("train", "ssah suggest")
    import_tensorflow()
    from ssah_tf.data.label_table import check_table, write_table
    from ssah_tf.encoding.feature_parts import features_in
    from ssah_tf.training.hash_layer.feature_store import FeatureStore
    from ssah_tf.training.labelling.photos import load_photos
    from ssah_tf.training.labelling.suggest import features_of_photos, suggest

    check_table(output, labels)
    with resumable(SAME_AGAIN):
        with progress_bar("reading") as bar:
            loaded = load_photos(photos, labels, patterns(exclude), bar)
        print_loaded(loaded)
        images = loaded.images
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


@app.command()
def label(
    ctx: typer.Context,
    photos: Annotated[Path, typer.Argument(help="Show the photos of this folder.")],
    labels: Annotated[
        Path, typer.Option(help="Write labels to this file; those in it are shown, too.")
    ] = Path("labels.csv"),
    count: Annotated[int, typer.Option(min=1, max=500, help="Show so many photos at once.")] = 48,
    work: Work = Path("labelling"),
    exclude: Exclude = None,
    index: Annotated[
        str | None,
        typer.Option(
            help="Show a page of the duplicates in this index of the photos, a folder or an "
            "address."
        ),
    ] = None,
    set_aside: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Allow that page to move photos to this folder; without it nothing is moved.",
        ),
    ] = None,
    host: Host = "127.0.0.1",
    port: Port = 8001,
    token_file: TokenFile = None,
    allow_host: AllowHost = None,
    allow_origin: AllowOrigin = None,
    root_path: RootPath = "",
    forwarded_allow_ips: ForwardedAllowIps = "",
    overrides: Overrides = None,
) -> None:
    """Give photos labels in a browser, those first that teach most; learn from them meanwhile."""
    need("train", "ssah label")
    need("serve", "ssah label")
    from ssah_tf.data.label_table import LabelTable
    from ssah_tf.serve.app import make_label_app
    from ssah_tf.serve.label_journal import Journal
    from ssah_tf.serve.labelling import Labelling
    from ssah_tf.system.lock import only_one
    from ssah_tf.training.labelling.photos import load_photos
    from ssah_tf.training.labelling.process import Process
    from ssah_tf.training.recipe import load_recipe

    if index is None:
        refuse_idle(ctx, "goes with --index: duplicates are found in an index", "set_aside")
    load_recipe("frozen", tuple(overrides or ()))  # what is wrong with it is said at once
    table = LabelTable(labels)
    places = reached(host, allow_host, allow_origin, root_path, forwarded_allow_ips)
    settings = page_settings(token_file, places)
    if set_aside is not None:
        settings = replace(settings, timeout=PATIENCE)
    roots = roots_of(index, photos, set_aside)
    with listen(host, port) as listener, only_one(work / ".lock", work, option="--work"):
        what = "change labels" if set_aside is None else "change labels and move photos"
        refuse_open(settings, listener, host, what)
        journal = Journal(work)
        with resumable(SAME_AGAIN), progress_bar("reading") as bar:
            loaded = load_photos(photos, None, patterns(exclude), bar)
        print_loaded(loaded)
        images = loaded.images
        no_map = lacks("label", "the map")
        labelling = Labelling(photos, images.ids, images.digests, table, journal, count, no_map)
        given = tuple(overrides or ())
        learner = Process(images, work, given, count, labelling.take, patterns(exclude))
        labelling.learner = learner
        try:
            with duplicates_beside(index, roots, set_aside, work, table, labelling) as review:
                labelling.learn(train=False)
                about = f"{len(images):,} photos, labels in {printable(str(labels))}\nlabel page"
                run(make_label_app(labelling, settings, review), settings, listener, about)
        finally:
            learner.close()
    typer.echo(
        f"train: ssah train --data {quoted(photos)} --labels {quoted(labels)} "
        f"--features {quoted(work)}"
    )


def print_loaded(loaded: "Photos") -> None:
    """Print which files were skipped, and what else a person should know of a folder."""
    tell_skipped(loaded.bad.values())
    for line in loaded.lines():
        typer.echo(printable(line), err=True)
    print_passed_over(loaded.passed)
