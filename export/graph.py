"""The encoder as a graph: uint8 images in, packed codes out, preprocessing inside."""

import tensorflow as tf

from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.models import HNet


def pack(logits: tf.Tensor) -> tf.Tensor:
    """Packed codes in the order of `numpy.packbits`, a bit 1 where the logit is at least 0.

    Args:
        logits: float32 `(batch, bits)`.

    Returns:
        uint8 `(batch, ceil(bits / 8))`, the tail padded with zeros.
    """
    bits = logits.shape[1]
    ones = tf.cast(logits >= 0, tf.int32)
    ones = tf.pad(ones, [[0, 0], [0, -bits % 8]])
    octets = tf.reshape(ones, [-1, code_bytes(bits), 8])
    weights = tf.constant([128, 64, 32, 16, 8, 4, 2, 1])
    return tf.cast(tf.reduce_sum(octets * weights, axis=2), tf.uint8)


def encoder_function(hnet: HNet, size: int) -> tf.types.experimental.PolymorphicFunction:
    """What is exported: `images` to `codes`, `logits` and, if there is one, `appearance`.

    Args:
        hnet: The encoder.
        size: Side of the images in pixels.

    Returns:
        A `tf.function` of uint8 `(batch, size, size, 3)` that gives `codes`, uint8 `(batch,
        ceil(bits / 8))`, `logits`, float32 `(batch, bits)`, whose signs are the code, and of an
        encoder with appearance codes these as `appearance`, packed likewise.
    """

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8, "images")])
    def encode(images):
        logits, *appearance = hnet.all_logits(images)
        found = {"codes": pack(logits), "logits": logits}
        return found | ({"appearance": pack(*appearance)} if appearance else {})

    return encode
