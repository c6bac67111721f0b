"""Multipliers of the learning rate."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssah_tf.training.optimizers import LAYERWISE


@pytest.mark.parametrize("name", LAYERWISE)
def test_a_multiplier_is_a_smaller_rate(name):
    """Each variable moves as it would alone under an optimizer of that rate."""
    plain = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}
    plain["adamw"] = keras.optimizers.AdamW
    common = {"momentum": 0.9} if name == "sgd" else {}
    if name == "adamw":
        common["weight_decay"] = 0.0
    multipliers = (0.1, 1.0, 0.5)
    gradients = [np.array([1.0, -2.0], np.float32) * (k + 1) for k in range(3)]
    values = [keras.Variable(np.zeros(2, np.float32)) for _ in multipliers]
    optimizer = LAYERWISE[name](lr_multipliers=multipliers, learning_rate=0.01, **common)
    optimizer.build(values)
    for _ in range(3):
        optimizer.apply_gradients(
            [(tf.constant(g), v) for g, v in zip(gradients, values, strict=True)]
        )
    for multiplier, gradient, value in zip(multipliers, gradients, values, strict=True):
        alone = keras.Variable(np.zeros(2, np.float32))
        other = plain[name](learning_rate=0.01 * multiplier, **common)
        for _ in range(3):
            other.apply_gradients([(tf.constant(gradient), alone)])
        np.testing.assert_allclose(value.numpy(), alone.numpy(), rtol=1e-5)


def test_saved_and_read_back():
    optimizer = LAYERWISE["sgd"](lr_multipliers=(0.1, 1.0), learning_rate=0.01)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert again.lr_multipliers == [0.1, 1.0]


def test_one_multiplier_a_variable():
    optimizer = LAYERWISE["adam"](lr_multipliers=(0.1,))
    with pytest.raises(ValueError, match=r"expected one a variable, 2\. Received: 1"):
        optimizer.build([keras.Variable(0.0), keras.Variable(0.0)])
