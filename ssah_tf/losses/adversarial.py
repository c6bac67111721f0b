"""What A-Net minimises: codes of hard samples that are contrary to their label, as far as rho."""

import tensorflow as tf

from ssah_tf.losses.pairs import balanced_mean, code_distance, own_distance, shares_label
from ssah_tf.replicas import gather_batch, replica_count


def adversarial_loss(hard: tf.Tensor, labels: tf.Tensor, rho: tf.Tensor) -> tf.Tensor:
    """Pairs of hard samples: S |rho/2 - d^| + (1 - S) |d^ - (1 - rho)/2|, d^ = d(u^_i, u^_j).

    rho = 0: similar pairs together, dissimilar ones at the margin; 1/2: every pair in the middle
    of the margin, hard but not mislabelled; 1: the label is inverted. The difficulty is a target,
    not a lower bound: a pair that is harder than rho asks for is made easier. With
    max(0, .) in place of |.|, samples at rho = 0.1 were already harder than random deformation,
    and rho had no say. Bounded, unlike an inverted likelihood, which destroys the image. Equation
    ours. This replica's share.

    Args:
        hard: Relaxed codes of hard samples, float32 `(batch, bits)`.
        labels: float32 `(batch, classes)`, multi-hot.
        rho: Difficulty in [0, 1], scalar.
    """
    same = shares_label(labels, gather_batch(labels))  # (b, B)
    distance = code_distance(hard, gather_batch(hard))
    target = tf.where(same > 0, rho / 2, (1 - rho) / 2)
    return balanced_mean(tf.abs(distance - target), same)


def own_pair_adversarial_loss(clean: tf.Tensor, hard: tf.Tensor, rho: tf.Tensor) -> tf.Tensor:
    """Mean of |rho/2 - d(u_i, u^_i)|: an image and its hard sample are a known similar pair.

    The adversarial loss of images without a label. Equation ours. This replica's share.

    Args:
        clean: Relaxed codes of the images, float32 `(batch, bits)`.
        hard: Relaxed codes of their hard samples, float32 `(batch, bits)`.
        rho: Difficulty in [0, 1], scalar.
    """
    return tf.reduce_mean(tf.abs(rho / 2 - own_distance(clean, hard))) / replica_count()
