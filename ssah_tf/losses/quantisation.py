"""Quantisation loss."""

import tensorflow as tf

from ssah_tf.losses.global_batch import replica_count


def quantisation_loss(u: tf.Tensor) -> tf.Tensor:
    """Mean |1 - |u||: how far relaxed codes are from bits. This replica's share.

    Args:
        u: float32 `(batch, bits)` in [-1, 1].
    """
    return tf.reduce_mean(tf.abs(1 - tf.abs(u))) / replica_count()
