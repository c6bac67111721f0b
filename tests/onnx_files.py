"""Small image networks in ONNX, and the file that says how they want their pixels."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 24
CONFIG = {
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.25, 0.3],
    "size": {"height": 32, "width": 32},
    "resample": 2,
}


def weights():
    """The kernel of the one convolution, `(WIDTH, 3, 3, 3)`."""
    return np.random.default_rng(7).normal(0, 0.3, (WIDTH, 3, 3, 3)).astype(np.float32)


def network(
    *,
    outputs=("vector",),
    shape=("batch", 3, "height", "width"),
    layout="nchw",
    kind=TensorProto.FLOAT,
    opset=17,
    name="pixel_values",
    further=(),
):
    """A convolution, ReLU and what can be made of its map.

    Values: "map" of rank 4, "tokens" of rank 3, "vector" of rank 2, "classes", its softmax,
    "total", a number for all images, and "flat", which takes one image alone.
    """
    kernel = weights().astype(helper.tensor_dtype_to_np_dtype(kind))
    node = helper.make_node
    nodes = [node("Transpose", [name], ["first"], perm=[0, 3, 1, 2])] if layout == "nhwc" else []
    nodes += [
        node("Conv", ["first" if nodes else name, "kernel"], ["conv"], strides=[2, 2]),
        node("Relu", ["conv"], ["map"]),
        node("GlobalAveragePool", ["map"], ["pooled"]),
        node("Flatten", ["pooled"], ["vector"]),
        node("Softmax", ["vector"], ["classes"]),
        node("Reshape", ["map", "shape"], ["places"]),
        node("Transpose", ["places"], ["tokens"], perm=[0, 2, 1]),
        node("ReduceSum", ["vector"], ["total"], keepdims=0),
        node("Reshape", ["vector", "one"], ["flat"]),
    ]
    if further:
        nodes.append(node("Gemm", ["vector", "vector", further[0]], ["mixed"], transB=1))
    constants = {"kernel": kernel, "shape": np.array([0, WIDTH, -1]), "one": np.array([1, -1])}
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info(name, kind, shape),
            *(helper.make_tensor_value_info(n, kind, [1]) for n in further),
        ],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def write(folder, model=None, config=CONFIG, file="net.onnx", **kwargs):
    """Write a network and its configuration; the path of the network."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model or network(), folder / file, **kwargs)
    if config is not None:
        text = config if isinstance(config, str) else json.dumps(config)
        (folder / "preprocessor_config.json").write_text(text)
    return folder / file


def expected(pixels, mean=CONFIG["image_mean"], std=CONFIG["image_std"], scale=1 / 255):
    """What "map" is by NumPy: `(batch, WIDTH, rows, columns)`."""
    x = (pixels.astype(np.float64) * scale - mean) / std
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2]
    return np.maximum(np.einsum("bhwcij,ocij->bohw", windows, weights().astype(np.float64)), 0)
