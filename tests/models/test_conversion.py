"""A conversion to ONNX goes through all of tf2onnx's optimizers, also where one of them fails."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf2onnx

from ssah_tf.models.conversion import to_onnx
from ssah_tf.system.onnx_session import open_session


@pytest.fixture
def see():
    """A convolution whose layout tf2onnx's optimizers change, as a function."""
    layer = keras.layers.Conv2D(4, 3)

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3), tf.float32, "images")])
    def function(images):
        return {"features": layer(tf.nn.relu(layer(images)[..., :3]))}

    return function


def kinds(model):
    return sorted(node.op_type for node in model.graph.node)


def assert_same(model, see):
    images = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    (found,) = open_session(model.SerializeToString()).run(["features"], {"images": images})
    np.testing.assert_allclose(found, see(tf.constant(images))["features"], atol=1e-5)


def test_the_graph_is_that_of_tf2onnx(see):
    model = to_onnx(see, 18)
    theirs, _ = tf2onnx.convert.from_function(see, see.input_signature, opset=18)
    assert kinds(model) == kinds(theirs)
    weights = [sorted(len(t.raw_data) for t in m.graph.initializer) for m in (model, theirs)]
    assert weights[0] == weights[1]
    assert_same(model, see)


def test_where_an_optimizer_fails_the_others_go_on(see, monkeypatch, caplog):
    ours = kinds(to_onnx(see, 18))

    def fail(self, graph):
        raise ZeroDivisionError("no such graph was ever seen")

    failing = tf2onnx.optimizer._optimizers["einsum_optimizer"]
    monkeypatch.setattr(failing, "_optimize", fail)
    model = to_onnx(see, 18)
    assert kinds(model) == ours
    assert_same(model, see)
