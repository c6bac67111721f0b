"""What losses share whose classes have fixed target codes."""

import keras
import numpy as np
import tensorflow as tf

from ssah_tf.losses.global_batch import replica_count
from ssah_tf.losses.supervised_loss import SupervisedLoss
from ssah_tf.metrics import LabelLists


class TargetLoss(SupervisedLoss):
    """Draws codes to their class's target; a subclass says how in `sample_losses`.

    Args:
        scale: Steepness of the softmax over the classes.
        seed: Seed of the choice of targets.
    """

    uses_support = False

    def __init__(self, scale: float = 10.0, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        if scale <= 0:
            raise ValueError(f"scale must be positive. Received: scale={scale}")
        self.scale = scale
        self.seed = seed

    def build(self, anchors_shape, anchor_labels_shape, others_shape=None, other_labels_shape=None):
        """Draw the targets, `(classes, bits)` of -1 and 1; they are saved with the loss."""
        self.targets = self.add_weight(
            name="targets",
            shape=(anchor_labels_shape[1], anchors_shape[1]),
            initializer=lambda shape, dtype: keras.ops.convert_to_tensor(
                class_targets(*shape, self.seed), dtype
            ),
            trainable=False,
        )
        self.built = True

    def fit_targets(self, codes: np.ndarray, labels: np.ndarray) -> None:
        """Replace the targets by the signs of each class's mean code.

        The similarity of classes in a pretrained network is kept: classes with similar codes get
        similar targets. Equation ours. A class without an image keeps its target.

        Args:
            codes: Relaxed codes of labelled images, float32 `(images, bits)`.
            labels: uint8 `(images, classes)`, multi-hot.
        """
        lists = LabelLists.of(labels)  # a matrix of floats, images x classes, may be gigabytes
        sums = np.zeros((lists.classes, codes.shape[1]))
        np.add.at(sums, lists.columns, codes[np.repeat(np.arange(len(lists)), lists.sizes())])
        known = lists.counts() > 0
        targets = np.where(known[:, None], np.where(sums >= 0, 1, -1), self.targets.numpy())
        self.targets.assign(distinct_targets(targets, np.abs(sums)).astype(np.float32))

    def class_scores(self, codes):
        """Scores scale cos(v, t_c) of the classes, `(batch, bits) -> (batch, classes)`."""
        targets = tf.convert_to_tensor(self.targets)
        unit = tf.math.l2_normalize(codes, axis=1)
        return self.scale * tf.matmul(unit, tf.math.l2_normalize(targets, axis=1), transpose_b=True)

    def sample_losses(self, codes, labels):
        """Loss of each code against labels, multi-hot or a distribution, `(batch,)`."""
        raise NotImplementedError

    def posterior(self, codes, support, support_labels):
        """Softmax of the class scores. See `SupervisedLoss.posterior`."""
        return tf.nn.softmax(self.class_scores(codes))

    def losses_to(self, codes, targets, support, support_labels):
        """`sample_losses`. See `SupervisedLoss.losses_to`."""
        return self.sample_losses(codes, targets)

    def call(self, anchors, anchor_labels, others, other_labels):
        """Mean over both kinds of codes. See `SupervisedLoss.call`."""
        loss = self.sample_losses(anchors, anchor_labels)
        if others is not anchors:
            loss = (loss + self.sample_losses(others, other_labels)) / 2
        return tf.reduce_mean(loss) / replica_count()

    def get_config(self):
        """Arguments that make an equal loss."""
        return {**super().get_config(), "scale": self.scale, "seed": self.seed}


def distinct_targets(targets: np.ndarray, certainty: np.ndarray) -> np.ndarray:
    """Targets no two of which are equal: the least certain bits of a repeated one are flipped.

    Args:
        targets: `(classes, bits)` of -1 and 1.
        certainty: `(classes, bits)`, not negative.

    Returns:
        As `targets`; repeats stay only where there are more classes than codes.
    """
    targets = targets.copy()
    seen = set()
    for row, sure in zip(targets, certainty, strict=True):
        original = row.copy()
        order = np.argsort(sure, kind="stable")
        for number in range(1 << min(len(row), 12)):  # 1: the least certain bit, 2: the next, ...
            flips = [order[k] for k in range(min(len(row), 12)) if number >> k & 1]
            row[:] = original
            row[flips] *= -1
            if row.tobytes() not in seen:
                break
        seen.add(row.tobytes())
    return targets


def class_targets(classes: int, bits: int, seed: int, tries: int = 200) -> np.ndarray:
    """Signs that are as far from each other as `tries` draws of rows and columns can make them.

    Returns:
        float32 `(classes, bits)` of -1 and 1.
    """
    rng = np.random.default_rng(seed)
    order = 1 << (max(classes + 1, bits) - 1).bit_length()
    if order > 2048:  # a Hadamard matrix would not pay off: random signs are nearly orthogonal
        return rng.choice([-1.0, 1.0], (classes, bits)).astype(np.float32)
    hadamard = np.ones((1, 1), np.float32)
    while len(hadamard) < order:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    best, best_overlap = np.zeros((classes, bits), np.float32), np.inf
    for _ in range(tries):
        rows = 1 + rng.permutation(order - 1)[:classes]  # row 0 is constant
        targets = hadamard[rows][:, rng.permutation(order)[:bits]]
        overlap = np.max(targets @ targets.T - 2 * bits * np.eye(classes))
        if overlap < best_overlap:
            best, best_overlap = targets, overlap
    return best.astype(np.float32)
