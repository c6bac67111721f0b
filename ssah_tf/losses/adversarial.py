"""What A-Net minimises: codes of hard samples that are contrary to their label, as far as rho."""

import tensorflow as tf

from ssah_tf.losses.global_batch import gather_batch, replica_count
from ssah_tf.losses.pairs import balanced_mean, code_distance, own_distance, shares_label


def adversarial_loss(hard: tf.Tensor, labels: tf.Tensor, rho: tf.Tensor) -> tf.Tensor:
    """Pairs of hard samples: S max(0, rho/2 - d^) + (1 - S) max(0, d^ - (1 - rho)/2).

    d^ = d(u^_i, u^_j). rho = 0: no pressure; 1/2: every pair is pushed to the middle of the margin,
    hard but not mislabelled; 1: the label is inverted. A pair that is hard enough is left alone.
    Bounded, unlike an inverted likelihood, which destroys the image. Equation ours. This replica's
    share.

    Args:
        hard: Relaxed codes of hard samples, float32 `(batch, bits)`.
        labels: float32 `(batch, classes)`, multi-hot.
        rho: Difficulty in [0, 1], scalar.
    """
    same = shares_label(labels, gather_batch(labels))  # (b, B)
    distance = code_distance(hard, gather_batch(hard))
    similar = tf.nn.relu(rho / 2 - distance)
    dissimilar = tf.nn.relu(distance - (1 - rho) / 2)
    return balanced_mean(tf.where(same > 0, similar, dissimilar), same)


def own_pair_adversarial_loss(clean: tf.Tensor, hard: tf.Tensor, rho: tf.Tensor) -> tf.Tensor:
    """Mean of max(0, rho/2 - d(u_i, u^_i)): image and hard sample are a known similar pair.

    The adversarial loss of images without a label. Equation ours. This replica's share.

    Args:
        clean: Relaxed codes of the images, float32 `(batch, bits)`.
        hard: Relaxed codes of their hard samples, float32 `(batch, bits)`.
        rho: Difficulty in [0, 1], scalar.
    """
    return tf.reduce_mean(tf.nn.relu(rho / 2 - own_distance(clean, hard))) / replica_count()
