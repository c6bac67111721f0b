"""Which photos to label next: those that stand for what no labelled photo explains yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Self

import keras
import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.data.sampling import evenly
from ssah_tf.training.auto import resolve
from ssah_tf.training.build import build_frozen
from ssah_tf.training.hash_layer.feature_store import FeatureStore
from ssah_tf.training.hash_layer.features import sample_of
from ssah_tf.training.hash_layer.label_propagation import class_posterior, most_probable
from ssah_tf.training.hash_layer.label_views import has_several, normalised, roots, whitening
from ssah_tf.training.labelling.coverage import GROUND, Coverage, in_blocks
from ssah_tf.training.recipe import load_recipe

#: Power of its deviation by which a principal direction is divided. Label propagation takes more,
#: for it is to tell classes apart; here the loud directions are those of which there is much.
WHITENING = 0.5


def features_of_photos(
    images: ImageSet, store: FeatureStore, overrides: tuple[str, ...] = ()
) -> np.ndarray:
    """Features of photos by the frozen backbone that `ssah train frozen` would take.

    Args:
        images: The photos.
        store: Where they are kept.
        overrides: What is changed in the recipe.

    Returns:
        float32 `(photos, d)`.

    Raises:
        RecipeError: The backbone is not there, or does not take such images.
        RunError: The features cannot be kept.
    """
    recipe = resolve(load_recipe("frozen", overrides), images)
    keras.utils.set_random_seed(recipe.seed)
    hnet = build_frozen(recipe, images)
    return store(hnet, images, np.arange(len(images)), recipe.data.image_size)


def suggest(
    features: np.ndarray,
    labels: np.ndarray,
    digests: Sequence[str],
    count: int,
    passed: np.ndarray | None = None,
) -> np.ndarray:
    """Photos that are most worth a label, the best first; see `choose`.

    Args:
        features: float32 `(photos, d)`.
        labels, digests, count, passed: See `choose`.
    """
    belief = Belief.of(features, labels) if labels.any() else None
    return choose(points_of(features), labels, digests, count, belief, passed)


@dataclass(frozen=True)
class Belief:
    """What label propagation says of photos without a label.

    Attributes:
        rest: Their positions, int64 `(rest,)`, ascending; of very many some, spread evenly.
        posterior: Of each class, `(rest, classes)`; see `class_posterior`. 0 for classes without a
            label.
        several: Whether photos have several classes.
    """

    rest: np.ndarray
    posterior: np.ndarray
    several: bool

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray) -> Self:
        """Propagate the labels of some photos, at least one; see `suggest`."""
        labelled = labels.any(axis=1)
        known, rest = np.flatnonzero(labelled), sample_of(np.flatnonzero(~labelled))
        there = labels[known].any(axis=0)
        posterior = np.zeros((len(rest), labels.shape[1]))
        if len(rest):
            rows = features[np.concatenate([known, rest])]
            posterior[:, there] = class_posterior(rows, labels[known][:, there])[len(known) :]
        return cls(rest, posterior, has_several(labels[known]))

    def certainty(self, known: np.ndarray, count: int) -> np.ndarray:
        """How probable it is that what is believed of each photo is right, float32 `(photos,)`.

        1 for labelled photos; 0 for those that were not looked at.

        Args:
            known: Positions of the photos with a label.
            count: Of all photos.
        """
        found = np.zeros(count, np.float32)
        found[known] = 1
        found[self.rest] = most_probable(self.posterior, self.several)[1]
        return found


def choose(
    points: np.ndarray,
    labels: np.ndarray,
    digests: Sequence[str],
    count: int,
    belief: Belief | None,
    passed: np.ndarray | None = None,
    aside: np.ndarray | None = None,
) -> np.ndarray:
    """Photos that are most worth a label, the best first.

    They cover what the labelled photos leave uncovered, or in doubt: see `Coverage`. Copies count
    for one photo there; points and belief are those of all photos.

    Args:
        points: See `points_of`.
        labels: uint8 `(photos, classes)`, multi-hot; zeros where there is no label.
        digests: Of the contents of the photos. Of copies one is suggested, of labelled ones none.
        count: How many photos, at most.
        belief: What these labels say of the others; `None` without a label.
        passed: Positions of photos that are not wanted, nor what is like them.
        aside: Positions of photos that are not there; what is like them is wanted.

    Returns:
        Positions of photos without a label, in order of their worth: the first n are those of a
        smaller count. There are fewer only if the others are copies.
    """
    labelled = np.flatnonzero(labels.any(axis=1))
    unwanted = np.zeros(len(points), bool)
    unwanted[[] if passed is None else passed] = True
    counts = np.ones(len(points), bool)
    counts[[] if aside is None else aside] = False
    first = np.union1d(labelled, np.flatnonzero(unwanted))
    each = one_of_copies(digests, first, np.flatnonzero(counts))
    known = np.flatnonzero(np.isin(each, labelled))
    certain = ground = None
    if belief is not None:
        certain = belief.certainty(labelled, len(points))[each]
        ground = np.flatnonzero(np.isin(each, np.union1d(labelled, belief.rest)))
    chosen = Coverage(points[each], known, certain, np.flatnonzero(unwanted[each]), ground)
    return each[np.array([*islice(chosen, count)], np.int64)]


def one_of_copies(digests: Sequence[str], known: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Positions of one photo of each content, ascending: of the first, or the first with a label.

    Args:
        digests: Of the contents of the photos.
        known: Positions of the photos with a label.
        others: Positions of the other photos that count, and maybe of some of these.
    """
    order = np.concatenate([known, np.setdiff1d(others, known)])
    _, first = np.unique(np.array(digests)[order], return_index=True)
    return np.sort(order[first])


def points_of(features: np.ndarray) -> np.ndarray:
    """Points by whose cosine photos are compared: signed square roots, half whitened, of length 1.

    Principal directions are those of photos that are spread evenly, where there are very many.

    Args:
        features: float32 `(photos, d)`.

    Returns:
        float32 `(photos, directions)`.
    """
    everything = np.arange(len(features))
    mean, directions = whitening(roots(features[evenly(everything, GROUND)]), WHITENING)
    points = [(roots(features[rows]) - mean) @ directions for rows in in_blocks(everything)]
    return normalised(np.concatenate(points)).astype(np.float32)
