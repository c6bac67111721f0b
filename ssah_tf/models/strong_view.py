"""RandAugment over the images that H-Net is trained on: the strong view of FixMatch."""

import keras
import tensorflow as tf
from keras import layers


@keras.saving.register_keras_serializable(package="ssah_tf")
class StrongView(layers.Layer):
    """`keras.layers.RandAugment` with a draw of its own for each group of images.

    The Keras layer draws one chain of operations for a whole batch; every `groups`-th image of a
    batch shares one here.

    Args:
        strength: Factor of RandAugment, 0 to 1.
        groups: Number of draws a batch.
        seed: Seed of the draws.

    Input shape: `(batch, height, width, 3)`, 0 to 255, float32.
    Output shape: the same.
    """

    def __init__(self, strength: float = 0.5, groups: int = 8, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must be in [0, 1]. Received: strength={strength}")
        if groups < 1:
            raise ValueError(f"groups must be at least 1. Received: groups={groups}")
        self.strength, self.groups, self.seed = strength, groups, seed
        self.augmenters = [
            layers.RandAugment(
                (0, 255), factor=strength, seed=groups * seed + k, data_format="channels_last"
            )
            for k in range(groups)
        ]

    def build(self, input_shape):
        """Prepare the augmenters; they have no weights."""
        for augment in self.augmenters:
            augment.build(input_shape)
        self.built = True

    def call(self, images):
        """Augmented images, in order."""
        rows = tf.range(tf.shape(images)[0])
        parts = [
            augment(images[k :: self.groups], training=True)
            for k, augment in enumerate(self.augmenters)
        ]
        images = tf.dynamic_stitch([rows[k :: self.groups] for k in range(self.groups)], parts)
        return tf.clip_by_value(images, 0, 255)

    def save_own_variables(self, store):
        """Keep where the draws have come to, which Keras leaves out."""
        for number, variable in enumerate(self.non_trainable_variables):
            store[str(number)] = variable.numpy()

    def load_own_variables(self, store):
        """Go on with the draws where they were saved."""
        for number, variable in enumerate(self.non_trainable_variables):
            variable.assign(store[str(number)])

    def get_config(self):
        """Arguments that make an equal layer."""
        own = {"strength": self.strength, "groups": self.groups, "seed": self.seed}
        return {**super().get_config(), **own}
