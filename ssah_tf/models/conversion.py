"""From a TensorFlow function to an ONNX model: tf2onnx, and what it lacks for some networks.

- Exact GELU is made of `Erfc`, which tf2onnx does not know: here it is 1 - `Erf`.
- A tensor that a layer has made when it was built, such as the positions of its tokens, is no
  variable. tf2onnx takes it for an input of the model: here it is a constant like a weight.
- A convolution in groups runs on a CPU as a function of its own that XLA compiles. tf2onnx leaves
  the call as it is: here it becomes part of the graph.
- Its optimizer stumbles over a number added to what a convolution gives, and leaves the layout of
  the whole graph as it was: here such a number is a vector of one element.
- Whole numbers that are divided with `//`, and what `%` leaves of them, it takes for those of C:
  other numbers where one is negative. Here they are those of Python.
"""

import copy
import gc

import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

#: Attributes of a function that XLA has to compile, and of its calls; without them it is inlined.
COMPILED = ("_XlaMustCompile", "_noinline")


def to_onnx(function: tf.types.experimental.PolymorphicFunction, opset: int) -> onnx.ModelProto:
    """Convert a function whose outputs are a dictionary of tensors.

    Args:
        function: With an input signature of tensors that have names. Variables become constants.
        opset: Version of ONNX's operations.

    Returns:
        A model with the names of the function's inputs and outputs. It is not checked: what tf2onnx
        does not know is still in it.
    """
    concrete = function.get_concrete_function()
    # Captured tensors come after the arguments.
    count = len(concrete.inputs) - len(concrete.captured_inputs)
    names = {x.name: x.name.removesuffix(":0") for x in concrete.inputs[:count]}
    outputs = {tensor.name: name for name, tensor in concrete.structured_outputs.items()}
    with tf.device("/cpu:0"):
        graph_def = frozen(concrete)
        gc.collect()  # graphs are cycles, and each holds all weights
        graph_def = simplified(graph_def, list(names), list(outputs))
        gc.collect()
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(graph_def, name="")
            del graph_def
            converted = tf2onnx.tfonnx.process_tf_graph(
                graph,
                continue_on_error=True,
                opset=opset,
                custom_op_handlers={"Erfc": (erfc, [])},
                custom_rewriter=[scalars_to_vectors, floor_integers],
                input_names=list(names),
                output_names=list(outputs),
                tensors_to_rename=names | outputs,
            )
        del graph
        gc.collect()
        model = optimized(converted).make_model("ssah")
        del converted
        gc.collect()
        return model


def frozen(concrete: tf.types.experimental.ConcreteFunction) -> tf.compat.v1.GraphDef:
    """The graph of a function, its variables as constants and its calls inlined."""
    graph = convert_variables_to_constants_v2(
        concrete, lower_control_flow=False, aggressive_inlining=True
    ).graph
    return without_compilation(graph.as_graph_def(True))


def simplified(
    graph_def: tf.compat.v1.GraphDef, inputs: list[str], outputs: list[str]
) -> tf.compat.v1.GraphDef:
    """The graph as TensorFlow's own optimizer leaves it."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        return tf2onnx.tf_loader.tf_optimize(inputs, outputs, graph.as_graph_def(add_shapes=True))


def optimized(graph: tf2onnx.graph.Graph) -> tf2onnx.graph.Graph:
    """The graph after tf2onnx's optimizers.

    To go on after one that fails, tf2onnx copies the graph with all its weights before each, some
    fifty times. So they are tried on one copy first. After each they write all weights into the
    messages that a model is made of, which keep the former ones, too: only the last time counts.
    """
    graph.update_proto = lambda *_: None
    try:
        done = tf2onnx.optimizer.optimize_graph(copy.deepcopy(graph), catch_errors=False)
    except Exception:  # each optimizer fails in its own way
        done = tf2onnx.optimizer.optimize_graph(graph)
    del done.update_proto
    return done


def without_compilation(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """The graph without the wish that parts of it be compiled; changed in place."""
    functions = graph.library.function
    for part in (*graph.node, *functions, *(node for f in functions for node in f.node_def)):
        for name in COMPILED:
            part.attr.pop(name, None)
    return graph


def erfc(ctx: tf2onnx.graph.Graph, node: tf2onnx.graph.Node, name: str, args: list) -> None:
    """Replace a node `Erfc` of tf2onnx's graph by 1 - `Erf`."""
    source, target = node.input[0], node.output[0]
    dtype, shape = ctx.get_dtype(target), ctx.get_shape(target)
    ctx.remove_node(name)
    erf = ctx.make_node("Erf", [source], dtypes=[dtype], shapes=[shape])
    kind = tf2onnx.utils.map_onnx_to_numpy_type(dtype)
    one = ctx.make_const(tf2onnx.utils.make_name(name), np.array([1], kind))
    ctx.make_node(
        "Sub",
        [one.output[0], erf.output[0]],
        outputs=[target],
        name=name,
        dtypes=[dtype],
        shapes=[shape],
    )


def scalars_to_vectors(graph: tf2onnx.graph.Graph, nodes: list) -> list:
    """Turn each number that is added to a tensor into a vector of one element."""
    for node in nodes:
        if node.type != "AddV2" or not graph.get_shape(node.output[0]):
            continue
        for place, value in enumerate(node.inputs):
            if value.is_const() and graph.get_shape(node.input[place]) == []:
                number = value.get_tensor_value(as_list=False)
                vector = graph.make_const(tf2onnx.utils.make_name(value.name), number.reshape(1))
                graph.replace_input(node, node.input[place], vector.output[0], place)
    return nodes


def floor_integers(graph: tf2onnx.graph.Graph, nodes: list) -> list:
    """Let `//` of whole numbers be (x - x mod y) / y, where ONNX's `Mod` has the sign of y."""
    for node in list(nodes):  # which changes with the graph
        if node.type not in ("FloorDiv", "FloorMod"):
            continue
        (x, y), (target,) = node.input, node.output
        about = {"dtypes": node.output_dtypes, "shapes": node.output_shapes}
        if not np.issubdtype(tf2onnx.utils.map_onnx_to_numpy_type(about["dtypes"][0]), np.integer):
            continue
        graph.remove_node(node.name)
        if node.type == "FloorMod":
            graph.make_node("Mod", [x, y], outputs=[target], name=node.name, **about)
            continue
        rest = graph.make_node("Mod", [x, y], **about)
        whole = graph.make_node("Sub", [x, rest.output[0]], **about)
        graph.make_node("Div", [whole.output[0], y], outputs=[target], name=node.name, **about)
    return graph.get_nodes()
