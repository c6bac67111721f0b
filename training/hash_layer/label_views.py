"""Two views of which class an unlabelled image is of, from the features of a frozen backbone.

One looks at the middle of a class, the other at its border; both see an image among its neighbours.
"""

import numpy as np
import tensorflow as tf

from ssah_tf.system.signals import raise_if_ending

#: Principal directions that are kept of the features, and the power of its deviation by which each
#: is divided.
DIRECTIONS = 256
WHITENING = 0.75
#: Nearest neighbours of an image, but at most this share of all images, and the power of their
#: cosine that is the weight of an edge.
NEIGHBOURS = 20
NEAR_SHARE = 0.05
POWER = 3
#: How often points move towards their neighbours, for the middle of a class and for its border.
MOVES = (1, 3)
#: Sharpness of the soft assignment to a class mean, and how often means and assignments are made
#: anew.
SHARPNESS = 20.0
ROUNDS = 10
#: What a labelled image counts for in the mean of its class.
WEIGHT = 2.0
#: Penalty on the squared weights of the logistic regression, and its steps.
PENALTY = 0.01
STEPS = 100
#: Rows of the images whose neighbours are searched at once.
BLOCK = 1024
#: No probability is taken to be smaller.
FLOOR = 1e-6


class LabelViews:
    """Scores of classes for images, by two ways to learn from a few labelled ones.

    Features are averages over the places of an image, in which a few loud ones drown the others. So
    their signed square roots are taken (Perronnin et al., "Improving the Fisher kernel", ECCV
    2010), then the principal directions, each divided by a power of its deviation: partial
    whitening. Then each point moves towards its neighbours, labelled or not, as in a simple graph
    convolution (Wu et al., ICML 2019, arXiv 1902.07153).

    Args:
        features: float `(images, features)`.
    """

    def __init__(self, features: np.ndarray):
        points = whitened(roots(features))
        graph = neighbour_graph(points)
        self.points = []
        for move in range(1, max(MOVES) + 1):
            raise_if_ending()
            near = tf.sparse.sparse_dense_matmul(graph, points).numpy()
            points = normalised(points + normalised(near))
            if move in MOVES:
                self.points.append(points)

    def scores(self, known: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """What each view says of all images.

        Args:
            known: Rows of images with a label, int64 `(known,)`.
            labels: Theirs, `(known, classes)`, multi-hot.

        Returns:
            float32 `(views, images, classes)`: logarithms of probabilities or of odds.
        """
        labels = labels.astype(np.float32)
        middle, border = self.points
        return np.stack(
            [cluster_scores(middle, known, labels), border_scores(border, known, labels)]
        )


def cluster_scores(points: np.ndarray, known: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Spherical k-means with one mean a class, seeded by the labelled images.

    These keep their labels (Basu, Banerjee and Mooney, "Semi-supervised clustering by seeding",
    ICML 2002), the others are assigned by softmax over the classes of `SHARPNESS` times the cosine.
    An image with several labels counts for the mean of each in equal parts.

    Args:
        points: float32 `(images, d)`, of length 1.
        known: See `LabelViews.scores`.
        labels: float32, see `LabelViews.scores`.

    Returns:
        Logarithms of the assignment, float32 `(images, classes)`.
    """
    parts = labels / np.maximum(labels.sum(axis=1, keepdims=True), 1)
    seeds = WEIGHT * parts.T @ points[known]  # (classes, d)
    others = np.delete(points, known, axis=0)
    means = normalised(seeds)
    for _ in range(ROUNDS):
        raise_if_ending()
        means = normalised(seeds + softmax(SHARPNESS * others @ means.T).T @ others)
    return np.log(softmax(SHARPNESS * points @ means.T) + FLOOR)


def border_scores(points: np.ndarray, known: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Logistic regression on the labelled images alone, of the multinomial kind.

    Where images have several labels it is one regression a class. Newton's steps with the bound on
    the curvature of Boehning, "Multinomial logistic regression algorithm", 1992, made faster by
    Nesterov's momentum: no step size, no randomness.

    Args:
        points: As in `cluster_scores`.
        known: See `LabelViews.scores`.
        labels: float32, see `LabelViews.scores`.

    Returns:
        Logarithms of probabilities, or of odds if images have several labels,
        float32 `(images, classes)`.
    """
    several = has_several(labels)
    if not several:  # an image without a class is one of none of them, which softmax cannot say
        known, labels = known[labels.any(axis=1)], labels[labels.any(axis=1)]
    seen = with_one(points[known])
    penalty = np.full(seen.shape[1], PENALTY, np.float32)
    bound = (0.25 if several else 0.5) * seen.T @ seen + np.diag(penalty)
    step = np.linalg.inv(bound.astype(np.float64)).astype(np.float32)
    weights = ahead = np.zeros((seen.shape[1], labels.shape[1]), np.float32)
    pace = 1.0
    for _ in range(STEPS):
        raise_if_ending()
        slope = seen.T @ (labels - probabilities(seen @ ahead, several)) - penalty[:, None] * ahead
        reached = ahead + step @ slope
        faster = (1 + np.sqrt(1 + 4 * pace * pace)) / 2
        ahead = reached + np.float32((pace - 1) / faster) * (reached - weights)
        weights, pace = reached, faster
    scores = with_one(points) @ weights
    return scores if several else np.log(softmax(scores) + FLOOR)


def neighbour_graph(points: np.ndarray) -> tf.SparseTensor:
    """The graph of nearest neighbours by cosine; an edge is there if one of its ends is near.

    S = D^-1/2 W D^-1/2 (Zhou et al., "Learning with local and global consistency", NIPS 2003).

    Args:
        points: float32 `(images, d)`, of length 1.

    Returns:
        Sparse float32 `(images, images)`, symmetric.
    """
    count = len(points)
    near = min(NEIGHBOURS, round(NEAR_SHARE * count))
    start = np.repeat(np.arange(count), near)
    ends, weights = [], []
    for begin in range(0, count, BLOCK):
        raise_if_ending()
        cosine = points[begin : begin + BLOCK] @ points.T
        own = np.arange(len(cosine))
        cosine[own, begin + own] = -np.inf
        found = tf.math.top_k(cosine, near)
        ends.append(found.indices.numpy().ravel())
        weights.append(np.maximum(found.values.numpy().ravel(), 0) ** POWER)
    end, weight = np.concatenate(ends), np.concatenate(weights)
    both = np.concatenate([start * count + end, end * count + start])
    edges, first = np.unique(both, return_index=True)
    weight = np.tile(weight, 2)[first]
    rows, columns = np.divmod(edges, count)
    root = np.sqrt(np.maximum(np.bincount(rows, weight, count), 1e-12))
    return tf.SparseTensor(
        np.column_stack([rows, columns]),
        (weight / (root[rows] * root[columns])).astype(np.float32),
        (count, count),
    )


def whitened(features: np.ndarray) -> np.ndarray:
    """Features in their principal directions, each less loud; rows of length 1, `(images, d)`."""
    mean, directions = whitening(features, WHITENING)
    return normalised((features - mean) @ directions).astype(np.float32)


def whitening(features: np.ndarray, power: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean of features, and their principal directions divided by a power of their deviations.

    Args:
        features: float `(images, features)`.
        power: 0 for none, 1 for whole whitening.

    Returns:
        `(features,)` and `(features, at most DIRECTIONS)`.
    """
    mean = features.mean(axis=0)
    centred = features - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    kept = min(DIRECTIONS, max(1, int((values > 1e-6 * values[-1]).sum())))
    deviations = np.sqrt(np.maximum(values[::-1][:kept], 1e-12))
    return mean, vectors[:, ::-1][:, :kept] / deviations**power


def roots(features: np.ndarray) -> np.ndarray:
    """Signed square roots."""
    return np.sign(features) * np.sqrt(np.abs(features))


def has_several(labels: np.ndarray) -> bool:
    """Whether an image has several labels."""
    return bool((labels.sum(axis=1) > 1).any())


def with_one(points: np.ndarray) -> np.ndarray:
    """Rows with a 1 at the end."""
    return np.concatenate([points, np.ones((len(points), 1), points.dtype)], axis=1)


def normalised(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def probabilities(scores: np.ndarray, several: bool) -> np.ndarray:
    """Of each class by itself if images have several (logistic), else of one of them (softmax).

    Args:
        scores: `(images, classes)`.
        several: Whether images have several classes.
    """
    return 0.5 * (1 + np.tanh(scores / 2)) if several else softmax(scores)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Softmax over the classes, `(images, classes)`."""
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)
