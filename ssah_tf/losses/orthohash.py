"""OrthoHash: cosine similarity to fixed orthogonal targets."""

import keras
import tensorflow as tf

from ssah_tf.losses.target_loss import TargetLoss


@keras.saving.register_keras_serializable(package="ssah_tf")
class OrthoHash(TargetLoss):
    """Softmax cross-entropy over scale (cos(v, t_c) - margin [c is the label]) for class targets t.

    After Hoe et al., NeurIPS 2021 (arXiv 2109.14449). The targets are rows of a Hadamard matrix,
    cut to K bits; with more classes than it has rows, random signs. An image with several labels
    has a target distribution that is uniform over them.

    Args:
        scale: Steepness of the softmax.
        margin: How much closer to its target than to the others a code should be, as a cosine.
        seed: Seed of the choice of targets.
    """

    def __init__(self, scale: float = 10.0, margin: float = 0.2, seed: int = 0, **kwargs):
        super().__init__(scale=scale, seed=seed, **kwargs)
        if not 0 <= margin < 1:
            raise ValueError(f"margin must be at least 0 and below 1. Received: margin={margin}")
        self.margin = margin

    def sample_losses(self, codes, labels):
        """Cross-entropy of each code to labels, multi-hot or a distribution, `(batch,)`."""
        wanted = labels / tf.maximum(tf.reduce_sum(labels, axis=1, keepdims=True), 1)
        scores = self.class_scores(codes) - self.scale * self.margin * labels
        return tf.nn.softmax_cross_entropy_with_logits(wanted, scores)

    def get_config(self):
        """Arguments that make an equal loss."""
        return {**super().get_config(), "margin": self.margin}
