"""What other runtimes stumble over is taken out of an ONNX file, and no number changes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ssah_tf.export.portable import make_portable
from ssah_tf.system.onnx_session import open_session

SHAPE = (2, 3, 8, 8)


def model_of(nodes, outputs=("y",), **weights):
    """A model with opset 18 and a set of operators that no node is of."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *SHAPE[1:]])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
        value_info=[helper.make_tensor_value_info("c", TensorProto.FLOAT, ["batch", 3, 8, 8])],
    )
    sets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 2)]
    return helper.make_model(graph, opset_imports=sets, ir_version=9)


def run(model, x):
    onnx.checker.check_model(model, full_check=True)
    return open_session(model.SerializeToString()).run(None, {"x": x})


def numbers(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


CONV = helper.make_node("Conv", ["x", "k"], ["c"], pads=[1, 1, 1, 1], group=3)


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 3, 1, 1)])
def test_a_normalisation_goes_into_its_convolution(rng, shape):
    nodes = [
        CONV,
        helper.make_node("Mul", ["c", "m"], ["d"]),
        helper.make_node("Add", ["d", "a"], ["y"]),
    ]
    weights = {"k": numbers(rng, 3, 1, 3, 3), "m": numbers(rng, *shape), "a": numbers(rng, *shape)}
    model, x = model_of(nodes, **weights), numbers(rng, *SHAPE)
    (before,) = run(model, x)
    make_portable(model)
    assert [node.op_type for node in model.graph.node] == ["Conv"]
    assert {tensor.name for tensor in model.graph.initializer} == {"y/kernel", "y/bias"}
    np.testing.assert_array_equal(run(model, x)[0], before)


def test_what_others_use_too_stays(rng):
    """A result that is wanted by itself, and a kernel that two convolutions share."""
    nodes = [
        CONV,
        helper.make_node("Mul", ["c", "m"], ["y"]),
        helper.make_node("Conv", ["x", "k"], ["e"], pads=[1, 1, 1, 1], group=3),
        helper.make_node("Mul", ["e", "m"], ["z"]),
    ]
    weights = {"k": numbers(rng, 3, 1, 3, 3), "m": numbers(rng, 3, 1, 1)}
    model = model_of(nodes, ("y", "c", "z"), **weights)
    x = numbers(rng, *SHAPE)
    before = run(model, x)
    make_portable(model)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Mul", "Conv"]
    for found, expected in zip(run(model, x), before, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("shape", [(8,), (8, 8), (3, 8, 8), (1, 1, 1), (2, 3, 1, 1)])
def test_numbers_that_are_not_one_a_channel_stay(rng, shape):
    nodes = [CONV, helper.make_node("Add", ["c", "a"], ["y"])]
    model = model_of(nodes, k=numbers(rng, 3, 1, 3, 3), a=numbers(rng, *shape))
    x = numbers(rng, *SHAPE)
    (before,) = run(model, x)
    make_portable(model)
    assert len(model.graph.node) == 2
    np.testing.assert_array_equal(run(model, x)[0], before)


def test_a_constant_that_comes_first_stays(rng):
    """ONNX Runtime leaves such a product, too: taken into the kernel, digits would change."""
    nodes = [CONV, helper.make_node("Mul", ["m", "c"], ["y"])]
    model = model_of(nodes, k=numbers(rng, 3, 1, 3, 3), m=numbers(rng, 3, 1, 1))
    x = numbers(rng, *SHAPE)
    (before,) = run(model, x)
    make_portable(model)
    assert len(model.graph.node) == 2
    np.testing.assert_array_equal(run(model, x)[0], before)


def test_the_rest(rng):
    """No set of operators without a node, no inner shape; the attribute goes where axes are."""
    nodes = [
        helper.make_node("ReduceSum", ["x", "axes"], ["s"], keepdims=1, noop_with_empty_axes=1),
        helper.make_node("ReduceSum", ["s"], ["y"], noop_with_empty_axes=1),
    ]
    model, x = model_of(nodes, axes=np.array([1], np.int64)), numbers(rng, *SHAPE)
    (before,) = run(model, x)
    make_portable(model)
    assert [entry.domain for entry in model.opset_import] == [""]
    assert not model.graph.value_info
    kept = [[a.name for a in node.attribute] for node in model.graph.node]
    assert kept == [["keepdims"], ["noop_with_empty_axes"]]
    np.testing.assert_array_equal(run(model, x)[0], before)


def test_branches_keep_what_they_use(rng):
    """A weight that only a branch uses stays, with the operators of the branch."""
    value = helper.make_tensor_value_info("b", TensorProto.FLOAT, [None] * 4)
    one, other = (
        helper.make_graph([helper.make_node(kind, ["c", "m"], ["b"])], kind, [], [value])
        for kind in ("Mul", "Add")
    )
    nodes = [
        CONV,
        helper.make_node("If", ["yes"], ["y"], then_branch=one, else_branch=other),
    ]
    weights = {"k": numbers(rng, 3, 1, 3, 3), "m": numbers(rng, 3, 1, 1), "yes": np.array(True)}
    model, x = model_of(nodes, **weights), numbers(rng, *SHAPE)
    (before,) = run(model, x)
    make_portable(model)
    np.testing.assert_array_equal(run(model, x)[0], before)


def padded(kind, **changes):
    """A convolution or a pooling with automatic pads."""
    inputs = ["x", "k"] if kind == "Conv" else ["x"]
    return helper.make_node(kind, inputs, ["y"], kernel_shape=[3, 2], **changes)


@pytest.mark.parametrize("pad", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("kind", ["Conv", "MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize("changes", [{}, {"strides": [2, 3]}, {"strides": [5, 1]}], ids=str)
def test_pads_are_written_out(rng, kind, pad, changes):
    model = model_of([padded(kind, auto_pad=pad, **changes)], k=numbers(rng, 2, 3, 3, 2))
    if kind != "Conv":
        del model.graph.initializer[:]
    x = numbers(rng, *SHAPE)
    (before,) = run(model, x)
    make_portable(model)
    (node,) = model.graph.node
    assert {part.name for part in node.attribute} >= {"pads"}
    assert "auto_pad" not in {part.name for part in node.attribute}
    np.testing.assert_array_equal(run(model, x)[0], before)


def test_the_odd_pixel_is_where_it_was():
    of = {}
    for pad in ("SAME_UPPER", "SAME_LOWER"):
        node = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 2], auto_pad=pad)
        model = model_of([node])
        make_portable(model)
        (of[pad],) = (part.ints for part in model.graph.node[0].attribute if part.name == "pads")
    assert of == {"SAME_UPPER": [1, 0, 1, 1], "SAME_LOWER": [1, 1, 1, 0]}


@pytest.mark.parametrize("pad", ["VALID", "NOTSET", None])
def test_pads_that_are_not_automatic_stay(rng, pad):
    node = padded("Conv", **({} if pad is None else {"auto_pad": pad}))
    model = model_of([node], k=numbers(rng, 2, 3, 3, 2))
    before = model.SerializeToString()
    make_portable(model)
    assert model.graph.node[0] == onnx.load_from_string(before).graph.node[0]


def test_pads_with_dilations_stay(rng):
    """ONNX Runtime does not count dilations here, so pads that do would change what was learnt."""
    model = model_of([padded("MaxPool", auto_pad="SAME_UPPER", dilations=[2, 1])])
    x = numbers(rng, *SHAPE)
    (before,) = run(model, x)
    make_portable(model)
    np.testing.assert_array_equal(run(model, x)[0], before)


def test_pads_of_free_sides_stay(rng):
    model = model_of([padded("Conv", auto_pad="SAME_UPPER")], k=numbers(rng, 2, 3, 3, 2))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    make_portable(model)
    assert "auto_pad" in {part.name for part in model.graph.node[0].attribute}
