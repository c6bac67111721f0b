"""The residual block of the small backbones (He et al., CVPR 2016)."""

import keras
from keras import layers

from ssah_tf.models.batch_norm import BatchNorm


@keras.saving.register_keras_serializable(package="ssah_tf")
class ResidualBlock(layers.Layer):
    """relu(x + f(x)) with f of two convolutions; a strided or widening block projects x.

    Args:
        filters: Channels of the output.
        stride: Stride of the first convolution.
    """

    def __init__(self, filters: int, stride: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.stride = stride
        self.first = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False)
        self.first_norm = BatchNorm()
        self.second = layers.Conv2D(filters, 3, padding="same", use_bias=False)
        self.second_norm = BatchNorm()
        self.projection = self.projection_norm = None

    def build(self, input_shape):
        """Create the weights."""
        inner = (*input_shape[:3], self.filters)
        self.first.build(input_shape)
        self.first_norm.build(inner)
        self.second.build(inner)
        self.second_norm.build(inner)
        if self.stride > 1 or input_shape[-1] != self.filters:
            dtype = self.dtype_policy
            self.projection = layers.Conv2D(
                self.filters, 1, self.stride, use_bias=False, dtype=dtype
            )
            self.projection.build(input_shape)
            self.projection_norm = BatchNorm(dtype=dtype)
            self.projection_norm.build(inner)

    def call(self, x, training=False):
        """`(batch, h, w, c) -> (batch, h / stride, w / stride, filters)`."""
        y = keras.ops.relu(self.first_norm(self.first(x), training=training))
        y = self.second_norm(self.second(y), training=training)
        if self.projection is not None:
            x = self.projection_norm(self.projection(x), training=training)
        return keras.ops.relu(x + y)

    def get_config(self):
        """Arguments that make an equal block."""
        return {**super().get_config(), "filters": self.filters, "stride": self.stride}
