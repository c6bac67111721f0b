"""Contrastive pair loss."""

import keras
import tensorflow as tf

from ssah_tf.losses.supervised_loss import PairLoss


@keras.saving.register_keras_serializable(package="ssah_tf")
class Contrastive(PairLoss):
    """S d + (1 - S) max(0, margin - d), with d = (1 - u.v / K) / 2.

    After Hadsell et al., CVPR 2006, on the normalised Hamming distance, so that one margin holds
    at every code length. A margin of 1/2 asks for uncorrelated codes.

    Args:
        margin: Distance that dissimilar pairs should keep, 0 to 1.
    """

    def __init__(self, margin: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        if not 0 < margin <= 1:
            raise ValueError(f"margin must be above 0 and at most 1. Received: margin={margin}")
        self.margin = margin

    def similar(self, similarity):
        """Distance d."""
        return (1 - similarity) / 2

    def dissimilar(self, similarity):
        """Shortfall max(0, margin - d)."""
        return tf.nn.relu(self.margin - (1 - similarity) / 2)

    def get_config(self):
        """Arguments that make an equal loss."""
        return {**super().get_config(), "margin": self.margin}
