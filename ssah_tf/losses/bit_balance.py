"""Bit balance loss."""

import tensorflow as tf

from ssah_tf.losses.global_batch import replica_count, sum_over_replicas


def bit_balance_loss(u: tf.Tensor) -> tf.Tensor:
    """Mean over bits of the squared mean code: 0 if each bit is set for half of the images.

    Over the global batch; this replica's share. With a few classes in a batch it asks for codes
    that split the classes evenly (Liong et al., CVPR 2015, "Deep hashing for compact binary codes
    learning").

    Args:
        u: float `(batch, bits)` in [-1, 1].
    """
    mean = sum_over_replicas(tf.reduce_mean(u, axis=0)) / replica_count()  # (bits,)
    return tf.reduce_mean(tf.square(mean)) / replica_count()
