"""The fused form is Keras's own: outputs, gradients, moving averages."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssah_tf.models.batch_norm import BatchNorm


def step(layer, x):
    """Output and gradients of a loss of a training call, and the moving averages after it."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
        loss = tf.reduce_sum(tf.sin(tf.cast(y, tf.float32)))
    gradients = tape.gradient(loss, [x, *layer.trainable_variables])
    return [y, *gradients, *layer.non_trainable_variables]


def pair(shape, **kwargs):
    """Keras's layer and ours with equal weights."""
    layers = [keras.layers.BatchNormalization(momentum=0.9, **kwargs), BatchNorm(**kwargs)]
    rng = np.random.default_rng(0)
    weights = [rng.uniform(0.5, 2, shape[-1]).astype(np.float32) for _ in range(4)]
    for layer in layers:
        layer.build(shape)
        layer.set_weights(weights)
    return layers


@pytest.mark.parametrize("shape", [(8, 5, 6, 7), (2, 1, 1, 3), (1, 3, 3, 2), (9, 4)])
@pytest.mark.parametrize("options", [{}, {"epsilon": 0.1, "dtype": "float32"}])
def test_a_training_step_is_that_of_keras(shape, options):
    x = tf.random.stateless_normal(shape, (1, 2), mean=3, stddev=5)
    theirs, ours = pair(shape, **options)
    for one, other in zip(step(theirs, x), step(ours, x), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-4)


def test_one_pixel_has_no_variance():
    theirs, ours = pair((1, 1, 1, 4))
    x = tf.ones((1, 1, 1, 4))
    for one, other in zip(step(theirs, x), step(ours, x), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_bfloat16_is_normalised_in_float32():
    x = tf.cast(tf.random.stateless_normal((8, 4, 4, 3), (1, 2), mean=100), tf.bfloat16)
    theirs, ours = pair((8, 4, 4, 3), dtype="mixed_bfloat16")
    found = [layer(x, training=True) for layer in (theirs, ours)]
    assert found[1].dtype == tf.bfloat16
    np.testing.assert_allclose(*[tf.cast(y, tf.float32) for y in found], rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("trainable", [True, False])
def test_an_encoder_and_a_frozen_layer_use_the_moving_averages(trainable):
    theirs, ours = pair((4, 3, 3, 2))
    x = tf.random.stateless_normal((4, 3, 3, 2), (1, 2))
    for layer in (theirs, ours):
        layer.trainable = trainable
    for training in (False,) if trainable else (False, True):
        one, other = [layer(x, training=training) for layer in (theirs, ours)]
        np.testing.assert_array_equal(one, other)
    for one, other in zip(theirs.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_float64_is_exact():
    x = tf.cast(tf.random.stateless_normal((8, 4, 4, 3), (1, 2), mean=3), tf.float64)
    theirs, ours = pair((8, 4, 4, 3), dtype="float64")
    for one, other in zip(step(theirs, x), step(ours, x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
