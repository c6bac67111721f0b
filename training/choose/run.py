"""Plans candidates, trains them, and makes the run of the one that is chosen."""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ssah_tf.data import ImageSet, Loaded, Split
from ssah_tf.encoding.feature_parts import features_in
from ssah_tf.system.errors import RecipeError, RunError, SsahError, Stopped
from ssah_tf.system.reading import parse_json
from ssah_tf.training.auto import resolve
from ssah_tf.training.bars import Bars, no_bar
from ssah_tf.training.build import build_images, build_split
from ssah_tf.training.callbacks import Diverged
from ssah_tf.training.choose.budget import Clock, written
from ssah_tf.training.choose.candidates import (
    CANDIDATES,
    NAMES,
    check_common,
    objection,
    recipe_of,
    shortened,
    sizes_of,
)
from ssah_tf.training.choose.costs import Costs, Counts
from ssah_tf.training.choose.deadline import OVERRUN, Deadline, OutOfTime
from ssah_tf.training.choose.kept import contents_seen, missing_features
from ssah_tf.training.choose.plan import PLANNED, SHARES, Choice, make_plan, reason_of
from ssah_tf.training.choose.record import LeftOut, Planned, Record, Result
from ssah_tf.training.choose.rule import choose, enough_labels
from ssah_tf.training.choose.timing import time_frozen, time_game
from ssah_tf.training.choose.traits import Traits
from ssah_tf.training.hash_layer.bits import NO_MORE, fitting_bits, tell_fewer
from ssah_tf.training.hash_layer.feature_store import FeatureStore
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.recipe_sections import Recipe
from ssah_tf.training.run import Run
from ssah_tf.training.selection import epoch_of_encoder
from ssah_tf.training.train import train

#: Images that are to validate, if there are labels enough, and the key that says how many a class.
VALIDATION, HELD_OUT = 100, "data.validation_per_class"
#: Share of its planned length below which a training is given up.
LEAST = 0.4


def load(overrides: tuple[str, ...]) -> tuple[Loaded, Split, tuple[str, ...]]:
    """The images that candidates share, and their split.

    Candidates have no more bits than the images allow; a line says so.

    Where there are few classes, more images of each validate than recipes say: those choose. A
    fifth of a class is the most all the same, and encoders are made with their labels at the end.

    Args:
        overrides: What the command line sets.

    Returns:
        The images, their split, and what is set for all candidates.

    Raises:
        SsahError: A key that is not for all recipes, images that cannot be used, or too few labels.
    """
    check_common(overrides)
    recipe = load_recipe("baseline", overrides)  # the one that takes images without labels, too
    loaded = build_images(recipe)
    if loaded.images.classes and not any(
        override.startswith(f"{HELD_OUT}=") for override in overrides
    ):
        enough = math.ceil(VALIDATION / len(loaded.images.classes))
        overrides += (f"{HELD_OUT}={max(enough, recipe.data.validation_per_class)}",)
    recipe = resolve(load_recipe("baseline", overrides), loaded.images)
    split = build_split(recipe, loaded.images)
    bits = fitting_bits(recipe, split, loaded.images)
    if bits < recipe.model.bits:
        tell_fewer(bits, recipe.model.bits, NO_MORE)
        overrides += (f"model.bits={bits}",)
    return loaded, split, overrides


def begin(
    folder: Path,
    images: ImageSet,
    split: Split,
    overrides: tuple[str, ...],
    clock: Clock,
    work: Path | None = None,
) -> tuple[Run, Record]:
    """Time the machine, plan, and make the run folder.

    Args:
        folder: The run folder to make.
        images: The images.
        split: Their parts.
        overrides: See `load`.
        clock: The time that there is.
        work: Working folder whose features are taken; see `carry_out`.

    Returns:
        The run, which has no recipe yet, and what is planned.

    Raises:
        SsahError: The time is too small for anything, no recipe can be tried, or the folder cannot
            be made.
    """
    new = not folder.exists()
    run = Run.create(folder)
    try:
        record = plan(images, split, overrides, clock, features_in(work or folder))
    except BaseException:
        if new:
            with suppress(OSError):
                (folder / "checkpoints").rmdir()
                folder.rmdir()
        raise
    with run.alone():
        if run.choice_path.exists() or run.recipe_path.exists():
            raise RunError(f"{folder} was just taken by another process: name another --output")
        split.save(run.split_path)
        record.save(run)  # last: a folder with a record can be resumed
    return run, record


def plan(
    images: ImageSet, split: Split, overrides: tuple[str, ...], clock: Clock, kept: Path
) -> Record:
    """Which candidates are tried. See `begin`; `kept` is where features lie."""
    given = load_recipe("frozen", overrides).data.image_size
    traits = Traits.of(images, split)
    sizes = {c.name: sizes_of(c, traits, None if given == "auto" else given) for c in CANDIDATES}
    recipes = {c.name: recipe_of(c, images, sizes[c.name][0], overrides) for c in CANDIDATES}
    timing = time_frozen(recipes["frozen"], images, split, sizes["frozen"])
    contents = contents_seen(images, split)
    missing = {side: missing_features(kept, key, contents) for side, key in timing.keys.items()}
    costs = Costs(Counts.of(split, len(images)), recipes, timing, missing=missing)
    against = {c.name: objection(c, traits, timing.no_weights) for c in CANDIDATES}
    if against["folder"] is None:
        costs.games["folder"] = time_game(recipes["folder"], images, split)
    if against["pretrained"] is None:
        if (least := costs.at_least("pretrained", SHARES[-1])) > PLANNED * clock.left:
            against["pretrained"] = f"would take {written(least)} at least"
        else:
            costs.games["pretrained"] = time_game(recipes["pretrained"], images, split)
    sensible = {name: of for name, of in sizes.items() if against[name] is None}
    if not sensible:
        raise SsahError(f"no recipe can be tried: {against['baseline']}")
    chosen, late = make_plan(clock.left, clock.spent, costs, sensible)
    side = side_of_features(chosen, costs)
    dearest = max(costs.evaluation(name, size) for name, (size, _) in chosen.of.items())
    return Record(
        budget=clock.budget,
        spent=clock.spent,
        features=0.0 if side is None else costs.features(side),
        feature_key="" if side is None else timing.keys.get(side, ""),
        to_compute=0 if side is None else costs.to_compute(side),
        kept=len(contents) - missing[side] if side in missing else 0,
        evaluation=dearest,
        enough=enough_labels(traits),
        planned=[
            planned(name, *how, costs=costs, traits=traits, images=images, overrides=overrides)
            for name, how in chosen.of.items()
        ],
        left_out=[
            LeftOut(name=c.name, what=c.what, why=why)
            for c in CANDIDATES
            if (why := against[c.name] or late.get(c.name))
        ],
    )


def side_of_features(chosen: Choice, costs: Costs) -> int | None:
    """Side of the images whose features candidates of a plan share; `None` if none needs any."""
    return next((size for name, (size, _) in chosen.of.items() if name not in costs.games), None)


def planned(
    name: str,
    size: int,
    share: float,
    *,
    costs: Costs,
    traits: Traits,
    images: ImageSet,
    overrides: tuple[str, ...],
) -> Planned:
    """A candidate of a plan."""
    candidate = NAMES[name]
    return Planned(
        name=name,
        what=candidate.what,
        why=reason_of(candidate, traits, share),
        size=size,
        share=share,
        seconds=costs.seconds(name, size, share),
        finish=costs.finish(name, size, share) if name in costs.games else 0.0,
        recipe=recipe_of(candidate, images, size, overrides),
    )


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
    """The images in memory at the size of a candidate, if they fit; those of the last, if alike."""
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
