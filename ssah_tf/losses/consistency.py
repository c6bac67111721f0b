"""Semi-supervised consistency: a hard sample keeps the classes of its image."""

import tensorflow as tf

from ssah_tf.losses.global_batch import replica_count
from ssah_tf.losses.supervised_loss import SupervisedLoss


def consistency_loss(
    supervised_loss: SupervisedLoss,
    hard: tf.Tensor,
    support: tf.Tensor,
    targets: tf.Tensor,
    trust: tf.Tensor,
    labels: tf.Tensor,
) -> tf.Tensor:
    """Mean t_i l(u^_i, p_i): the hard sample's loss against the pseudo-label of its image.

    p are pseudo-labels by the moving average of H-Net's weights (the mean teacher of Tarvainen and
    Valpola, NeurIPS 2017, arXiv 1703.01780), t how far each is trusted, and l the loss of a code
    against a distribution. A-Net's hard sample is the student's view, as the strong augmentation
    is in FixMatch (Sohn et al., NeurIPS 2020, arXiv 2001.07685). The combination is ours. This
    replica's share.

    Args:
        supervised_loss: Gives l.
        hard: H-Net's codes of unlabelled hard samples, float32 `(batch, bits)`.
        support: H-Net's codes of labelled images, float32 `(labelled, bits)`.
        targets: Pseudo-labels of the unlabelled images, float32 `(batch, classes)`.
        trust: float32 `(batch,)`, 0 to 1.
        labels: Of the labelled images, float32 `(labelled, classes)`, multi-hot.
    """
    losses = supervised_loss.losses_to(hard, targets, support, labels)
    return tf.reduce_mean(trust * losses) / replica_count()
