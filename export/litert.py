"""The encoder for LiteRT, formerly TensorFlow Lite: phones and small boards."""

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from ssah_tf.system.errors import SsahError
from ssah_tf.system.files import write_atomically
from ssah_tf.system.text import first_line


def write_litert(
    encode: tf.types.experimental.PolymorphicFunction,
    target: Path,
    calibration: np.ndarray | None = None,
) -> None:
    """Convert an encoder function to a file with LiteRT's own operators alone.

    In float32; or, with images to find the ranges of activations on, in 8-bit integers: weights by
    channel, inputs and outputs as they are.

    Weights are made constants first: from a SavedModel or module that holds a Keras model the
    converter of TensorFlow 2.21 takes none of them, and says nothing. It has names for outputs from
    a SavedModel alone, so one of the function with its constants is made.

    Args:
        encode: See `encoder_function`.
        target: The file to write.
        calibration: uint8 `(n, size, size, 3)`, training images; for integers.

    Raises:
        SsahError: LiteRT has no operator for a part of the encoder. One line.
    """
    concrete = encode.get_concrete_function()
    constant = convert_variables_to_constants_v2(concrete)
    names = sorted(concrete.structured_outputs)

    @tf.function(input_signature=encode.input_signature)
    def signature(images):
        return dict(zip(names, constant(images), strict=True))

    try:
        with tempfile.TemporaryDirectory() as folder:
            tf.saved_model.save(tf.Module(), folder, signatures={"encode": signature})
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["encode"])
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            if calibration is not None:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.representative_dataset = lambda: one_by_one(calibration)
            with warnings.catch_warnings():
                # It calibrates with the interpreter of its own, which is to go.
                warnings.filterwarnings(
                    "ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated"
                )
                content = converter.convert()
    except Exception as error:  # the converter raises its own, and others
        raise SsahError(
            f"{target.name}: LiteRT cannot run this encoder ({first_line(error)[:200]}); leave "
            "--litert out"
        ) from None
    write_atomically(target, content)


def one_by_one(images: np.ndarray) -> Iterator[dict[str, np.ndarray]]:
    """Inputs of the encoder with one image each."""
    return ({"images": images[i : i + 1]} for i in range(len(images)))
