"""The encoder as an ONNX file, through tf2onnx."""

from pathlib import Path

import onnx
import tensorflow as tf

from ssah_tf.export.portable import make_portable
from ssah_tf.models.conversion import to_onnx
from ssah_tf.system.errors import SsahError

#: Outputs in their order; not every encoder has all of them.
OUTPUTS = ("codes", "logits", "appearance")
#: Opsets that can be asked for; the last one is the newest that tf2onnx 1.17 writes.
OPSETS = tuple(range(13, 19))


def write_onnx(
    encode: tf.types.experimental.PolymorphicFunction,
    path: Path,
    opset: int,
    about: dict[str, str],
) -> None:
    """Convert an encoder function, check the result fully, and write it.

    The batch is dynamic, its dimension is called `batch`; the metadata say what the file is.

    Args:
        encode: See `encoder_function`.
        path: The file.
        opset: One of `OPSETS`.
        about: Text by key, the metadata of the file.

    Raises:
        SsahError: The opset is not one of `OPSETS`.
    """
    if opset not in OPSETS:
        raise SsahError(f"opset {opset}: choose from {OPSETS[0]} to {OPSETS[-1]}")
    save_encoder(to_onnx(encode, opset), path, about)


def save_encoder(model: onnx.ModelProto, path: Path, about: dict[str, str]) -> None:
    """Check an encoder fully and write it. See `write_onnx`."""
    model.producer_name = "ssah-tf"
    outputs = sorted(model.graph.output, key=lambda value: OUTPUTS.index(value.name))
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    make_portable(model)
    onnx.helper.set_model_props(model, about)
    save_checked(model, path)


def save_checked(model: onnx.ModelProto, path: Path) -> None:
    """Check a model fully and write it."""
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
