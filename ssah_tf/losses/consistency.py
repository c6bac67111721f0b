"""Semi-supervised consistency: a hard sample means what its image means."""

import tensorflow as tf

from ssah_tf.losses.supervised_loss import SupervisedLoss
from ssah_tf.replicas import replica_count


def consistency_loss(
    supervised_loss: SupervisedLoss,
    hard: tf.Tensor,
    support: tf.Tensor,
    clean: tf.Tensor,
    clean_support: tf.Tensor,
    labels: tf.Tensor,
) -> tf.Tensor:
    """Mean l(u^_i, p(u_i)): the hard sample's loss against the classes that its image stands for.

    p is the posterior of the supervised loss, taken of codes by the moving average of H-Net's
    weights (the mean teacher of Tarvainen and Valpola, NeurIPS 2017, arXiv 1703.01780), and l the
    loss of a code against it. A-Net's hard sample is the student's view, as the strong
    augmentation is in FixMatch (Sohn et al., NeurIPS 2020, arXiv 2001.07685). The combination is
    ours. This replica's share.

    Args:
        supervised_loss: Gives p and l.
        hard: H-Net's codes of unlabelled hard samples, float32 `(batch, bits)`.
        support: H-Net's codes of labelled images, float32 `(labelled, bits)`.
        clean: The teacher's codes of the unlabelled images, float32 `(batch, bits)`.
        clean_support: The teacher's codes of the labelled images, float32 `(labelled, bits)`.
        labels: Of the labelled images, float32 `(labelled, classes)`, multi-hot.
    """
    targets = tf.stop_gradient(supervised_loss.posterior(clean, clean_support, labels))
    losses = supervised_loss.losses_to(hard, targets, support, labels)
    return tf.reduce_mean(losses) / replica_count()
