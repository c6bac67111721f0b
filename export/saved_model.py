"""The encoder as a SavedModel for TensorFlow Serving."""

from pathlib import Path

import tensorflow as tf

from ssah_tf.export.decode_graph import decode_bytes
from ssah_tf.models import HNet


def write_saved_model(
    encode: tf.types.experimental.PolymorphicFunction,
    hnet: HNet,
    size: int,
    folder: Path,
    about: dict[str, str | int],
    *,
    floats: bool = False,
) -> None:
    """Write a SavedModel with a few signatures; those of images refuse other sizes with a message.

    - `serving_default`: `images` uint8 `(batch, size, size, 3)` to `codes`.
    - `serving_bytes`: `bytes` strings `(batch,)`, JPEG or PNG files, to `codes`; see
      `decode_bytes` for the rule.
    - `logits`: as `serving_default`, to `codes`, `logits` and, if there is one, `appearance`.
    - `appearance_bytes`: as `serving_bytes`, to `codes` and `appearance`; if there is one.
    - `about`: any strings `(batch,)` to the facts of `about`, one of each a string. (TensorFlow
      Serving's REST form takes no signature without an input.)
    - `float_logits`: `images` as float32, numbers 0 to 255, to `logits` alone; if `floats`.

    Args:
        encode: See `encoder_function`.
        hnet: The encoder, whose variables are kept.
        size: Side of the images in pixels.
        folder: Where to; it must not exist.
        about: What the encoder says of itself.
        floats: Whether to add the signature for floats.
    """

    given = tf.TensorSpec((None, size, size, 3), tf.uint8, "images")

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])  # one graph for both
    def decoded(bytes):
        return tf.map_fn(
            lambda content: decode_bytes(content, size),
            bytes,
            fn_output_signature=tf.TensorSpec((size, size, 3), tf.uint8),
        )

    class Serving(tf.Module):
        @tf.function(input_signature=[given])
        def serving_default(self, images):
            return {"codes": encode(self.checked(images))["codes"]}

        @tf.function(input_signature=[given])
        def logits(self, images):
            return encode(self.checked(images))

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "bytes")])
        def serving_bytes(self, bytes):
            return {"codes": encode(decoded(bytes))["codes"]}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "bytes")])
        def appearance_bytes(self, bytes):
            found = encode(decoded(bytes))
            return {name: found[name] for name in ("codes", "appearance") if name in found}

        @tf.function(input_signature=[tf.TensorSpec(given.shape, tf.float32, "images")])
        def float_logits(self, images):
            return {"logits": hnet.all_logits(self.checked(images))[0]}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "of")])
        def about(self, of):
            return {name: tf.fill(tf.shape(of)[:1], value) for name, value in about.items()}

        def checked(self, images):
            # A server feeds other shapes than a signature has. Counted in all, since the sides
            # are constants to the optimizer, and a check of them would go.
            count = tf.shape(images)[0] * (size * size * 3)
            message = f"images must be {images.dtype.name} (batch, {size}, {size}, 3), RGB"
            check = tf.debugging.assert_equal(tf.size(images), count, message)
            with tf.control_dependencies([check]):
                return tf.identity(images)

    module = Serving()
    module.hnet = hnet
    signatures = {
        "serving_default": module.serving_default,
        "serving_bytes": module.serving_bytes,
        "logits": module.logits,
        "about": module.about,
    }
    if floats:
        signatures["float_logits"] = module.float_logits
    if hnet.appearance_bits:
        signatures["appearance_bytes"] = module.appearance_bytes
    tf.saved_model.save(module, str(folder), signatures=signatures)
