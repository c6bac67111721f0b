"""Label propagation: labels for the unlabelled images whose classes are certain enough."""

from collections.abc import Callable

import numpy as np

from ssah_tf.training.hash_layer.label_views import LabelViews, has_several, sigmoid, softmax

#: Parts in which the labelled images are held out by turns.
FOLDS = 3
#: Weight of each view where no image can be held out, and how many held-out images weigh as much.
PRIOR = 0.5
PRIOR_STRENGTH = 1.0
#: Newton's steps to the weights of the views, at most.
STEPS = 50


def propagate_labels(
    features: np.ndarray,
    labels: np.ndarray,
    threshold: float,
    unseen: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Give unlabelled images the classes that are probable enough.

    Two views (`LabelViews`) say how probable each class is. They are combined as a product of
    powers (a logarithmic opinion pool: Genest and Zidek, "Combining probability distributions",
    Statistical Science 1986). The powers, not negative, are those by which the labels of held-out
    labelled images are most probable (stacking: Wolpert, Neural Networks 1992). So the view that
    is right for these images counts most, and the posterior is calibrated: of the classes with a
    probability of .9, nine tenths are right.

    Args:
        features: float `(n, d)`, of the labelled images first.
        labels: Of the labelled images, uint8 `(labelled, classes)`, multi-hot.
        threshold: A class is given where its probability is above this. From .5 on, an image gets
            one class at most, unless a labelled image has several.
        unseen: Rows of the labelled images whose labels the features have not learnt; only these
            are held out. All by default.

    Returns:
        Rows of `features` in ascending order, and their labels, uint8 `(rows, classes)`, multi-hot.
        Images without a class that is probable enough are left out.
    """
    known = len(labels)
    classes = np.flatnonzero(labels.any(axis=0))
    given = np.zeros((len(features) - known, labels.shape[1]), labels.dtype)
    if len(given) and len(classes):
        posterior = class_posterior(features, labels[:, classes], unseen)[known:]
        given[:, classes] = posterior > threshold
    rows = np.flatnonzero(given.any(axis=1))
    return known + rows, given[rows]


def class_posterior(
    features: np.ndarray, labels: np.ndarray, unseen: np.ndarray | None = None
) -> np.ndarray:
    """How probable each class is for each image. See `propagate_labels`.

    Returns:
        `(n, classes)`; rows sum to 1 unless a labelled image has several classes: then each entry
        is the probability that the image is of that class, among others.
    """
    views = LabelViews(features)
    known = np.arange(len(labels))
    chances = sigmoid if has_several(labels) else softmax
    scores, truths = [], []
    for fold in folds_of(labels, known if unseen is None else unseen):
        rest = np.setdiff1d(known, fold)
        scores.append(views.scores(rest, labels[rest])[:, fold])
        truths.append(labels[fold])
    everything = views.scores(known, labels)
    weights = np.append(np.full(len(everything), PRIOR), 0)
    if scores:
        weights = view_weights(
            np.concatenate(scores, axis=1), np.concatenate(truths), weights, chances
        )
    return chances(np.tensordot(weights, with_bias(everything), 1))


def folds_of(labels: np.ndarray, candidates: np.ndarray) -> list[np.ndarray]:
    """Rows to hold out by turns, each class dealt evenly; the only image of a class stays.

    Args:
        labels: uint8 `(labelled, classes)`.
        candidates: Rows that may be held out.

    Returns:
        At most `FOLDS` parts, none empty.
    """
    counts = labels.sum(axis=0)
    rarity = np.where(labels[candidates] > 0, counts, np.inf)
    held = np.sort(candidates[(rarity.min(axis=1, initial=np.inf) > 1) & labels[candidates].any(1)])
    rarest = np.where(labels[held] > 0, counts, np.inf).argmin(axis=1)
    dealt = held[np.argsort(rarest, kind="stable")]
    return [np.sort(dealt[k::FOLDS]) for k in range(FOLDS) if len(dealt[k::FOLDS])]


def view_weights(
    scores: np.ndarray,
    labels: np.ndarray,
    prior: np.ndarray,
    chances: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Weights of the views by which known labels are most probable.

    Minimises -log p(labels) + `PRIOR_STRENGTH` / 2 |w - prior|^2 by Newton's steps, halved until
    they lower it; weights of views stay at 0 or above.

    Args:
        scores: Of each view, `(views, images, classes)`, by labels of other images.
        labels: Multi-hot `(images, classes)`.
        prior: Where the weights begin, and what they are drawn to, `(views + 1,)`.
        chances: `softmax` or `sigmoid`.

    Returns:
        float `(views + 1,)`; the last one is that of a constant, without a bound.
    """
    scores = with_bias(scores).astype(np.float64)
    bound = np.append(np.zeros(len(scores) - 1), -np.inf)
    weights = prior.astype(np.float64)

    def cost(weights: np.ndarray) -> float:
        found = chances(np.tensordot(weights, scores, 1))
        missed = -np.log(np.maximum(np.where(labels > 0, found, 1), 1e-12)).sum()
        if chances is sigmoid:
            missed -= np.log(np.maximum(np.where(labels > 0, 1, 1 - found), 1e-12)).sum()
        return missed + PRIOR_STRENGTH / 2 * ((weights - prior) ** 2).sum()

    for _ in range(STEPS):
        found = chances(np.tensordot(weights, scores, 1))
        slope = np.tensordot(scores, found - labels, 2) + PRIOR_STRENGTH * (weights - prior)
        seen = scores * found
        curvature = np.einsum("vic,wic->vw", seen, scores) + PRIOR_STRENGTH * np.eye(len(weights))
        if chances is sigmoid:
            curvature -= np.einsum("vic,wic->vw", seen, seen)
        else:
            curvature -= seen.sum(axis=2) @ seen.sum(axis=2).T
        free = (weights > bound) | (slope < 0)
        step = np.zeros_like(weights)
        step[free] = -np.linalg.solve(curvature[np.ix_(free, free)], slope[free])
        size, reached = 1.0, cost(weights)
        while size > 1e-6 and cost(np.maximum(weights + size * step, bound)) > reached:
            size /= 2
        new = np.maximum(weights + size * step, bound)
        if np.abs(new - weights).max() < 1e-4:
            return new
        weights = new
    return weights


def with_bias(scores: np.ndarray) -> np.ndarray:
    """Scores of the views, and those of one that gives 1 to all: `(views + 1, images, classes)`."""
    return np.concatenate([scores, np.ones_like(scores[:1])])
