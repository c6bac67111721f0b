"""The classes of a code, by a vote of the labelled codes that are similar to it."""

import tensorflow as tf

from ssah_tf.losses.global_batch import gather_batch
from ssah_tf.losses.pairs import code_similarity

#: Temperature of the similarity to the labelled images, in units of u.v / K.
TEMPERATURE = 0.1


def class_vote(codes: tf.Tensor, support: tf.Tensor, support_labels: tf.Tensor) -> tf.Tensor:
    """Soft nearest-neighbour vote of labelled codes for the classes.

    p_i = sum_j softmax_j(u_i.s_j / (K t)) y_j over the labelled codes s_j of the global batch, y_j
    their labels, each row divided by its number of labels; as in PAWS (Assran et al., ICCV 2021,
    arXiv 2104.13963).

    Args:
        codes: Relaxed codes, float32 `(batch, bits)`.
        support: Relaxed codes of this replica's labelled images, float32 `(labelled, bits)`.
        support_labels: Their labels, float32 `(labelled, classes)`, multi-hot.

    Returns:
        float32 `(batch, classes)`, rows sum to 1.
    """
    support, labels = gather_batch(support), gather_batch(support_labels)
    weights = tf.nn.softmax(code_similarity(codes, support) / TEMPERATURE)  # (b, labelled)
    share = labels / tf.maximum(tf.reduce_sum(labels, axis=1, keepdims=True), 1)
    return tf.matmul(weights, share)
