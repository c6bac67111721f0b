"""Label propagation: labels for the unlabelled images that lie closest to those of a class."""

import numpy as np

from ssah_tf.models import HNet

#: Sharpness of the soft assignment to a class, and how often means and assignments are made anew.
SHARPNESS = 10.0
ROUNDS = 10
#: What a labelled image counts for in the mean of its class.
WEIGHT = 2.0


def propagate_labels_by_encoder(
    hnet: HNet, features: np.ndarray, labels: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Propagate labels by what the backbone of an encoder and its hash layer make of the images.

    Args:
        hnet: A built H-Net.
        features: Of its backbone, float32 `(n, d)`, of the labelled images first.
        labels: See `propagate_labels`.
        share: See `propagate_labels`.

    Returns:
        See `propagate_labels`.
    """
    codes = np.asarray(hnet.hash_norm(hnet.hash_layer(features), training=False))
    return propagate_labels((features, codes), labels, share)


def propagate_labels(
    views: tuple[np.ndarray, ...], labels: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Give the most certain unlabelled images the label of the class that they lie nearest to.

    Spherical k-means with one mean a class, seeded by the labelled images, which keep their labels
    (Basu, Banerjee and Mooney, "Semi-supervised clustering by seeding", ICML 2002), with soft
    assignments: softmax over the classes of `SHARPNESS` times the cosine.

    Args:
        views: What is known of the images, each float `(n, d)` with the labelled images first; each
            counts the same.
        labels: Of the labelled images, uint8 `(labelled, classes)`, multi-hot. An image with
            several counts for the mean of each in equal parts.
        share: Of the unlabelled images, how many get a label.

    Returns:
        Rows of `views` in ascending order, and their labels, uint8 `(rows, classes)`: one class
        each, also where the labelled images have several.
    """
    known = len(labels)
    points = np.concatenate([directions(view) for view in views], axis=1) / np.sqrt(len(views))
    classes = np.flatnonzero(labels.any(axis=0))
    parts = labels[:, classes] / np.maximum(labels.sum(axis=1, keepdims=True), 1)
    seeds = WEIGHT * parts.astype(points.dtype).T @ points[:known]  # (classes, d)
    means = normalised(seeds)
    for _ in range(ROUNDS):
        certainty = assignment(points[known:], means)  # (unlabelled, classes)
        means = normalised(seeds + certainty.T @ points[known:])
    certainty = assignment(points[known:], means)
    count = round(share * len(certainty))
    chosen = np.sort(np.argsort(-certainty.max(axis=1), kind="stable")[:count])
    given = np.zeros((count, labels.shape[1]), labels.dtype)
    given[np.arange(count), classes[certainty[chosen].argmax(axis=1)]] = 1
    return known + chosen, given


def directions(view: np.ndarray) -> np.ndarray:
    """Rows less their mean, of length 1."""
    return normalised(view - view.mean(axis=0))


def normalised(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def assignment(points: np.ndarray, means: np.ndarray) -> np.ndarray:
    """Softmax over the means of the scaled cosine, `(points, means)`."""
    cosine = points @ means.T
    weights = np.exp(SHARPNESS * (cosine - cosine.max(axis=1, keepdims=True)))
    return weights / weights.sum(axis=1, keepdims=True)
