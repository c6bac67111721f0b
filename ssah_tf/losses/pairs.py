"""Pairs of images in the global batch."""

import tensorflow as tf

from ssah_tf.losses.global_batch import sum_over_replicas


def code_similarity(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """u.v / K for all pairs, `(b, K), (B, K) -> (b, B)`, in [-1, 1]; 1 - 2 Hamming / K for bits."""
    return tf.matmul(rows, columns, transpose_b=True) / tf.cast(tf.shape(rows)[1], rows.dtype)


def code_distance(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """d(u, v) = (1 - u.v / K) / 2 for all pairs: Hamming distance / K for binary codes."""
    return (1 - code_similarity(rows, columns)) / 2


def own_distance(u: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
    """d(u_i, v_i) of corresponding rows, `(b, K), (b, K) -> (b,)`."""
    return (1 - tf.reduce_mean(u * v, axis=1)) / 2


def shares_label(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """S_ij = 1 where two images share a label, `(b, C), (B, C) -> (b, B)`."""
    return tf.cast(tf.matmul(rows, columns, transpose_b=True) > 0, rows.dtype)


def balanced_mean(values: tf.Tensor, similar: tf.Tensor) -> tf.Tensor:
    """Half of the mean over similar pairs plus half of the mean over dissimilar pairs.

    Args:
        values: float32 `(b, B)`, this replica's rows against the columns of all.
        similar: float32 `(b, B)` of zeros and ones.

    Returns:
        Scalar: this replica's share. A kind without any pair in the global batch counts 0.
    """
    counts = sum_over_replicas(tf.stack([tf.reduce_sum(similar), tf.reduce_sum(1 - similar)]))
    sums = tf.stack([tf.reduce_sum(values * similar), tf.reduce_sum(values * (1 - similar))])
    return tf.reduce_sum(sums / tf.maximum(counts, 1)) / 2
