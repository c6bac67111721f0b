"""What other runtimes stumble over, taken out of an ONNX model; its numbers stay as they are.

- A batch normalisation behind a depthwise convolution is left by tf2onnx as a product and a sum.
  Both go into the convolution, in the arithmetic in which ONNX Runtime does it when it loads.
- `noop_with_empty_axes` says nothing where axes are given, but needs opset 18 and hinders
  converters to older ones.
- `auto_pad`, with which OpenCV 5 adds the odd pixel on the other side, is written out in `pads`;
  not where a side is free, or with dilations, with which ONNX Runtime pads otherwise than others.
- Sets of operators that no node is of, and shapes inside the graph that speak of a free batch.
"""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import numpy_helper

#: What a convolution adds to the name of the tensor that it makes, for its own.
PARTS = ("kernel", "bias")
#: Operators that have pads around what they look at.
PADDED = ("Conv", "MaxPool", "AveragePool", "LpPool")


def make_portable(model: onnx.ModelProto) -> None:
    """Change a model in place. See above.

    Args:
        model: A whole model, its weights inside.
    """
    fold_into_convolutions(model.graph)
    write_pads(model)
    nodes = list(nodes_of(model.graph))
    for node in nodes:
        if len(node.input) > 1 and node.input[1]:
            kept = [part for part in node.attribute if part.name != "noop_with_empty_axes"]
            replace(node.attribute, kept)
    domains = {node.domain for node in nodes}
    replace(model.opset_import, [entry for entry in model.opset_import if entry.domain in domains])
    model.graph.ClearField("value_info")


def nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes, those of branches and loops, too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from nodes_of(inner)


def replace(field, values: list) -> None:
    """Put other messages into a repeated field."""
    del field[:]
    field.extend(values)


def write_pads(model: onnx.ModelProto) -> None:
    """Write the pads of convolutions and poolings out, where `auto_pad` says that sides stay."""
    automatic = [node for node in model.graph.node if node.op_type in PADDED and same_pad(node)]
    if not automatic:
        return
    found = onnx.shape_inference.infer_shapes(model).graph
    values = (*found.value_info, *found.input)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in values}
    kernels = {tensor.name: tensor.dims[2:] for tensor in model.graph.initializer}
    for node in automatic:
        of = {part.name: onnx.helper.get_attribute_value(part) for part in node.attribute}
        sides = [dim.dim_value for dim in shapes.get(node.input[0], ())][2:]
        kernel = of.get("kernel_shape") or (kernels.get(node.input[1]) if node.input[1:] else None)
        if not sides or 0 in sides or not kernel or set(of.get("dilations", [1])) != {1}:
            continue
        pads = []
        for side, reach, step in zip(
            sides, kernel, of.get("strides", [1] * len(sides)), strict=True
        ):
            more = max(0, (-(-side // step) - 1) * step + reach - side)
            pads.append(
                sorted((more // 2, more - more // 2), reverse=of["auto_pad"] == b"SAME_LOWER")
            )
        replace(node.attribute, [part for part in node.attribute if part.name != "auto_pad"])
        ends = [pad[end] for end in (0, 1) for pad in pads]
        node.attribute.append(onnx.helper.make_attribute("pads", ends))


def same_pad(node: onnx.NodeProto) -> bool:
    """Whether a node pads so that sides stay."""
    return any(part.name == "auto_pad" and part.s.startswith(b"SAME_") for part in node.attribute)


def fold_into_convolutions(graph: onnx.GraphProto) -> None:
    """Put products and sums with one number a channel into the convolution before them."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    uses = Counter(name for node in nodes_of(graph) for name in node.input)
    uses.update(value.name for value in graph.output)
    maker = {name: node for node in graph.node for name in node.output}
    kept = []
    for node in graph.node:
        convolution, numbers = convolution_before(node, maker, weights, uses)
        if convolution is None or numbers is None:
            kept.append(node)
            continue
        fold(convolution, node, numbers, weights)
        maker[node.output[0]] = convolution
    replace(graph.node, kept)
    used = {name for node in nodes_of(graph) for name in node.input}
    used |= {value.name for value in graph.output}
    replace(graph.initializer, [tensor for name, tensor in weights.items() if name in used])


def convolution_before(
    node: onnx.NodeProto,
    maker: dict[str, onnx.NodeProto],
    weights: dict[str, onnx.TensorProto],
    uses: Counter[str],
) -> tuple[onnx.NodeProto | None, np.ndarray | None]:
    """The convolution that a product or sum belongs to, and its numbers, one a channel; or none."""
    if node.op_type not in ("Mul", "Add"):
        return None, None
    result, constant = node.input
    convolution = maker.get(result)
    if constant not in weights or convolution is None or convolution.op_type != "Conv":
        return None, None
    if uses[result] != 1 or any(name not in weights for name in convolution.input[1:]):
        return None, None
    numbers, kernel = numpy_helper.to_array(weights[constant]), weights[convolution.input[1]]
    shape = (kernel.dims[0], *[1] * (len(kernel.dims) - 2))
    if numbers.dtype != np.float32 or numbers.shape not in (shape, (1, *shape)):
        return None, None
    return convolution, numbers.reshape(-1)


def fold(
    convolution: onnx.NodeProto,
    node: onnx.NodeProto,
    numbers: np.ndarray,
    weights: dict[str, onnx.TensorProto],
) -> None:
    """Let a convolution do what the node behind it does; its output is that of the node."""
    kernel, *bias = (numpy_helper.to_array(weights[name]) for name in convolution.input[1:])
    if node.op_type == "Mul":
        kernel = kernel * numbers.reshape(-1, *[1] * (kernel.ndim - 1))
        bias = [part * numbers for part in bias]
    else:
        bias = [bias[0] + numbers if bias else numbers]
    (target,) = node.output
    names = [f"{target}/{part}" for part in PARTS[: 1 + len(bias)]]
    for name, value in zip(names, (kernel, *bias), strict=True):
        weights[name] = numpy_helper.from_array(value, name)
    replace(convolution.input, [convolution.input[0], *names])
    convolution.output[0] = target
