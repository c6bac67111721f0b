"""Dropout whose random numbers differ between devices and do not depend on their number."""

import keras
import tensorflow as tf
from keras import layers

from ssah_tf.losses.global_batch import random_uniform


@keras.saving.register_keras_serializable(package="ssah_tf")
class ReplicaDropout(layers.Layer):
    """Dropout whose mask differs between replicas and is the same for any number of them.

    `keras.layers.Dropout` draws the same numbers on every replica of a strategy.

    Args:
        rate: Share of the inputs to drop.
        seed: Seed of the masks; the number of the call is part of it.
    """

    def __init__(self, rate: float, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate must be at least 0 and below 1. Received: rate={rate}")
        self.rate = rate
        self.seed = seed

    def build(self, input_shape):
        """Create the counter of calls, which is saved with the model."""
        self.calls = self.add_weight(
            name="calls",
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )

    def call(self, x, training=False):
        """Drop, and scale what is left by 1 / (1 - rate)."""
        if not training or not self.rate:
            return x
        seed = tf.stack([self.seed, tf.convert_to_tensor(self.calls)])
        keep = random_uniform(seed, (tf.shape(x)[0], *x.shape[1:])) >= self.rate
        self.calls.assign_add(1)
        return tf.where(keep, x / (1 - self.rate), tf.zeros_like(x))

    def get_config(self):
        """Arguments that make an equal layer."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
