"""Trains planned candidates, and makes the run of the one that is chosen."""

import time
from collections.abc import Callable
from pathlib import Path

from ssah_tf.data import ImageSet
from ssah_tf.encoding.feature_parts import features_in
from ssah_tf.system.errors import RecipeError, SsahError, Stopped
from ssah_tf.system.reading import parse_json
from ssah_tf.training.bars import Bars, no_bar
from ssah_tf.training.callbacks import Diverged
from ssah_tf.training.choose.budget import Clock
from ssah_tf.training.choose.candidates import shortened
from ssah_tf.training.choose.deadline import OVERRUN, Deadline, OutOfTime
from ssah_tf.training.choose.record import Planned, Record, Result
from ssah_tf.training.choose.rule import choose
from ssah_tf.training.hash_layer.feature_store import FeatureStore
from ssah_tf.training.recipe_sections import Recipe
from ssah_tf.training.run import Run
from ssah_tf.training.selection import epoch_of_encoder
from ssah_tf.training.train import train

#: Share of its planned length below which a training is given up.
LEAST = 0.4


def carry_out(
    run: Run,
    images: ImageSet,
    record: Record,
    clock: Clock,
    devices: int | None = None,
    bars: Bars = no_bar,
    say: Callable[[str], None] = print,
    work: Path | None = None,
) -> Run:
    """Train what is planned from where it stands, choose, and make the run of the chosen one.

    Args:
        run: A run folder with a record.
        images: Its images.
        record: Its record.
        clock: The time that there is.
        devices: See `make_strategy`.
        bars: Show how far the features are.
        say: Is told what happens, a line each.
        work: Working folder whose features are taken, and added to; by default those of the run.

    Returns:
        The run, which now has the recipe and the encoder of the chosen candidate.

    Raises:
        SsahError: No candidate came to an encoder; see `train`.
        Stopped: Ctrl-C or SIGTERM; it can be resumed.
    """
    folder = features_in(work or run.folder)
    store = FeatureStore(folder, bars, lambda: note(run, record, clock))
    held = images
    with run.alone():
        try:
            while record.chosen is None and (todo := record.todo()):
                share = share_left(todo, record, clock)
                if share is None:
                    record.give_up(todo[-1], "no time was left for it")
                else:
                    say(f"{todo[0].name}: {todo[0].what}, {todo[0].size} px")
                    held = at_size(todo[0], images, held)
                    one(run, held, record, todo[0], share, clock, devices, store)
                note(run, record, clock)
        finally:
            note(run, record, clock)
        if record.chosen is None:
            if not record.results:
                raise SsahError(f"{run.folder}: no recipe came to an encoder in this time")
            record.chosen, record.why = choose(record.results, record.enough)
            record.save(run)
        promote(run, record.chosen)
    return Run(run.folder, run.missing)


def at_size(planned: Planned, images: ImageSet, held: ImageSet) -> ImageSet:
    """The images in memory at the size of a candidate, if they fit; those of the last, if alike.

    As they are for one whose backbone is frozen: it sees each image once, or not at all.
    """
    if planned.recipe.train.cached_features:
        return images
    pixels, size = held.pixels, planned.size
    if held is not images and pixels is not None and pixels.shape[1] == size:
        return held
    return images.hold(size, planned.recipe.data.cache_mb)


def share_left(todo: list[Planned], record: Record, clock: Clock) -> float | None:
    """The share of their planned lengths for which there is time; `None`: one must go.

    The cheapest is made whatever it takes, as long as there is no other.
    """
    needed = sum(planned.seconds for planned in todo)
    if not record.results:
        return 1.0  # features, and the cheapest
    share = min(1.0, (clock.left + OVERRUN * clock.budget / 2) / needed) if needed else 1.0
    return share if share >= LEAST else None


def one(
    run: Run,
    images: ImageSet,
    record: Record,
    planned: Planned,
    share: float,
    clock: Clock,
    devices: int | None,
    store: FeatureStore,
) -> None:
    """Train one candidate; its result, or why there is none, is noted in the record."""
    candidate = candidate_run(run, planned, shortened(planned.recipe, share * planned.share))
    recipe = candidate.recipe
    began = time.monotonic()
    end = Deadline(
        lambda: clock.left + OVERRUN * clock.budget - later(record, planned),
        recipe,
        planned.finish,
    )
    try:
        train(candidate, images, devices, features=store, beside=(end,))
    except Stopped as stopped:
        line = f"stopped; go on with: ssah train --resume {run.folder}"
        raise Stopped(line, stopped.exit_code - 128) from None
    except (RecipeError, OutOfTime, Diverged) as error:
        if len(record.todo()) == 1 and not record.results:
            raise
        record.give_up(planned, str(error))
        return
    entry = epoch_of_encoder(candidate)
    record.results.append(
        Result(
            name=planned.name,
            share=recipe.train.joint / whole if (whole := planned.recipe.train.joint) else 1.0,
            seconds=time.monotonic() - began,
            validation_map=entry["validation_map"],
            validation_error=entry["validation_error"],
            average_precision=parse_json(candidate.validation_path.read_bytes()),
            note=f"{end.cut} epochs before its end, for want of time" if end.cut else "",
        )
    )


def later(record: Record, planned: Planned) -> float:
    """Least seconds of the candidates after one."""
    return sum(LEAST * other.seconds for other in record.todo() if other.name != planned.name)


def note(run: Run, record: Record, clock: Clock) -> None:
    """Note the time that is gone."""
    record.spent = clock.spent
    record.save(run)


def candidate_run(run: Run, planned: Planned, recipe: Recipe) -> Run:
    """The run of a candidate, made if it is not there."""
    candidate = Run(run.folder / "candidates" / planned.name, run.missing)
    if not candidate.recipe_path.is_file():
        Run.create(candidate.folder)
        run.whole_split.save(candidate.split_path)
        recipe.save(candidate.recipe_path)  # last: see `start`
    return candidate


def promote(run: Run, name: str) -> None:
    """Make the run of a candidate the run itself; done twice, or after a kill, it ends alike."""
    candidate = Run(run.folder / "candidates" / name)
    if not candidate.recipe_path.is_file():
        return  # it was done
    for path in sorted(candidate.folder.iterdir()):
        if path != candidate.recipe_path:
            there = run.folder / path.name
            if there.is_dir():
                there.rmdir()  # the empty folder of checkpoints
            path.replace(there)
    candidate.recipe_path.replace(run.recipe_path)  # last: now the run is one
    candidate.folder.rmdir()


def tidy(run: Run) -> None:
    """Remove what only the choice needed."""
    FeatureStore(features_in(run.folder)).remove()
