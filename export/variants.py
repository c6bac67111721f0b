"""Forms of the encoder for runtimes that want no bytes or no free batch."""

from pathlib import Path

import onnx
from onnx.utils import Extractor

from ssah_tf.encoding.encoder import FORM
from ssah_tf.export.onnx_model import save_checked


def write_logits(source: Path, target: Path) -> None:
    """Write the encoder from float32 images, numbers 0 to 255, to logits alone.

    Args:
        source: What `write_onnx` wrote.
        target: The file to write; metadata are kept.
    """
    whole = onnx.load(source)
    model = Extractor(whole).extract_model(["images"], ["logits"])
    (given,) = model.graph.input
    given.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    drop_casts(model.graph)
    model.metadata_props.extend(whole.metadata_props)
    model.metadata_props.add(key=FORM, value="floats to logits")
    model.producer_name = whole.producer_name
    save_checked(model, target)


def drop_casts(graph: onnx.GraphProto) -> None:
    """Leave out casts of the images to the floats that they are."""
    for node in [node for node in graph.node if node.op_type == "Cast"]:
        if list(node.input) != ["images"] or node.attribute[0].i != onnx.TensorProto.FLOAT:
            continue
        graph.node.remove(node)
        for other in graph.node:
            other.input[:] = ["images" if x == node.output[0] else x for x in other.input]


def write_fixed_batch(source: Path, target: Path, batch: int) -> None:
    """Write the encoder for just `batch` images at once."""
    model = onnx.load(source)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    model.metadata_props.add(key=FORM, value=f"{batch} images at once")
    save_checked(model, target)
