"""The encoder as a SavedModel for TensorFlow Serving."""

from pathlib import Path

import tensorflow as tf

from ssah_tf.export.decode_graph import decode_bytes
from ssah_tf.models import HNet


def write_saved_model(
    encode: tf.types.experimental.PolymorphicFunction, hnet: HNet, size: int, folder: Path
) -> None:
    """Write a SavedModel with a few signatures; each refuses other shapes with a message.

    - `serving_default`: `images` uint8 `(batch, size, size, 3)` to `codes`.
    - `serving_bytes`: `bytes` strings `(batch,)`, JPEG or PNG files, to `codes`; see
      `decode_bytes` for the rule.
    - `logits`: as `serving_default`, to `codes`, `logits` and, if there is one, `appearance`.
    - `appearance_bytes`: as `serving_bytes`, to `codes` and `appearance`; if there is one.

    Args:
        encode: See `encoder_function`.
        hnet: The encoder, whose variables are kept.
        size: Side of the images in pixels.
        folder: Where to; it must not exist.
    """

    class Serving(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, None, None, None), tf.uint8, "images")])
        def serving_default(self, images):
            return {"codes": encode(self.checked(images))["codes"]}

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, None), tf.uint8, "images")])
        def logits(self, images):
            return encode(self.checked(images))

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "bytes")])
        def serving_bytes(self, bytes):
            return {"codes": encode(self.decoded(bytes))["codes"]}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "bytes")])
        def appearance_bytes(self, bytes):
            found = encode(self.decoded(bytes))
            return {name: found[name] for name in ("codes", "appearance") if name in found}

        def decoded(self, bytes):
            return tf.map_fn(
                lambda content: decode_bytes(content, size),
                bytes,
                fn_output_signature=tf.TensorSpec((size, size, 3), tf.uint8),
            )

        def checked(self, images):
            message = f"images must be uint8 (batch, {size}, {size}, 3), RGB"
            check = tf.debugging.assert_equal(tf.shape(images)[1:], [size, size, 3], message)
            with tf.control_dependencies([check]):
                return tf.ensure_shape(tf.identity(images), (None, size, size, 3))

    module = Serving()
    module.hnet = hnet
    signatures = {
        "serving_default": module.serving_default,
        "serving_bytes": module.serving_bytes,
        "logits": module.logits,
    }
    if hnet.appearance_bits:
        signatures["appearance_bytes"] = module.appearance_bytes
    tf.saved_model.save(module, str(folder), signatures=signatures)
