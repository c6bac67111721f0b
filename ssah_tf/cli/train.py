"""The commands that train and measure: `train`, `baseline`, `evaluate`, `report`, `ablation`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssah_tf.cli.choose import BUDGET, begin_choice, finish_choice, resume_choice
from ssah_tf.cli.extras import import_tensorflow, need
from ssah_tf.cli.folders import Exclude
from ssah_tf.cli.idle import refuse_idle
from ssah_tf.cli.overrides import overrides_of
from ssah_tf.cli.progress import SAME_AGAIN, progress_bar, resumable
from ssah_tf.cli.runs import find_photos, print_findings, print_result, print_start
from ssah_tf.system.durations import parse_duration
from ssah_tf.system.errors import SsahError

if TYPE_CHECKING:
    from ssah_tf.data import Loaded
    from ssah_tf.training.hash_layer.features import Features
    from ssah_tf.training.recipe import Recipe
    from ssah_tf.training.run import Run

app = typer.Typer(rich_markup_mode=None)

Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a value of the recipe, e.g. model.bits=64."
    ),
]
LabelFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|none",
        help="Read labels from this file: .csv, .jsonl, or research lists; with `none` folders are "
        "no classes.",
    ),
]
Moved = Annotated[
    str | None, typer.Option("--data", help="Look for the photos in this folder: they have moved.")
]
NoSample = Annotated[
    bool,
    typer.Option("--no-sample", help="Keep no pixels of photos in the run folder for exports."),
]


@app.command()
def train(
    ctx: typer.Context,
    recipe: Annotated[
        str | None,
        typer.Argument(
            help="Train this built-in recipe or YAML file. Choose one by itself if --data is "
            "given, else fashion."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Train on this folder of images, keras:NAME or tfds:NAME. "
            "With --resume: the photos have moved there."
        ),
    ] = None,
    labels: LabelFile = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Choose a recipe within this time, such as 90s, 10m or 2h; 10m by default. "
            "The evaluation at the end comes on top."
        ),
    ] = None,
    exclude: Exclude = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Make this run folder; runs/RECIPE, or runs/folder, by default."),
    ] = None,
    self_train: Annotated[
        Path | None,
        typer.Option(
            help="Train on the images of this finished run, and on labels that its encoder gives."
        ),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with this interrupted run folder.")
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Use so many GPUs of this host; all that are found by default."),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Take features of a frozen backbone from this working folder, as ssah suggest "
            "keeps them, and add what is missing.",
        ),
    ] = None,
    no_sample: NoSample = False,
    overrides: Overrides = None,
) -> None:
    """Train a recipe, then evaluate the encoder that validation selected.

    With --data and without a recipe, several are tried within a budget; validation chooses one.
    Without labels codes are made of a pretrained backbone's features alone.
    Where TF_CONFIG names several workers this is one of them; --output is the same for all.
    """
    began = time.monotonic()
    need("train", "ssah train")
    import_tensorflow()
    from ssah_tf.training import tables
    from ssah_tf.training import train as training
    from ssah_tf.training.choose.budget import Clock
    from ssah_tf.training.devices import is_chief, make_strategy, place_among_workers
    from ssah_tf.training.measure import measure
    from ssah_tf.training.photos import some_images
    from ssah_tf.training.recipe import load_recipe
    from ssah_tf.training.run import Run

    if not (output or resume) and place_among_workers()[1] > 1:
        raise SsahError("TF_CONFIG names several workers: give all the same run folder, --output")
    make_strategy(devices)  # before anything else of TensorFlow
    if data and not (recipe or resume or self_train):
        clock = Clock(parse_duration(budget or BUDGET, "--budget"), began=began)
        changes = overrides_of(data, labels, overrides, no_sample, exclude)
        run, loaded, record = begin_choice(changes, output, clock, features)
        print_findings(loaded)
        print_start(run, loaded.images)
        return finish_choice(run, loaded.images, record, clock, devices, features)
    if resume is not None:
        why = "has no effect with --resume, which takes all else from the run folder"
        refuse_idle(ctx, why, but=("resume", "data", "devices", "features"))
        if resume_choice(resume, data, devices, features):
            return
        run = Run.open(resume)
        refuse_unused(run.recipe, features, devices)
        run, found = find_photos(run, data)
        if run.missing and run.metrics_path.is_file():
            typer.echo("the training is finished; its encoder stays as it is", err=True)
            tables.print_metrics(run.metrics())
            return
        images = some_images(found)
    else:
        why = "is for ssah train --data DIR without a recipe, which chooses by itself"
        refuse_idle(ctx, why, "budget")
        chosen = recipe or ("folder" if data or self_train else "fashion")
        refuse_unused(load_recipe(chosen, tuple(overrides or ())), features, devices)
        run, loaded = start_run(
            chosen, data, labels, output, overrides, no_sample, self_train, exclude
        )
        images = loaded.images
        if is_chief():
            print_findings(loaded)
    with resumable(f"go on with: ssah train --resume {run.folder}"):
        if not is_chief():
            return training.train(run, images, devices)
        print_start(run, images)
        images = images.hold(run.recipe.data.image_size, run.recipe.data.cache_mb)
        training.train(run, images, devices, features=features_from(features))
        metrics = measure(run, images, progress_bar)
    print_result(run, metrics)


@app.command()
def baseline(
    data: Annotated[
        str,
        typer.Option(help="Measure on this folder of images, keras:NAME, tfds:NAME, or fashion."),
    ],
    labels: LabelFile = None,
    exclude: Exclude = None,
    output: Annotated[
        Path | None, typer.Option(help="Make this run folder; runs/baseline by default.")
    ] = None,
    no_sample: NoSample = False,
    overrides: Overrides = None,
) -> None:
    """Measure what needs no training: a pretrained backbone, PCA, a rotation, and signs."""
    need("train", "ssah baseline")
    import_tensorflow()
    from ssah_tf.training import train as training
    from ssah_tf.training.devices import refuse_workers
    from ssah_tf.training.measure import measure

    refuse_workers("ssah baseline")
    run, loaded = start_run("baseline", data, labels, output, overrides, no_sample, exclude=exclude)
    print_findings(loaded)
    with resumable(f"go on with: ssah train --resume {run.folder}"):
        print_start(run, loaded.images)
        images = loaded.images.hold(run.recipe.data.image_size, run.recipe.data.cache_mb)
        training.train(run, images)
        metrics = measure(run, images, progress_bar)
    print_result(run, metrics)


def list_libraries(name: str | None) -> str | None:
    """Print what `--as` knows, and end, if that is asked for."""
    if name != "list":
        return name
    from ssah_tf.metrics.other_libraries import LIBRARIES

    for known, library in LIBRARIES.items():
        typer.echo(f"{known}: {library.call}")
    raise typer.Exit


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="Measure the encoder of this run folder.")],
    data: Moved = None,
    library: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="NAME|list",
            is_eager=True,
            callback=list_libraries,
            help="Print what another library would print as mAP of the measured codes, and measure "
            "nothing anew.",
        ),
    ] = None,
) -> None:
    """Measure retrieval of a run's queries against its database.

    Photos that are missing, or are others now, are named and left out.
    """
    need("train", "ssah evaluate")
    import_tensorflow()
    from ssah_tf.training import tables
    from ssah_tf.training.as_others import print_as
    from ssah_tf.training.measure import measure
    from ssah_tf.training.photos import some_images
    from ssah_tf.training.run import Run

    opened, found = find_photos(Run.open(run), data)
    if library is not None:
        return print_as(opened, found.images, library)
    spec = opened.recipe.data
    images = some_images(found).hold(spec.image_size, spec.cache_mb)
    metrics = measure(opened, images, progress_bar)
    tables.print_metrics(metrics)
    if "missing" in metrics and opened.complete_metrics_path.is_file():
        typer.echo(f"the numbers of all images are kept: {opened.complete_metrics_path}", err=True)
    typer.echo(f"report: {opened.report_path}")


@app.command()
def report(
    ctx: typer.Context,
    runs: Annotated[list[Path], typer.Argument(help="Show these evaluated run folders.")],
    output: Annotated[
        Path | None,
        typer.Option(help="Write the page of several runs here; comparison.html by default."),
    ] = None,
    data: Moved = None,
) -> None:
    """Make the page of a run again, or one page that compares several runs."""
    need("train", "ssah report")
    import_tensorflow()
    from ssah_tf.training.report import write_comparison, write_report
    from ssah_tf.training.run import Run

    opened = [Run.open(folder) for folder in runs]
    if len(opened) > 1:
        refuse_idle(ctx, "is for one run: a page of several shows no photos", "data")
        page = output or Path("comparison.html")
        write_comparison(opened, page)
    else:
        refuse_idle(ctx, "is for several runs: the page of one lies in its folder", "output")
        run, found = find_photos(opened[0], data)
        with progress_bar("report") as bar:
            absent = write_report(run, found.images, bar)
        if absent:
            typer.echo(f"{absent} pictures of the page are grey: their photos are gone", err=True)
        page = run.report_path
    typer.echo(f"report: {page}")


@app.command()
def ablation(
    recipe: Annotated[
        str, typer.Argument(help="Train this built-in recipe or YAML file.")
    ] = "fashion",
    output: Annotated[
        Path | None,
        typer.Option(help="Put the runs into this folder; runs/ablation-RECIPE by default."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Train each row with so many seeds.")] = 3,
    overrides: Overrides = None,
) -> None:
    """Train the recipe beside supervised only and random deformation, with several seeds."""
    need("train", "ssah ablation")
    import_tensorflow()
    from ssah_tf.training import tables
    from ssah_tf.training.ablation import ablate

    folder = output or Path("runs") / f"ablation-{Path(recipe).stem}"
    with resumable(SAME_AGAIN):
        result = ablate(recipe, folder, tuple(range(seeds)), tuple(overrides or ()))
    tables.print_stored_rows(result)


def start_run(
    recipe: str,
    data: str | None,
    labels: Path | None,
    output: Path | None,
    overrides: list[str] | None,
    no_sample: bool = False,
    self_train: Path | None = None,
    exclude: list[str] | None = None,
) -> "tuple[Run, Loaded]":
    """Make a run folder of a recipe and what the command line changes in it.

    Returns:
        The run, and its images with what was left out of them.

    Raises:
        SsahError: Images beside a run that has its own; or see `overrides_of` and
            `training.start.start`.
    """
    from ssah_tf.export.convertible import check_convertible
    from ssah_tf.training.recipe import load_recipe
    from ssah_tf.training.run import new_run_folder
    from ssah_tf.training.start import start

    taught = []
    if self_train is not None:
        from ssah_tf.training.self_training import self_training_overrides

        if data is not None or labels is not None or exclude:
            raise SsahError("--self-train takes images and labels from the run: name no --data")
        taught = self_training_overrides(self_train)
    changes = (*taught, *overrides_of(data, labels, overrides, no_sample, exclude))
    chosen = load_recipe(recipe, changes)
    return start(chosen, output or new_run_folder(Path("runs"), chosen.name), check_convertible)


def refuse_unused(recipe: "Recipe", features: Path | None, devices: int | None) -> None:
    """Refuse a folder of features, or a number of devices, for a recipe that has no use for it.

    Raises:
        SsahError: The recipe trains its backbone; or it does not, and one device is enough.
    """
    frozen = recipe.train.cached_features
    if features is not None and not frozen:
        raise SsahError(
            f"--features is for a frozen backbone, and the recipe {recipe.name} trains its"
        )
    if devices is not None and frozen:
        raise SsahError(
            f"--devices has no effect with the recipe {recipe.name}: its backbone is frozen, and "
            "one device is enough"
        )


def features_from(work: Path | None) -> "Features":
    """What gives the features of a frozen backbone: from a working folder, if one is named."""
    from ssah_tf.encoding.feature_parts import features_in
    from ssah_tf.training.hash_layer.feature_store import FeatureStore
    from ssah_tf.training.hash_layer.features import features_of

    return features_of if work is None else FeatureStore(features_in(work), progress_bar)
