"""ResNet-20 for small images (He et al., CVPR 2016, section 4.2)."""

import keras
from keras import layers

from ssah_tf.models.backbones.backbone import Backbone
from ssah_tf.models.backbones.residual_block import ResidualBlock
from ssah_tf.models.batch_norm import BatchNorm


@keras.saving.register_keras_serializable(package="ssah_tf")
class ResNet20(Backbone):
    """Three stages of three residual blocks of two 3x3 convolutions, halved between the stages.

    Args:
        width: Channels of the first stage, 16 in the paper.
        blocks: Residual blocks a stage, 3 in the paper.
        **kwargs: Arguments of `Backbone`.
    """

    def __init__(self, width: int = 16, blocks: int = 3, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.blocks = blocks
        self.stem = layers.Conv2D(width, 3, padding="same", use_bias=False)
        self.stem_norm = BatchNorm()
        self.residuals = [
            ResidualBlock(width << stage, stride=2 if stage and not number else 1)
            for stage in range(3)
            for number in range(blocks)
        ]

    def features(self, x, training):
        """Features of normalised images, `(batch, 4 * width)`."""
        x = keras.ops.relu(self.stem_norm(self.stem(x), training=training))
        for block in self.residuals:
            x = block(x, training=training)
        return keras.ops.mean(x, axis=(1, 2))

    def get_config(self):
        """Arguments that make an equal backbone."""
        return {**super().get_config(), "width": self.width, "blocks": self.blocks}
