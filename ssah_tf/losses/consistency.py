"""Semi-supervised consistency loss: what an image means must survive its deformation."""

import tensorflow as tf

from ssah_tf.losses.pairs import code_similarity
from ssah_tf.replicas import gather_batch, replica_count

#: Temperature of the similarity to the labelled images, in units of u.v / K.
TEMPERATURE = 0.1
#: Exponent that sharpens the targets.
SHARPNESS = 4.0


def semantics(codes: tf.Tensor, support: tf.Tensor, support_labels: tf.Tensor) -> tf.Tensor:
    """What codes mean: the labels of the labelled codes that they are similar to.

    p_i = sum_j softmax_j(u_i.s_j / (K t)) y_j, a soft nearest-neighbour classifier over labelled
    codes s_j with labels y_j, as in PAWS (Assran et al., ICCV 2021, arXiv 2104.13963).

    Args:
        codes: Relaxed codes, float32 `(batch, bits)`.
        support: Relaxed codes of labelled images, float32 `(labelled, bits)`.
        support_labels: float32 `(labelled, classes)`, multi-hot.

    Returns:
        float32 `(batch, classes)`, rows sum to 1.
    """
    weights = tf.nn.softmax(code_similarity(codes, support) / TEMPERATURE)  # (b, labelled)
    share = support_labels / tf.maximum(tf.reduce_sum(support_labels, axis=1, keepdims=True), 1)
    return tf.matmul(weights, share)


def consistency_loss(
    clean: tf.Tensor, hard: tf.Tensor, support: tf.Tensor, support_labels: tf.Tensor
) -> tf.Tensor:
    """A hard sample means what its image means: cross-entropy of their semantics.

    -mean_i sum_c q_ic log p^_ic - H(mean_i p^_i), with q = sg p^SHARPNESS normalised, p and p^ the
    semantics of image and hard sample, H the entropy, which keeps all classes in use. Equation
    after PAWS, with A-Net's hard sample as the second view. This replica's share.

    Args:
        clean: Relaxed codes of the images, float32 `(batch, bits)`.
        hard: Relaxed codes of their hard samples, float32 `(batch, bits)`.
        support: Relaxed codes of the labelled images of this replica, float32 `(labelled, bits)`.
        support_labels: Their labels, float32 `(labelled, classes)`, multi-hot.
    """
    support, support_labels = gather_batch(support), gather_batch(support_labels)
    target = tf.stop_gradient(semantics(clean, support, support_labels)) ** SHARPNESS
    target /= tf.reduce_sum(target, axis=1, keepdims=True)
    found = semantics(hard, tf.stop_gradient(support), support_labels)
    cross_entropy = -tf.reduce_mean(tf.reduce_sum(target * tf.math.log(found + 1e-8), axis=1))
    mean = tf.reduce_mean(gather_batch(found), axis=0)  # over the global batch
    entropy = -tf.reduce_sum(mean * tf.math.log(mean + 1e-8))
    return (cross_entropy - entropy) / replica_count()
