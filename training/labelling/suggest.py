"""Which photos to label next: those that stand for what no labelled photo explains yet."""

from collections.abc import Sequence
from itertools import islice

import keras
import numpy as np

from ssah_tf.data import ImageSet, Split
from ssah_tf.data.sampling import evenly
from ssah_tf.models import HNet
from ssah_tf.system.errors import RecipeError
from ssah_tf.training.auto import resolve
from ssah_tf.training.build import build_backbone
from ssah_tf.training.hash_layer.feature_store import FeatureStore
from ssah_tf.training.hash_layer.label_propagation import class_posterior, most_probable
from ssah_tf.training.hash_layer.label_views import has_several, normalised, roots, whitening
from ssah_tf.training.labelling.coverage import GROUND, Coverage, in_blocks
from ssah_tf.training.recipe import load_recipe

#: Power of its deviation by which a principal direction is divided. Label propagation takes more,
#: for it is to tell classes apart; here the loud directions are those of which there is much.
WHITENING = 0.5
#: Photos that a backbone without weights takes its mean colours from.
FEW = 32


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
    size = recipe.data.image_size
    keras.utils.set_random_seed(recipe.seed)
    few = tuple(evenly(np.array(images.ids), FEW).tolist())  # a pretrained one has its mean colours
    split = Split((), (), few, (), (), recipe.seed, "")
    hnet = HNet(build_backbone(recipe, images, split), 1)
    try:
        hnet.build((None, size, size, 3))
    except ValueError as error:
        raise RecipeError(f"data.image_size, model.backbone: {error}") from None
    return store(hnet, images, np.arange(len(images)), size)


def suggest(
    features: np.ndarray,
    labels: np.ndarray,
    digests: Sequence[str],
    count: int,
    passed: np.ndarray | None = None,
) -> np.ndarray:
    """Photos that are most worth a label, the best first.

    They cover what the labelled photos leave uncovered, or in doubt: see `Coverage`.

    Args:
        features: float32 `(photos, d)`.
        labels: uint8 `(photos, classes)`, multi-hot; zeros where there is no label.
        digests: Of the contents of the photos. Of copies one is suggested, of labelled ones none.
        count: How many photos, at most.
        passed: Positions of photos that are not wanted, nor what is like them.

    Returns:
        Positions of photos without a label, in order of their worth: the first n are those of a
        smaller count. There are fewer only if the others are copies.
    """
    unwanted = np.zeros(len(features), bool)
    unwanted[[] if passed is None else passed] = True
    each = one_of_copies(digests, np.flatnonzero(labels.any(axis=1) | unwanted))
    features, labels = features[each], labels[each]
    known = np.flatnonzero(labels.any(axis=1))
    certain = certainty(features, labels, known) if len(known) else None
    chosen = Coverage(points_of(features), known, certain, np.flatnonzero(unwanted[each]))
    return each[np.array([*islice(chosen, count)], np.int64)]


def one_of_copies(digests: Sequence[str], known: np.ndarray) -> np.ndarray:
    """Positions of one photo of each content, ascending: of the first, or the first with a label.

    Args:
        digests: Of the contents of the photos.
        known: Positions of the photos with a label.
    """
    order = np.concatenate([known, np.setdiff1d(np.arange(len(digests)), known)])
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


def certainty(features: np.ndarray, labels: np.ndarray, known: np.ndarray) -> np.ndarray:
    """How probable it is that what is believed of each photo is right, float32 `(photos,)`.

    By the posterior of label propagation; 1 for labelled photos. Where there are very many photos
    it is of those alone whose coverage is counted, and 0 for the others.

    Args:
        features: float32 `(photos, d)`.
        labels: See `suggest`.
        known: Positions of the photos with a label.
    """
    rest = np.setdiff1d(evenly(np.arange(len(features)), GROUND), known)
    classes = labels[known].any(axis=0)
    posterior = class_posterior(features[np.concatenate([known, rest])], labels[known][:, classes])[
        len(known) :
    ]
    found = np.zeros(len(features), np.float32)
    found[known] = 1
    found[rest] = most_probable(posterior, has_several(labels))[1]
    return found
