"""The recipes that are chosen from, and when each makes sense."""

from dataclasses import dataclass

from ssah_tf.data import ImageSet
from ssah_tf.system.errors import SsahError
from ssah_tf.training.auto import FROZEN_SIZES, resolve
from ssah_tf.training.choose.traits import Traits
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.recipe_sections import Recipe

#: Keys that a person may set for all of them.
COMMON = (
    "seed",
    "data.",
    "model.bits",
    "train.batch",
    "train.most_unlabelled",
    "train.steps_per_epoch",
)
#: Sides for a frozen backbone: one more than recipes take by themselves. It costs two thirds more,
#: and finds a little more: docs/notebook/efficientnet_lite.md.
SIZES = (*FROZEN_SIZES, 288)
#: The side that the backbone was made for.
MADE_FOR = FROZEN_SIZES[-1]
#: Labels from which training a pretrained backbone makes sense: in all, and a class.
MANY, PER_CLASS = 200, 100
#: Labels a class from which a training from scratch makes sense.
SCRATCH_PER_CLASS = 3


@dataclass(frozen=True)
class Candidate:
    """A recipe that may be tried.

    Attributes:
        name: Of the built-in recipe.
        what: What it does, in words.
        sizes: Sides of the images in pixels that are chosen from.
        overrides: What differs from the built-in recipe.
    """

    name: str
    what: str
    sizes: tuple[int, ...]
    overrides: tuple[str, ...] = ()


#: The cheapest first. Hard samples give a pretrained backbone nothing, larger images do:
#: docs/notebook/own_photos_runs.md.
CANDIDATES = (
    Candidate("baseline", "no training: PCA, a rotation, signs", SIZES),
    Candidate("frozen", "a hash layer on a frozen backbone", SIZES),
    Candidate("folder", "a small network from scratch", (28, 32, 48)),
    Candidate(
        "pretrained",
        "a backbone that is trained, too",
        (64, 96, 128, 160, 224),
        (
            "adversary.kind=none",
            "train.steps_per_epoch=180",
            "train.hnet_warmup=2",
            "train.joint=8",
        ),
    ),
)
NAMES = {candidate.name: candidate for candidate in CANDIDATES}


def check_common(overrides: tuple[str, ...]) -> None:
    """Refuse what is set for one recipe alone.

    Raises:
        SsahError: A key is none of all recipes.
    """
    for override in overrides:
        key = override.partition("=")[0]
        if not key.startswith(COMMON):
            raise SsahError(
                f"--set {override}: belongs to one recipe; name it, for example ssah train frozen "
                f"(for all that are tried: {', '.join(COMMON)})"
            )


def sizes_of(candidate: Candidate, traits: Traits, given: int | None) -> tuple[int, ...]:
    """Sides that a candidate may take, ascending; one if it was given.

    A pretrained backbone sees more in small pictures that are enlarged to what it was made for, and
    no more beyond; in photos that fill that, it does. From scratch, the largest side that the
    pictures fill is taken.
    """
    if given is not None:
        return (given,)
    if candidate.name == "folder":
        fill = [size for size in candidate.sizes if size <= traits.side]
        return (max(fill, default=candidate.sizes[0]),)
    return tuple(s for s in candidate.sizes if s <= MADE_FOR or traits.side >= MADE_FOR)


def objection(candidate: Candidate, traits: Traits, no_weights: str | None) -> str | None:
    """Why a candidate is not worth a try; `None` if it is.

    Args:
        candidate: The candidate.
        traits: What the images are like.
        no_weights: Why there is no pretrained backbone; `None` if there is one.
    """
    if not traits.labelled and candidate.name != "baseline":
        return "learns from labels, and there are none"
    if candidate.name != "folder":
        if no_weights:
            return no_weights
        if candidate.name == "pretrained" and (
            traits.labelled < MANY or traits.per_class < PER_CLASS
        ):
            return (
                f"needs {MANY} labels and {PER_CLASS} a class; there are {traits.labelled:,} and "
                f"{traits.per_class:g}"
            )
        return None
    if no_weights:
        return None
    if traits.like_photographs:
        return "for small pictures that are unlike photographs"
    if traits.per_class < SCRATCH_PER_CLASS:
        return f"needs {SCRATCH_PER_CLASS} labels a class; there are {traits.per_class:g}"
    return None


def reason(candidate: Candidate, traits: Traits) -> str:
    """Why a candidate is worth a try."""
    return {
        "baseline": "what the others have to beat" if traits.labelled else "it needs no labels",
        "frozen": "few labels go far on what ImageNet taught",
        "folder": f"pictures of {traits.side:g} px, {traits.plain:.0%} of one colour",
        "pretrained": f"{traits.per_class:g} labels a class can teach the backbone, too",
    }[candidate.name]


def recipe_of(
    candidate: Candidate, images: ImageSet, size: int, overrides: tuple[str, ...]
) -> Recipe:
    """The recipe of a candidate at a size, with a value for every `auto`."""
    own = (*candidate.overrides, *overrides, f"data.image_size={size}")
    return resolve(load_recipe(candidate.name, own), images)


def shortened(recipe: Recipe, share: float) -> Recipe:
    """A recipe of a share of its length; each stage keeps an epoch."""
    train = recipe.train
    if not train.joint or share == 1:
        return recipe
    shorter = {
        "joint": max(1, round(share * train.joint)),
        "hnet_warmup": max(min(1, train.hnet_warmup), round(share * train.hnet_warmup)),
    }
    return recipe.model_copy(update={"train": train.model_copy(update=shorter)})
