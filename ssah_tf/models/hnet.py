"""H-Net, the hashing network: a backbone and a hash layer of K bits."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.models.batch_norm import BatchNorm


@keras.saving.register_keras_serializable(package="ssah_tf")
class HNet(keras.Model):
    """Images to relaxed codes u = tanh(BN(W f(x))) in [-1, 1]^K; a bit is 1 where u >= 0.

    Args:
        backbone: Layer from pixels to features, preprocessing included.
        bits: Code length K.

    Input shape: `(batch, height, width, 3)`, RGB, 0 to 255, uint8 or float.
    Output shape: `(batch, bits)`, float32.
    """

    def __init__(self, backbone: layers.Layer, bits: int, **kwargs):
        super().__init__(**kwargs)
        if bits < 1:
            raise ValueError(f"bits must be at least 1. Received: bits={bits}")
        self.backbone = backbone
        self.bits = bits
        # Codes are compared in the type of the weights whatever the backbone computes in.
        exact = backbone.variable_dtype
        self.hash_layer = layers.Dense(bits, use_bias=False, dtype=exact, name="hash")
        # Each bit splits a batch about evenly, and tanh is not saturated from the start.
        self.hash_norm = BatchNorm(dtype=exact, name="hash_norm")
        self._compiled_call: Callable[..., tf.Tensor] | None = None

    def build(self, input_shape):
        """Create the weights."""
        self.backbone.build(input_shape)
        self.hash_layer.build((None, self.backbone.feature_size))
        self.hash_norm.build((None, self.bits))
        self.built = True

    def logits(self, images, training=False):
        """Inputs of the tanh, float32 `(batch, bits)`; their signs are the code."""
        x = self.hash_layer(self.backbone(images, training=training))
        return self.hash_norm(x, training=training)

    def call(self, images, training=False):
        """Relaxed codes u, float32 `(batch, bits)` in [-1, 1]."""
        return keras.ops.tanh(self.logits(images, training=training))

    def encode(self, batches) -> np.ndarray:
        """Packed codes of all images in an iterable of batches, in order.

        Args:
            batches: Iterable of uint8 `(batch, height, width, 3)`, for example a
                `tf.data.Dataset`.

        Returns:
            uint8 `(images, ceil(bits / 8))`, in the order of `numpy.packbits`.
        """
        # Not `predict`: under MirroredStrategy it would give every image once a replica.
        if self._compiled_call is None:
            self._compiled_call = tf.function(self.__call__, reduce_retracing=True)
        call = self._compiled_call
        codes = [np.packbits(call(batch).numpy() >= 0, axis=1) for batch in batches]
        return np.concatenate(codes) if codes else np.zeros((0, code_bytes(self.bits)), np.uint8)

    def get_config(self):
        """Arguments that make an equal H-Net."""
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "bits": self.bits,
        }

    @classmethod
    def from_config(cls, config):
        """Make an H-Net from `get_config`."""
        backbone = keras.saving.deserialize_keras_object(config.pop("backbone"))
        return cls(backbone, **config)
