"""A small network for small images, made for a CPU: most work is at a quarter of the pixels."""

import keras
from keras import layers

from ssah_tf.models.backbones.backbone import Backbone
from ssah_tf.models.backbones.residual_block import ResidualBlock
from ssah_tf.models.batch_norm import BatchNorm


@keras.saving.register_keras_serializable(package="ssah_tf")
class ConvNet(Backbone):
    """A strided 5x5 convolution and three residual blocks; the second halves the image again.

    Args:
        width: Channels of the stem and of the first block; the later ones have twice as many.
        **kwargs: Arguments of `Backbone`.
    """

    def __init__(self, width: int = 32, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.stem = layers.Conv2D(width, 5, 2, padding="same", use_bias=False)
        self.stem_norm = BatchNorm()
        self.residuals = [
            ResidualBlock(width),
            ResidualBlock(2 * width, stride=2),
            ResidualBlock(2 * width),
        ]

    def features(self, x, training):
        """Features of normalised images, `(batch, 2 * width)`."""
        x = keras.ops.relu(self.stem_norm(self.stem(x), training=training))
        for block in self.residuals:
            x = block(x, training=training)
        return keras.ops.mean(x, axis=(1, 2))

    def get_config(self):
        """Arguments that make an equal backbone."""
        return {**super().get_config(), "width": self.width}
