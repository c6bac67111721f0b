"""The hash layer by itself: as arrays, and as nodes of ONNX behind a network that is in ONNX."""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ssah_tf.encoding.hash_layer import HashLayer
from ssah_tf.export.identity import model_id
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.models import HNet
from ssah_tf.models.backbones.onnx_file import self_contained
from ssah_tf.models.backbones.onnx_graph import FEATURES
from ssah_tf.training.hash_layer.feature_store import feature_key

#: A node: its operator, inputs, output and attributes.
Step = tuple[str, list[str], str, dict[str, Any]]


def arrays_of(hnet: HNet, size: int) -> HashLayer:
    """The hash layer as arrays, with the name of the features that it takes.

    Args:
        hnet: The encoder; its backbone is frozen.
        size: Side of the images in pixels.
    """
    norm, features = hnet.hash_norm, hnet.backbone.feature_size
    (kernel,) = (variable.numpy() for variable in hnet.hash_layer.weights)
    appearance = np.zeros((features, 0), np.float32), np.zeros(0, np.float32)
    if hnet.appearance_layer is not None:
        appearance = tuple(variable.numpy() for variable in hnet.appearance_layer.weights)
    return HashLayer(
        feature_key(hnet, size),
        model_id(hnet, size),
        kernel,
        norm.moving_mean.numpy(),
        norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + np.float32(norm.epsilon)),
        norm.beta.numpy(),
        *appearance,
    )


def with_hash_layer(hnet: HNet, size: int) -> onnx.ModelProto:
    """The encoder as one ONNX model, like that which tf2onnx makes of other encoders.

    The operators are valid from opset 9 on, so that the network keeps the opset it came in. Their
    names begin with "hash", by which the quantiser leaves them in floats.

    Args:
        hnet: The encoder; its backbone is an `OnnxBackbone`.
        size: Side of the images in pixels.

    Returns:
        A model of uint8 `images` `(batch, size, size, 3)` that gives `codes`, `logits` and, if
        there is one, `appearance`; see `encoder_function`.
    """
    model = self_contained(hnet.backbone.graph)
    graph, norm = model.graph, hnet.hash_norm
    (kernel,) = (variable.numpy() for variable in hnet.hash_layer.weights)
    mean, variance = norm.moving_mean.numpy(), norm.moving_variance.numpy()
    constants = {
        "kernel": kernel,
        "mean": mean,
        "factor": norm.gamma.numpy() / np.sqrt(variance + np.float32(norm.epsilon)),
        "beta": norm.beta.numpy(),
        "zero": np.zeros((), np.float32),
    }
    steps: list[Step] = [
        ("MatMul", [FEATURES, "hash/kernel"], "hash/dense", {}),
        ("Sub", ["hash/dense", "hash/mean"], "hash/centred", {}),
        ("Mul", ["hash/centred", "hash/factor"], "hash/scaled", {}),
        ("Add", ["hash/scaled", "hash/beta"], "logits", {}),
        *packed("logits", "codes"),
    ]
    lengths = {"codes": hnet.bits}
    if hnet.appearance_layer is not None:
        kernel, bias = (variable.numpy() for variable in hnet.appearance_layer.weights)
        constants |= {"appearance/kernel": kernel, "appearance/bias": bias}
        steps += [
            ("MatMul", [FEATURES, "hash/appearance/kernel"], "hash/appearance/dense", {}),
            ("Add", ["hash/appearance/dense", "hash/appearance/bias"], "hash/appearance", {}),
            *packed("hash/appearance", "appearance"),
        ]
        lengths["appearance"] = hnet.appearance_bits
    for name, bits in lengths.items():
        constants[f"{name}/octets"] = octet_weights(bits)
    for name, value in constants.items():
        graph.initializer.append(
            numpy_helper.from_array(np.asarray(value, np.float32), f"hash/{name}")
        )
    graph.node.extend(
        helper.make_node(operator, inputs, [output], f"hash/{operator}_{number}", **attributes)
        for number, (operator, inputs, output, attributes) in enumerate(steps)
    )
    for dim in graph.input[0].type.tensor_type.shape.dim[1:3]:
        dim.dim_value = size
    graph.ClearField("output")
    codes, *appearance = (
        helper.make_tensor_value_info(name, TensorProto.UINT8, ["batch", code_bytes(bits)])
        for name, bits in lengths.items()
    )
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", hnet.bits])
    graph.output.extend([codes, logits, *appearance])
    return model


def packed(logits: str, codes: str) -> list[Step]:
    """Nodes that pack the signs of a tensor; see `octet_weights`."""
    inside = f"hash/{codes}"
    return [
        ("Less", [logits, "hash/zero"], f"{inside}/negative", {}),
        ("Not", [f"{inside}/negative"], f"{inside}/bits", {}),
        ("Cast", [f"{inside}/bits"], f"{inside}/ones", {"to": TensorProto.FLOAT}),
        ("MatMul", [f"{inside}/ones", f"{inside}/octets"], f"{inside}/sums", {}),
        ("Cast", [f"{inside}/sums"], codes, {"to": TensorProto.UINT8}),
    ]


def octet_weights(bits: int) -> np.ndarray:
    """What a bit adds to each octet, in the order of `numpy.packbits`: `(bits, octets)`."""
    places = np.arange(bits)
    weights = np.zeros((bits, code_bytes(bits)), np.float32)
    weights[places, places // 8] = 2.0 ** (7 - places % 8)
    return weights
