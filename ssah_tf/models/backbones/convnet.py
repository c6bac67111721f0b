"""A small plain network for small images: quick on a CPU."""

import keras
from keras import layers

from ssah_tf.models.backbones.backbone import Backbone


@keras.saving.register_keras_serializable(package="ssah_tf")
class ConvNet(Backbone):
    """Three stages of two 3x3 convolutions, halved between, global average and maximum at the end.

    Args:
        width: Channels of the first stage; the later ones have two and four times as many.
        **kwargs: Arguments of `Backbone`.
    """

    def __init__(self, width: int = 32, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.blocks = []
        for stage in range(3):
            for number in range(2):
                self.blocks += [
                    layers.Conv2D(width << stage, 3, padding="same", use_bias=False),
                    layers.BatchNormalization(synchronized=True, momentum=0.9),
                    layers.ReLU(),
                ]
                if number == 1 and stage < 2:
                    self.blocks.append(layers.MaxPooling2D(2))

    def features(self, x, training):
        """Features of normalised images, `(batch, 4 * width)`."""
        for layer in self.blocks:
            x = (
                layer(x, training=training)
                if isinstance(layer, layers.BatchNormalization)
                else layer(x)
            )
        return keras.ops.mean(x, axis=(1, 2))

    def get_config(self):
        """Arguments that make an equal backbone."""
        return {**super().get_config(), "width": self.width}
