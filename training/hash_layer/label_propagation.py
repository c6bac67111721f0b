"""Label propagation: unlabelled images are given the classes that are probable enough."""

import numpy as np

from ssah_tf.system.signals import raise_if_ending
from ssah_tf.training.hash_layer.label_views import LabelViews, has_several, probabilities

#: Parts in which the labelled images are held out by turns.
FOLDS = 3
#: The weight of a view that nothing is known of, and how strongly weights are drawn to it: as by
#: about so many held-out images.
PRIOR = 0.5
PRIOR_STRENGTH = 1.0
#: Newton's steps to the weights of the views, at most, and the change that is none.
STEPS = 50
TOLERANCE = 1e-4


def propagate_labels(
    features: np.ndarray,
    labels: np.ndarray,
    threshold: float,
    unseen: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Give unlabelled images their most probable classes, where these are probable enough.

    See `most_probable`.

    Args:
        features: float `(n, d)`, of the labelled images first.
        labels: Of the labelled images, uint8 `(labelled, classes)`, multi-hot.
        threshold: How probable they must be.
        unseen: See `class_posterior`.

    Returns:
        Rows of `features` in ascending order, and their labels, uint8 `(rows, classes)`, multi-hot.
        Images whose classes are not probable enough, or that have none, are left out.
    """
    known = len(labels)
    classes = np.flatnonzero(labels.any(axis=0))
    given = np.zeros((len(features) - known, labels.shape[1]), labels.dtype)
    if given.size and len(classes):
        posterior = class_posterior(features, labels[:, classes], unseen)[known:]
        likely, chance = most_probable(posterior, has_several(labels))
        given[:, classes] = likely & (chance > threshold)[:, None]
    rows = np.flatnonzero(given.any(axis=1))
    return known + rows, given[rows]


def most_probable(posterior: np.ndarray, several: bool) -> tuple[np.ndarray, np.ndarray]:
    """The most probable classes of each image, and how probable it is that they are right.

    One class; or where images have several, all that are more probable than not, which are right
    if each of them is there and no other.

    Args:
        posterior: Of each class, `(images, classes)`; see `class_posterior`.
        several: Whether images have several classes.

    Returns:
        bool `(images, classes)` and `(images,)`.
    """
    if several:
        return posterior > 0.5, np.maximum(posterior, 1 - posterior).prod(axis=1)
    best = posterior.argmax(axis=1)[:, None]
    return np.arange(posterior.shape[1]) == best, posterior.max(axis=1)


def class_posterior(
    features: np.ndarray, labels: np.ndarray, unseen: np.ndarray | None = None
) -> np.ndarray:
    """How probable each class is for each image.

    Two views (`LabelViews`) say it, and are combined as a product of powers (a logarithmic opinion
    pool: Genest and Zidek, "Combining probability distributions", Statistical Science 1986). The
    powers are those by which the labels of held-out labelled images are most probable (stacking:
    Wolpert, "Stacked generalization", Neural Networks 1992). So the view that is right for these
    images counts most, and probabilities are calibrated: of the classes with one of .9, nine tenths
    are right, as far as held-out images are like the others.

    Args:
        features: float `(n, d)`, of the labelled images first.
        labels: Of the labelled images, `(labelled, classes)`, multi-hot; each class has one.
        unseen: Rows of the labelled images whose labels the features have not learnt; only these
            are held out. All by default.

    Returns:
        `(n, classes)`. Rows sum to 1, unless a labelled image has several classes: then each entry
        is the probability that the image is of that class, among others.
    """
    views = LabelViews(features)
    known = np.arange(len(labels))
    scores, truths = [], []
    for fold in folds_of(labels, known if unseen is None else unseen):
        rest = np.setdiff1d(known, fold)
        scores.append(views.scores(rest, labels[rest])[:, fold])
        truths.append(labels[fold])
    everything = with_constant(views.scores(known, labels))
    weights = np.append(np.full(len(everything) - 1, PRIOR), 0)
    several = has_several(labels)
    if scores:
        held_out = with_constant(np.concatenate(scores, axis=1))
        weights = view_weights(held_out, np.concatenate(truths), weights, several)
    return probabilities(np.tensordot(weights, everything, 1), several)


def folds_of(labels: np.ndarray, candidates: np.ndarray) -> list[np.ndarray]:
    """Rows to hold out by turns; each class is dealt evenly, and the only image of a class stays.

    Args:
        labels: `(labelled, classes)`, multi-hot. An image with several is dealt by its rarest.
        candidates: Rows that may be held out; those without a class are not.

    Returns:
        At most `FOLDS` parts of `candidates`, none empty.
    """
    sizes = np.where(labels > 0, labels.sum(axis=0, dtype=int), len(labels) + 1)
    rarest = sizes.argmin(axis=1)
    smallest = sizes.min(axis=1)
    held = np.sort(candidates[labels[candidates].any(axis=1) & (smallest[candidates] > 1)])
    dealt = held[np.argsort(rarest[held], kind="stable")]
    parts = [np.sort(dealt[turn::FOLDS]) for turn in range(FOLDS)]
    return [part for part in parts if len(part)]


def view_weights(
    scores: np.ndarray, labels: np.ndarray, prior: np.ndarray, several: bool
) -> np.ndarray:
    """Weights w of the views by which known labels are most probable.

    They minimise -log p(labels) + `PRIOR_STRENGTH` / 2 |w - prior|^2, by Newton's steps that are
    halved until they lower it. No view has a weight below 0.

    Args:
        scores: Of each view, by the labels of other images, `(views + 1, images, classes)`; see
            `with_constant`.
        labels: Multi-hot `(images, classes)`.
        prior: What the weights are drawn to, `(views + 1,)`.
        several: Whether images have several classes.

    Returns:
        float64 `(views + 1,)`; the last one, of the constant, has any sign.
    """
    scores = scores.astype(np.float64)
    bound = np.append(np.zeros(len(scores) - 1), -np.inf)
    weights = np.asarray(prior, np.float64)
    for _ in range(STEPS):
        raise_if_ending()
        found = probabilities(np.tensordot(weights, scores, 1), several)
        slope = np.tensordot(scores, found - labels, 2) + PRIOR_STRENGTH * (weights - prior)
        curvature = curvature_of(scores, found, several) + PRIOR_STRENGTH * np.eye(len(weights))
        free = (weights > bound) | (slope < 0)
        step = np.zeros_like(weights)
        step[free] = -np.linalg.solve(curvature[np.ix_(free, free)], slope[free])
        cost = cost_of(weights, scores, labels, prior, several)
        new = np.maximum(weights + step, bound)
        while cost_of(new, scores, labels, prior, several) > cost:
            step /= 2
            new = np.maximum(weights + step, bound)
            if np.abs(step).max() < TOLERANCE:
                return weights
        if np.abs(new - weights).max() < TOLERANCE:
            return new
        weights = new
    return weights


def cost_of(
    weights: np.ndarray, scores: np.ndarray, labels: np.ndarray, prior: np.ndarray, several: bool
) -> float:
    """What `view_weights` minimises."""
    found = probabilities(np.tensordot(weights, scores, 1), several)
    right = np.where(labels > 0, found, 1 - found if several else 1)
    missed = -np.log(np.maximum(right, 1e-12)).sum()
    return float(missed + PRIOR_STRENGTH / 2 * ((weights - prior) ** 2).sum())


def curvature_of(scores: np.ndarray, found: np.ndarray, several: bool) -> np.ndarray:
    """Second derivatives of -log p by the weights, `(views + 1, views + 1)`.

    Args:
        scores: See `view_weights`.
        found: The probabilities by the weights, `(images, classes)`.
        several: See `view_weights`.
    """
    if several:
        return np.tensordot(scores * (found * (1 - found)), scores, ([1, 2], [1, 2]))
    weighted = scores * found
    means = weighted.sum(axis=2)  # (views + 1, images)
    return np.tensordot(weighted, scores, ([1, 2], [1, 2])) - means @ means.T


def with_constant(scores: np.ndarray) -> np.ndarray:
    """Scores of the views, and of one that gives 1 to all, which says how frequent classes are."""
    return np.concatenate([scores, np.ones_like(scores[:1])])
