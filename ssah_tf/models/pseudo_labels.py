"""Pseudo-labels: the classes of unlabelled images, and which images are trusted."""

import keras
import tensorflow as tf

from ssah_tf.losses.global_batch import replica_count, sum_over_replicas


@keras.saving.register_keras_serializable(package="ssah_tf")
class PseudoLabels(keras.layers.Layer):
    """The posterior as it is, all images trusted; a subclass may choose.

    With `align`, the posterior of each image is multiplied, class by class, by the share of the
    class among the labels over its share among the pseudo-labels, both as moving averages, and
    normalised again (distribution alignment of Berthelot et al., ICLR 2020, arXiv 1911.09785).

    Args:
        align: Whether the distribution over the classes is aligned.
        momentum: Of the moving averages.

    Call arguments:
        posterior: By the teacher, float32 `(batch, classes)`, rows sum to 1.
        labels: Of this replica's labelled images, float32 `(labelled, classes)`, multi-hot.

    Returns:
        Targets, float32 `(batch, classes)`, rows sum to 1; and trust, float32 `(batch,)`, 0 or 1.
    """

    def __init__(self, align: bool = False, momentum: float = 0.99, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be in [0, 1). Received: momentum={momentum}")
        self.align = align
        self.momentum = momentum

    def build(self, posterior_shape, labels_shape=None):
        """Create the moving averages, uniform over the classes."""
        classes = posterior_shape[-1]
        self.found = self.average("found", (classes,), 1 / classes)
        self.given = self.average("given", (classes,), 1 / classes)
        self.built = True

    def average(self, name: str, shape: tuple, value: float):
        """Create a moving average that all replicas share."""
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=keras.initializers.Constant(value),
            trainable=False,
            aggregation="only_first_replica",
        )

    def move(self, average, local_mean: tf.Tensor) -> tf.Tensor:
        """Move an average towards the mean over the global batch; its new value."""
        mean = sum_over_replicas(local_mean) / replica_count()
        value = self.momentum * tf.convert_to_tensor(average) + (1 - self.momentum) * mean
        average.assign(value)
        return value

    def call(self, posterior, labels):
        """Targets and trust. See the class."""
        share = labels / tf.maximum(tf.reduce_sum(labels, axis=1, keepdims=True), 1)
        found = self.move(self.found, tf.reduce_mean(posterior, axis=0))  # (classes,)
        given = self.move(self.given, tf.reduce_mean(share, axis=0))
        if self.align:
            posterior = posterior * given / (found + 1e-6)
            posterior /= tf.reduce_sum(posterior, axis=1, keepdims=True)
        return self.choose(posterior)

    def choose(self, posterior):
        """Targets and trust of a posterior."""
        return posterior, tf.ones_like(posterior[:, 0])

    def get_config(self):
        """Arguments that make equal pseudo-labels."""
        return {**super().get_config(), "align": self.align, "momentum": self.momentum}


@keras.saving.register_keras_serializable(package="ssah_tf")
class FixedThreshold(PseudoLabels):
    """The most probable class, trusted from a probability of `threshold` on.

    After FixMatch (Sohn et al., NeurIPS 2020, arXiv 2001.07685).

    Args:
        threshold: Least probability.
        **kwargs: Arguments of `PseudoLabels`.
    """

    def __init__(self, threshold: float = 0.95, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1]. Received: threshold={threshold}")
        self.threshold = threshold

    def choose(self, posterior):
        """See `PseudoLabels.choose`."""
        return one_hot_and_trust(posterior, self.threshold)

    def get_config(self):
        """Arguments that make equal pseudo-labels."""
        return {**super().get_config(), "threshold": self.threshold}


@keras.saving.register_keras_serializable(package="ssah_tf")
class AdaptiveThreshold(PseudoLabels):
    """The most probable class, trusted from a probability on that rises with the teacher's own.

    After FreeMatch (Wang et al., ICLR 2023, arXiv 2205.07246): tau_c = q_c / max(q) tau, where tau
    is the moving average of the greatest probability and q that of the posterior.
    """

    def build(self, posterior_shape, labels_shape=None):
        """Create the moving averages."""
        super().build(posterior_shape, labels_shape)
        self.confidence = self.average("confidence", (), 1 / posterior_shape[-1])

    def choose(self, posterior):
        """See `PseudoLabels.choose`."""
        tau = self.move(self.confidence, tf.reduce_mean(tf.reduce_max(posterior, axis=1)))
        found = tf.convert_to_tensor(self.found)
        return one_hot_and_trust(posterior, tau * found / tf.reduce_max(found))


def one_hot_and_trust(posterior: tf.Tensor, threshold):
    """The most probable class as one-hot, and whether it reaches its threshold.

    Args:
        posterior: float32 `(batch, classes)`.
        threshold: Scalar, or one for each class, `(classes,)`.
    """
    best = tf.argmax(posterior, axis=1)
    threshold = tf.broadcast_to(tf.cast(threshold, posterior.dtype), posterior.shape[1:])
    trust = tf.reduce_max(posterior, axis=1) >= tf.gather(threshold, best)
    one_hot = tf.one_hot(best, posterior.shape[1], dtype=posterior.dtype)
    return one_hot, tf.cast(trust, posterior.dtype)


#: Every kind that a recipe can name.
PSEUDO_LABELS = {"soft": PseudoLabels, "fixed": FixedThreshold, "adaptive": AdaptiveThreshold}
