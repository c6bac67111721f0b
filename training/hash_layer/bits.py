"""How many bits photos allow: a hash layer that begins with PCA needs a direction for each."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from ssah_tf.data import ImageSet, Split
from ssah_tf.models import HNet
from ssah_tf.system.text import plain_console
from ssah_tf.training.hash_layer.features import sample_of
from ssah_tf.training.hash_layer.itq import TooManyBits
from ssah_tf.training.recipe_sections import Recipe

T = TypeVar("T")

#: Why codes are shorter than asked for: before features are computed, and after.
NO_DIRECTIONS = "features of the photos differ in no more directions"
NO_MORE = "photos that train, without queries, validation and copies, differ in no more directions"


def most_bits(digests: Iterable[str]) -> int:
    """Bits that images of some contents allow at most: n points lie in n - 1 directions."""
    return max(1, len(set(digests)) - 1)


def fitting_bits(recipe: Recipe, split: Split, images: ImageSet) -> int:
    """Bits of a recipe, or as many as its images allow, before anything is computed of them.

    Only images that train count: queries and validation images do not.

    Args:
        recipe: A resolved recipe.
        split: The parts of the images.
        images: The images.
    """
    fits = recipe.train.cached_features or recipe.train.refit or recipe.model.hash_layer == "itq"
    if not fits:
        return recipe.model.bits
    rest = sample_of(images.positions(split.unlabelled), recipe.train.most_unlabelled)
    trained = [images.positions(split.labelled), rest]
    digests = (images.digests[position] for part in trained for position in part.tolist())
    return min(recipe.model.bits, most_bits(digests))


def tell_fewer(bits: int, asked: int, why: str) -> None:
    """Print that codes have fewer bits than were asked for, if they have."""
    if bits < asked:
        plain_console().print(
            f"model.bits: {bits} are taken instead of {asked}; {why}", soft_wrap=True
        )


def as_many_as_fit(fit: Callable[[HNet], T], hnet: HNet) -> tuple[HNet, T]:
    """Fit a hash layer; with fewer bits, where features have fewer directions than it has bits.

    Args:
        fit: Fits the hash layer of an H-Net.
        hnet: A built H-Net.

    Returns:
        The H-Net whose layer was fitted, on the same backbone, and what `fit` gave.

    Raises:
        TooManyBits: The features have no direction at all: all are equal.
    """
    try:
        return hnet, fit(hnet)
    except TooManyBits as error:
        if not error.directions:
            raise
        return as_many_as_fit(fit, hnet.with_bits(error.directions))
