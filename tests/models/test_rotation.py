from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ssah_tf.models.rotation import rotate

REFERENCE = Path(__file__).parents[1] / "reference"


def test_agrees_with_tensorflow_addons():
    with np.load(REFERENCE / "tfa_rotate.npz") as fixture:
        fill = np.full(3, fixture["fill_value"], np.float32)
        ours = rotate(fixture["images"], fixture["angles"], fill)
        np.testing.assert_allclose(ours, fixture["rotated"], atol=2e-3)  # of 255


def test_angle_zero_changes_nothing(rng):
    images = rng.uniform(0, 255, (2, 9, 7, 3)).astype(np.float32)
    np.testing.assert_array_equal(rotate(images, np.zeros(2), np.zeros(3)), images)


def test_quarter_turn_is_numpys(rng):
    images = rng.uniform(0, 255, (1, 6, 6, 3))
    turned = rotate(images, np.array([np.pi / 2]), np.zeros(3))
    np.testing.assert_allclose(turned[0], np.rot90(images[0]), atol=1e-9)


@pytest.mark.parametrize("size", [5, 8])
def test_gradient_to_angle_and_image(rng, size):
    """Central differences in float64; in float32 they would cross pixel cells and be off by 2x."""
    images = rng.uniform(0, 255, (3, size, size, 2))
    angles = np.array([0.1, -0.17, 0.6])
    weights = rng.normal(size=images.shape)  # a random linear functional of the output
    fill = np.array([50.0, 90.0])

    def value(images, angles):
        return tf.reduce_sum(rotate(images, angles, fill) * weights)

    x, a = tf.constant(images), tf.constant(angles)
    with tf.GradientTape() as tape:
        tape.watch([x, a])
        y = value(x, a)
    gradient_x, gradient_a = tape.gradient(y, [x, a])
    step = 1e-7
    for i in range(3):
        move = step * (np.arange(3) == i)
        numeric = (value(images, angles + move) - value(images, angles - move)) / (2 * step)
        np.testing.assert_allclose(gradient_a[i], numeric, rtol=1e-5)
    direction = rng.normal(size=images.shape)
    numeric = value(images + direction, angles) - value(images, angles)  # linear in the image
    np.testing.assert_allclose(tf.reduce_sum(gradient_x * direction), numeric, rtol=1e-9)
