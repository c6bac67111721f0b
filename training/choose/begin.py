"""From a folder of images to a plan of what is tried, in a run folder."""

import math
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ssah_tf.data import ImageSet, Loaded, Split
from ssah_tf.encoding.feature_parts import features_in, names_kept
from ssah_tf.system.durations import in_words
from ssah_tf.system.errors import RunError, SsahError
from ssah_tf.training.auto import ANY_SIDE, resolve
from ssah_tf.training.build import build_images, build_split
from ssah_tf.training.choose.budget import Clock
from ssah_tf.training.choose.candidates import (
    CANDIDATES,
    NAMES,
    check_common,
    objection,
    recipe_of,
    sizes_of,
)
from ssah_tf.training.choose.costs import Costs, Counts
from ssah_tf.training.choose.kept import contents_seen
from ssah_tf.training.choose.plan import PLANNED, SHARES, Choice, best_plan, reason_of
from ssah_tf.training.choose.record import LeftOut, Planned, Record
from ssah_tf.training.choose.rule import enough_labels
from ssah_tf.training.choose.timing import time_frozen, time_game
from ssah_tf.training.choose.traits import Traits
from ssah_tf.training.hash_layer.bits import NO_MORE, fitting_bits, tell_fewer
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.run import Run

#: The key of how many unlabelled images a frozen backbone looks at, and how many it may be if time
#: is short: docs/notebook/choice.md.
PHOTOS, FEWER = "train.most_unlabelled", (10_000, 5_000)
#: Images that are to validate, if there are labels enough, and the key that says how many a class.
VALIDATION, HELD_OUT = 100, "data.validation_per_class"


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
    recipe = resolve(load_recipe("baseline", (*overrides, ANY_SIDE)), loaded.images)
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
    against = {c.name: objection(c, traits, timing.no_weights) for c in CANDIDATES}
    most = photos_of(overrides, len(split.unlabelled))
    costs = Costs(Counts.of(split, len(images), most[0]), recipes, timing)
    if against["folder"] is None:
        costs.games["folder"] = time_game(recipes["folder"], images, split)
    if against["pretrained"] is None:
        if (least := costs.at_least("pretrained", SHARES[-1])) > PLANNED * clock.left:
            against["pretrained"] = f"would take {in_words(least)} at least"
        else:
            costs.games["pretrained"] = time_game(recipes["pretrained"], images, split)
    sensible = {name: of for name, of in sizes.items() if against[name] is None}
    if not sensible:
        raise SsahError(f"no recipe can be tried: {against['baseline']}")
    there = {side: names_kept(kept, key) for side, key in timing.keys.items()}
    choices = [costs_with(some, costs, images, split, there) for some in most]
    chosen, late, costs = best_plan(clock.left, clock.spent, choices, sensible)
    overrides += (f"{PHOTOS}={costs.counts.most}",)
    contents = contents_seen(images, split, costs.counts.most)
    side = side_of_features(chosen, costs)
    dearest = max(costs.evaluation(name, size) for name, (size, _) in chosen.of.items())
    return Record(
        budget=clock.budget,
        spent=clock.spent,
        features=0.0 if side is None else costs.features(side),
        feature_key="" if side is None else timing.keys.get(side, ""),
        to_compute=0 if side is None else costs.to_compute(side),
        kept=len(contents) - costs.missing[side] if side in costs.missing else 0,
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


def photos_of(overrides: tuple[str, ...], unlabelled: int) -> list[int]:
    """How many unlabelled images a frozen backbone may look at: what was set, or what is planned.

    Args:
        overrides: See `load`.
        unlabelled: How many there are.

    Returns:
        Numbers, descending; one if it was set, or there are no more images.
    """
    usual = load_recipe("frozen", overrides).train.most_unlabelled
    if any(override.startswith(f"{PHOTOS}=") for override in overrides):
        return [usual]
    return [usual, *(some for some in FEWER if some < min(usual, unlabelled))]


def costs_with(
    most: int, costs: Costs, images: ImageSet, split: Split, there: dict[int, set[str]]
) -> Costs:
    """Costs where a frozen backbone looks at so many unlabelled images; kept features cost nothing.

    Args:
        most: How many, at most.
        costs: Costs with another number.
        images: The images.
        split: Their parts.
        there: Contents whose features are kept, by side.
    """
    contents = contents_seen(images, split, most)
    return replace(
        costs,
        counts=Counts.of(split, len(images), most),
        missing={side: len(contents - kept) for side, kept in there.items()},
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
