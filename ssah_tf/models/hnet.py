"""H-Net, the hashing network: a backbone and a hash layer of K bits."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.models.batch_norm import BatchNorm


@keras.saving.register_keras_serializable(package="ssah_tf")
class HNet(keras.Model):
    """Images to relaxed codes u = tanh(BN(W f(x))) in [-1, 1]^K; a bit is 1 where u >= 0.

    Once it is trained it can have an appearance layer beside the hash layer, an affine map V f(x) +
    b whose signs are the appearance code: by it photos of one learned code are ordered.

    Args:
        backbone: Layer from pixels to features, preprocessing included.
        bits: Code length K.
        appearance_bits: Length of the appearance code, 0 for none. See `with_appearance`.

    Input shape: `(batch, height, width, 3)`, RGB, 0 to 255, uint8 or float.
    Output shape: `(batch, bits)`, float32.
    """

    def __init__(self, backbone: layers.Layer, bits: int, appearance_bits: int = 0, **kwargs):
        super().__init__(**kwargs)
        if bits < 1:
            raise ValueError(f"bits must be at least 1. Received: bits={bits}")
        self.backbone = backbone
        self.bits = bits
        self.appearance_bits = appearance_bits
        # Codes are compared in the type of the weights whatever the backbone computes in.
        exact = backbone.variable_dtype
        self.hash_layer = layers.Dense(bits, use_bias=False, dtype=exact, name="hash")
        # Each bit splits a batch about evenly, and tanh is not saturated from the start.
        self.hash_norm = BatchNorm(dtype=exact, name="hash_norm")
        # Zeros draw no random number: whether there is such a layer changes no training.
        self.appearance_layer = (
            layers.Dense(
                appearance_bits,
                trainable=False,
                kernel_initializer="zeros",
                dtype=exact,
                name="appearance",
            )
            if appearance_bits
            else None
        )
        self._compiled_call: Callable[..., tuple[tf.Tensor, ...]] | None = None

    def build(self, input_shape):
        """Create the weights."""
        if not self.backbone.built:
            self.backbone.build(input_shape)
        self.hash_layer.build((None, self.backbone.feature_size))
        self.hash_norm.build((None, self.bits))
        if self.appearance_layer is not None:
            self.appearance_layer.build((None, self.backbone.feature_size))
        self.built = True

    def with_bits(self, bits: int) -> "HNet":
        """A built H-Net with the same backbone, and a fresh hash layer of another length."""
        other = HNet(self.backbone, bits, name=self.name)
        other.build_from_config(self.get_build_config())
        return other

    def with_appearance(self, kernel: np.ndarray, bias: np.ndarray) -> "HNet":
        """An H-Net with the same backbone and hash layer, and with an appearance layer.

        Args:
            kernel: V, float32 `(features, appearance_bits)`.
            bias: b, float32 `(appearance_bits,)`.
        """
        other = HNet(self.backbone, self.bits, kernel.shape[1], name=self.name)
        other.build_from_config(self.get_build_config())
        other.hash_layer.set_weights(self.hash_layer.get_weights())
        other.hash_norm.set_weights(self.hash_norm.get_weights())
        if other.appearance_layer is not None:
            other.appearance_layer.set_weights([kernel, bias])
        return other

    def logits(self, images, training=False):
        """Inputs of the tanh, float32 `(batch, bits)`; their signs are the code."""
        return self.code_logits(self.backbone(images, training=training), training)

    def code_logits(self, features, training=False):
        """See `logits`; of features of the backbone `(batch, features)`."""
        return self.hash_norm(self.hash_layer(features), training=training)

    def all_logits(self, images):
        """Of the code and, if there is such a layer, of the appearance code.

        Returns:
            One or two float32 `(batch, bits)`, `(batch, appearance_bits)`; signs are bits.
        """
        return self.all_logits_of_features(self.backbone(images, training=False))

    def all_logits_of_features(self, features):
        """See `all_logits`; of features of the backbone `(batch, features)`."""
        logits = self.code_logits(features)
        if self.appearance_layer is None:
            return (logits,)
        return logits, self.appearance_layer(features)

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
        return self.full_codes(batches)[:, : code_bytes(self.bits)]

    def full_codes(self, batches) -> np.ndarray:
        """Packed codes, each with the packed appearance code behind it, if there is one.

        Args:
            batches: See `encode`.

        Returns:
            uint8 `(images, ceil(bits / 8) + ceil(appearance_bits / 8))`.
        """
        # Not `predict`: under MirroredStrategy it would give every image once a replica.
        if self._compiled_call is None:
            self._compiled_call = tf.function(self.all_logits, reduce_retracing=True)
        call = self._compiled_call
        codes = [packed(call(batch)) for batch in batches]
        width = code_bytes(self.bits) + code_bytes(self.appearance_bits)
        return np.concatenate(codes) if codes else np.zeros((0, width), np.uint8)

    def codes_of_features(self, features: np.ndarray) -> np.ndarray:
        """See `full_codes`; of features of the backbone, float32 `(n, features)`."""
        return packed(self.all_logits_of_features(features))

    def get_config(self):
        """Arguments that make an equal H-Net."""
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "bits": self.bits,
            "appearance_bits": self.appearance_bits,
        }

    @classmethod
    def from_config(cls, config):
        """Make an H-Net from `get_config`."""
        backbone = keras.saving.deserialize_keras_object(config.pop("backbone"))
        return cls(backbone, **config)


def packed(logits: Sequence[tf.Tensor | np.ndarray]) -> np.ndarray:
    """Packed codes of some logits, side by side, uint8 `(n, bytes)`."""
    return np.concatenate([np.packbits(np.asarray(x) >= 0, axis=1) for x in logits], axis=1)
