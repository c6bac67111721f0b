"""`ssah train --data DIR` without a recipe: several are tried within a budget, one is chosen."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ssah_tf.cli.progress import progress_bar, resumable
from ssah_tf.cli.runs import find_photos, print_result

if TYPE_CHECKING:
    from ssah_tf.data import ImageSet, Loaded
    from ssah_tf.training.choose.budget import Clock
    from ssah_tf.training.choose.record import Record
    from ssah_tf.training.run import Run

#: Time that is taken where none is given: minutes that a person waits for.
BUDGET = "10m"


def begin_choice(
    changes: tuple[str, ...], output: Path | None, clock: "Clock", features: Path | None
) -> "tuple[Run, Loaded, Record]":
    """Load the images, plan within a budget, and print the plan.

    Args:
        changes: What the command line sets.
        output: The run folder to make, runs/folder by default.
        clock: The time that there is.
        features: Working folder whose features are taken.

    Raises:
        SsahError: See `training.choose.begin`.
    """
    from ssah_tf.training.choose.begin import begin, load
    from ssah_tf.training.devices import refuse_workers
    from ssah_tf.training.run import new_run_folder

    refuse_workers("ssah train without a recipe")
    loaded, split, changes = load(changes)
    typer.echo("plan: timing this machine on some of the images", err=True)
    folder = output or new_run_folder(Path("runs"), "folder")
    run, record = begin(folder, loaded.images, split, changes, clock, features)
    return run, loaded, record


def finish_choice(
    run: "Run",
    images: "ImageSet",
    record: "Record",
    clock: "Clock",
    devices: int | None,
    features: Path | None,
) -> None:
    """Train what is planned, choose, measure, and print it all. See `carry_out`.

    Raises:
        SsahError: See `training.choose.run.carry_out`.
    """
    from ssah_tf.training.choose.run import carry_out, tidy
    from ssah_tf.training.choose.show import print_choice, print_plan
    from ssah_tf.training.measure import measure

    with resumable(f"go on with: ssah train --resume {run.folder}"):
        print_plan(record)
        run = carry_out(run, images, record, clock, devices, progress_bar, typer.echo, features)
        print_choice(record)
        spec = run.recipe.data
        metrics = measure(run, images.hold(spec.image_size, spec.cache_mb), progress_bar)
        tidy(run)
    print_result(run, metrics)


def resume_choice(
    folder: Path, data: str | None, devices: int | None, features: Path | None
) -> bool:
    """Go on with a choice that was interrupted; whether the folder holds one.

    Raises:
        SsahError: See `finish_choice`.
    """
    from ssah_tf.encoding.feature_parts import features_in
    from ssah_tf.training.choose.budget import Clock
    from ssah_tf.training.choose.kept import recount
    from ssah_tf.training.choose.record import undecided
    from ssah_tf.training.photos import some_images
    from ssah_tf.training.run import Run

    run = Run(folder)
    record = undecided(run)
    if record is None:
        return False
    run, found = find_photos(run, data, record.planned[0].recipe.data)
    clock, images = Clock(record.budget, record.spent), some_images(found)
    recount(record, images, run.split, features_in(features or folder))
    finish_choice(run, images, record, clock, devices, features)
    return True
