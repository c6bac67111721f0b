"""Pairwise likelihood loss."""

import keras
import tensorflow as tf

from ssah_tf.losses.supervised_loss import PairLoss


@keras.saving.register_keras_serializable(package="ssah_tf")
class Likelihood(PairLoss):
    """softplus(t) - S t with t = scale u.v / K: the likelihood of the pair's label.

    After DPSH (Li et al., IJCAI 2016), whose t = u.v / 2 is scale = K / 2; a scale that does not
    grow with K keeps the loss the same at every code length.

    Args:
        scale: Steepness.
    """

    def __init__(self, scale: float = 8.0, **kwargs):
        super().__init__(**kwargs)
        if scale <= 0:
            raise ValueError(f"scale must be positive. Received: scale={scale}")
        self.scale = scale

    def similar(self, similarity):
        """Negative log likelihood softplus(-t)."""
        return tf.nn.softplus(-self.scale * similarity)

    def dissimilar(self, similarity):
        """Negative log likelihood softplus(t)."""
        return tf.nn.softplus(self.scale * similarity)

    def get_config(self):
        """Arguments that make an equal loss."""
        return {**super().get_config(), "scale": self.scale}
