"""Any image network in ONNX in one normal form: `images` of uint8 in, `features` of float32 out.

What is written here is valid from opset 9 on, so that a network keeps the opset it came in.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from ssah_tf.models.backbones.preprocessing import Preprocessing

#: Names of the input and of the output of the normal form.
IMAGES, FEATURES = "images", "features"
#: Prefix of all names of the network itself, so that none of ours is taken.
PREFIX = "network/"
#: Operators whose outputs are probabilities or places, not features.
NO_FEATURES = ("Softmax", "LogSoftmax", "Sigmoid", "ArgMax", "TopK", "NonMaxSuppression")


def inputs_of(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """What a model must be given; older files list their weights as inputs, too."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def shape_of(value: onnx.ValueInfoProto) -> list[int | None] | None:
    """Shape of a value, `None` for a side that is free; `None` if not even the rank is known."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]


def image_input(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """The input of a network that takes images.

    Raises:
        ValueError: There is none, or more than one.
    """
    inputs = inputs_of(model)
    ranked = [value for value in inputs if len(shape_of(value) or ()) == 4]
    chosen = ranked or (inputs if len(inputs) == 1 else [])
    if len(chosen) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ValueError(f"one input must take images, of rank 4. Its inputs: {names}")
    return chosen[0]


def layout_of(value: onnx.ValueInfoProto, layout: str) -> str:
    """Whether an input has channels first or last.

    Args:
        value: The input.
        layout: "nchw", "nhwc", or "auto" to look at its shape.

    Raises:
        ValueError: Its shape does not say.
    """
    if layout != "auto":
        return layout
    dims = value.type.tensor_type.shape.dim
    colours = [dim.dim_value == 3 or "channel" in dim.dim_param.lower() for dim in dims]
    if len(colours) == 4 and colours[1] != colours[3]:
        return "nchw" if colours[1] else "nhwc"
    raise ValueError(
        f"the shape of its input {value.name} does not say where the channels are: set "
        "model.options.layout to nchw or nhwc"
    )


def fixed_side(value: onnx.ValueInfoProto, layout: str) -> int | None:
    """Side in pixels of the only images that an input takes, `None` if it takes any.

    Raises:
        ValueError: It takes images that are no squares.
    """
    shape = shape_of(value) or [None] * 4
    height, width = shape[2:] if layout == "nchw" else shape[1:3]
    if height and width and height != width:
        raise ValueError(f"it takes images of {height} x {width} px, ours are squares")
    return height or width


def outputs_from(model: onnx.ModelProto, source: str, named: str) -> list[str]:
    """Outputs that can be computed from the images alone.

    Args:
        model: The network.
        source: Name of its input.
        named: The one to take, any value of the graph; empty for all outputs.

    Raises:
        ValueError: There is no such value, or each needs more than the images.
    """
    outputs = [value.name for value in model.graph.output]
    made = {name for node in model.graph.node for name in node.output}
    if named and named not in made:
        raise ValueError(f"it has no value {named!r}; its outputs: {', '.join(outputs)}")
    candidates = [named] if named else outputs
    inputs = {value.name for value in inputs_of(model)}
    good = [name for name in candidates if needed(model, [name])[1] & inputs == {source}]
    if not good:
        others = ", ".join(sorted(inputs - {source})) or "nothing"
        raise ValueError(
            f"no output depends on the images alone; it also wants {others}: name another with "
            f"model.options.output; its outputs: {', '.join(outputs)}"
        )
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    features = [name for name in good if makers.get(name) not in NO_FEATURES]
    if not features:
        raise ValueError(
            f"{good[0]} is the output of {makers[good[0]]}, no features: name a value before it "
            "with model.options.output"
        )
    return features


def needed(model: onnx.ModelProto, wanted: Iterable[str]) -> tuple[list[onnx.NodeProto], set[str]]:
    """The nodes that some values are computed by, in order, and all names that those read."""
    makers = {name: node for node in model.graph.node for name in node.output if name}
    chosen, names, pending = set(), set(), list(wanted)
    while pending:
        name = pending.pop()
        if name in names:
            continue
        names.add(name)
        if name in makers and id(makers[name]) not in chosen:
            chosen.add(id(makers[name]))
            pending += reads(makers[name])
    return [node for node in model.graph.node if id(node) in chosen], names


def reads(node: onnx.NodeProto) -> list[str]:
    """Names that a node reads, those that its inner graphs take from outside among them."""
    found = list(node.input)
    for attribute in node.attribute:
        for graph in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
            for inner in graph.node:
                found += reads(inner)
            found += [value.name for value in graph.output]
    return [name for name in found if name]


def normal_form(
    model: onnx.ModelProto,
    source: str,
    outputs: Sequence[str],
    layout: str,
    preprocessing: Preprocessing,
) -> onnx.ModelProto:
    """The part of a network that some of its values need, behind the preprocessing.

    Args:
        model: The network.
        source: Name of its input.
        outputs: Names of values.
        layout: "nchw" or "nhwc".
        preprocessing: From pixels to what the network takes.

    Returns:
        A model of uint8 `images` `(batch, height, width, 3)`; its outputs have the names of the
        network with `PREFIX`.

    Raises:
        ValueError: The network does not take numbers.
    """
    nodes, names = needed(model, outputs)
    (entry,) = [value for value in model.graph.input if value.name == source]
    kind = entry.type.tensor_type.elem_type
    part = onnx.ModelProto()
    part.CopyFrom(model)
    graph = part.graph
    for field in ("node", "initializer", "sparse_initializer", "input", "output", "value_info"):
        graph.ClearField(field)
    graph.node.extend(nodes)
    graph.initializer.extend(t for t in model.graph.initializer if t.name in names)
    graph.sparse_initializer.extend(
        t for t in model.graph.sparse_initializer if t.values.name in names
    )
    graph.input.append(entry)
    graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
    part = compose.add_prefix(part, PREFIX)
    graph = part.graph
    del part.metadata_props[:]
    before = preprocessing_nodes(graph, PREFIX + source, kind, layout, preprocessing)
    network = list(graph.node)
    graph.ClearField("node")
    graph.node.extend([*before, *network])
    graph.ClearField("input")
    graph.input.append(
        helper.make_tensor_value_info(IMAGES, TensorProto.UINT8, ["batch", "height", "width", 3])
    )
    return part


def preprocessing_nodes(
    graph: onnx.GraphProto, target: str, kind: int, layout: str, how: Preprocessing
) -> list[onnx.NodeProto]:
    """Nodes from `images` to the input of a network; their constants go into the graph.

    Raises:
        ValueError: The network takes integers, and the preprocessing makes fractions.
    """
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
    mean, std = (
        np.array(values, np.float32) / np.float32(how.rescale_factor)
        for values in (how.image_mean, how.image_std)
    )
    nodes: list[onnx.NodeProto] = []
    last = IMAGES

    def then(operator: str, *constants: str, **attributes: Any) -> None:
        nonlocal last
        made = f"pixels/{len(nodes)}"
        nodes.append(helper.make_node(operator, [last, *constants], [made], made, **attributes))
        last = made

    if how.channel_order == "bgr":
        add_constant(graph, "pixels/order", np.array([2, 1, 0], np.int64))
        then("Gather", "pixels/order", axis=3)
    if kind in floats:
        add_constant(graph, "pixels/mean", mean)
        add_constant(graph, "pixels/std", std)
        then("Cast", to=TensorProto.FLOAT)
        then("Sub", "pixels/mean")
        then("Div", "pixels/std")
    elif kind != TensorProto.UINT8 or (mean != 0).any() or (std != 1).any():
        raise ValueError(
            f"it takes {TensorProto.DataType.Name(kind).lower()}; of integers only uint8 is taken, "
            "and as it is: set model.options.rescale_factor=1, image_mean=0, image_std=1"
        )
    if layout == "nchw":
        then("Transpose", perm=[0, 3, 1, 2])
    if kind not in (TensorProto.FLOAT, TensorProto.UINT8):
        then("Cast", to=kind)
    then("Identity")
    nodes[-1].output[0] = target
    return nodes


def with_features(model: onnx.ModelProto, name: str, rank: int, pool: str, layout: str) -> None:
    """Make one output of a normal form its feature vector, in place.

    Args:
        model: The normal form, with this output alone.
        name: The output.
        rank: Its rank: 2, a vector already; 3, tokens; 4, a map.
        pool: Of tokens: "class" for the first one, "mean" for the mean of all.
        layout: Of a map: "nchw" or "nhwc".
    """
    graph, last = model.graph, name
    steps: list[tuple[str, list[str], dict[str, Any]]] = []
    if rank == 3 and pool == "class":
        add_constant(graph, "pool/first", np.array(0, np.int64))
        steps.append(("Gather", ["pool/first"], {"axis": 1}))
    elif rank == 3:
        steps.append(("Transpose", [], {"perm": [0, 2, 1]}))
    elif rank == 4 and layout == "nhwc":
        steps.append(("Transpose", [], {"perm": [0, 3, 1, 2]}))
    if rank == 4 or (rank == 3 and pool == "mean"):
        steps += [("GlobalAveragePool", [], {}), ("Flatten", [], {"axis": 1})]
    steps.append(("Cast", [], {"to": TensorProto.FLOAT}))
    for number, (operator, constants, attributes) in enumerate(steps):
        made = FEATURES if number == len(steps) - 1 else f"pool/{number}"
        graph.node.append(
            helper.make_node(operator, [last, *constants], [made], f"pool/{number}", **attributes)
        )
        last = made
    graph.ClearField("output")
    graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["batch", None]))


def add_constant(graph: onnx.GraphProto, name: str, value: np.ndarray) -> None:
    """Add a constant to a graph."""
    graph.initializer.append(numpy_helper.from_array(value, name))
