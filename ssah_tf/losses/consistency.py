"""Semi-supervised consistency loss."""

import tensorflow as tf

from ssah_tf.losses.pairs import code_distance, own_distance
from ssah_tf.models.replicas import gather_batch, replica_count


def consistency_loss(clean: tf.Tensor, hard: tf.Tensor) -> tf.Tensor:
    """A hard sample keeps its image's code, and its image's distances to all others.

    mean_i d(sg u_i, u^_i) + mean_ij (d(sg u_i, sg u_j) - d(u^_i, u^_j))^2, sg = stop gradient.
    The second term is what makes it a loss on semantics: neighbours stay neighbours. Equation
    ours. This replica's share.

    Args:
        clean: Relaxed codes of the images, float32 `(batch, bits)`.
        hard: Relaxed codes of their hard samples, float32 `(batch, bits)`.
    """
    clean = tf.stop_gradient(clean)
    own = tf.reduce_mean(own_distance(clean, hard))
    distances = code_distance(clean, gather_batch(clean))  # (b, B)
    hard_distances = code_distance(hard, gather_batch(hard))
    return (own + tf.reduce_mean(tf.square(distances - hard_distances))) / replica_count()
