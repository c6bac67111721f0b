"""CSQ: central similarity quantisation."""

import keras
import tensorflow as tf

from ssah_tf.losses.target_loss import TargetLoss


@keras.saving.register_keras_serializable(package="ssah_tf")
class CSQ(TargetLoss):
    """Binary cross-entropy of (1 + v) / 2 and the bits of the class's hash centre, mean over K.

    After Yuan et al., CVPR 2020 (arXiv 1908.00347). The centres are the targets of `TargetLoss`.
    An image with several labels has the majority of their centres' bits; where they tie, the bit of
    the first label's centre (drawn at random in the paper). Against a distribution over the
    classes the loss is the mean of the losses to their centres.

    Args:
        scale: Steepness of the softmax that gives the posterior of an unlabelled code.
        seed: Seed of the choice of centres.
    """

    def sample_losses(self, codes, labels):
        """Cross-entropy of each code to the centre of its labels, `(batch,)`."""
        centres = tf.convert_to_tensor(self.targets)
        votes = tf.matmul(labels, centres)
        majority = tf.where(votes == 0, tf.gather(centres, tf.argmax(labels, axis=1)), votes)
        return self.to_bits(codes, (1 + tf.sign(majority)) / 2)

    def losses_to(self, codes, targets, support, support_labels):
        """Mean of the losses to the centres. See `SupervisedLoss.losses_to`."""
        mean = tf.matmul(targets, tf.convert_to_tensor(self.targets))
        return self.to_bits(codes, (1 + mean) / 2)

    def to_bits(self, codes, bits):
        """Cross-entropy of (1 + v) / 2 to bits or means of bits, `(batch,)`."""
        ones = tf.clip_by_value((1 + codes) / 2, 1e-6, 1 - 1e-6)
        losses = bits * tf.math.log(ones) + (1 - bits) * tf.math.log(1 - ones)
        return -tf.reduce_mean(losses, axis=1)
