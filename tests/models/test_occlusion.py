from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from ssah_tf.models.occlusion import cells_to_pixels, choose_cells, occlude, occlusion_grids

REFERENCE = Path(__file__).parents[1] / "reference"


def test_agrees_with_tensorflow_addons():
    with np.load(REFERENCE / "tfa_cutout.npz") as fixture:
        images, (height, width) = fixture["images"], fixture["mask_size"]
        mask = np.zeros((*images.shape[:3], 1), np.float32)
        for one, (row, column) in zip(mask, fixture["offset"], strict=True):
            top, left = max(row - height // 2, 0), max(column - width // 2, 0)
            one[top : row + height // 2, left : column + width // 2] = 1
        fill = np.full(3, fixture["constant_value"], np.float32)
        np.testing.assert_array_equal(occlude(images, mask, fill), fixture["occluded"])


@pytest.mark.parametrize(
    ("size", "grids"),
    [
        (28, ((2, 14), (4, 7), (8, 4))),
        (32, ((2, 16), (4, 8), (8, 4))),
        (64, ((2, 32), (4, 16), (8, 8))),
        (65, ((4, 17), (8, 9), (16, 5))),
        (224, ((8, 28), (16, 14), (32, 7))),
        (512, ((16, 32), (32, 16), (64, 8))),
    ],
)
def test_grids(size, grids):
    assert occlusion_grids(size) == grids


def test_every_size_has_at_most_32_cells_that_cover_the_image():
    for size in range(28, 513):
        for cell, n in occlusion_grids(size):
            assert n <= 32
            assert (n - 1) * cell < size <= n * cell


def test_chooses_the_highest_and_exactly_so_many():
    scores = tf.constant([[0.1, 3.0, -1.0, 2.0], [5.0, 5.0, 5.0, 5.0]])  # a row of ties
    marks = choose_cells(scores, 2).numpy()
    np.testing.assert_array_equal(marks[0], [0, 1, 0, 1])
    assert marks[1].sum() == 2


def test_straight_through_gradient_is_that_of_the_sigmoid():
    """Threshold (2 + 1) / 2 = 1.5; at distance 0.5 the sigmoid has slope s (1 - s), s = 0.6225."""
    scores = tf.Variable([[2.0, 1.0, 0.0]])
    with tf.GradientTape() as tape:
        chosen = choose_cells(scores, 1)[0, 0]
    s = 1 / (1 + np.exp(-0.5))
    np.testing.assert_allclose(tape.gradient(chosen, scores), [[s * (1 - s), 0, 0]], rtol=1e-5)


def test_mask_gradient_against_differences_in_float64(rng):
    """The backward pass is that of the relaxed marks with the threshold held fixed."""
    scores = rng.normal(size=(2, 9))
    weights = rng.normal(size=(2, 9))
    count = 3
    ordered = -np.sort(-scores, axis=1)
    threshold = (ordered[:, count - 1 : count] + ordered[:, count : count + 1]) / 2

    def relaxed(values):
        return np.sum(weights / (1 + np.exp(threshold - values)))

    x = tf.constant(scores)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = tf.reduce_sum(choose_cells(x, count) * weights)
    gradient = tape.gradient(y, x).numpy()
    for index in np.ndindex(scores.shape):
        move = np.zeros_like(scores)
        move[index] = 1e-6
        numeric = (relaxed(scores + move) - relaxed(scores - move)) / 2e-6
        np.testing.assert_allclose(gradient[index], numeric, rtol=1e-6, atol=1e-9)


def test_cells_spread_over_their_pixels():
    pixels = cells_to_pixels(tf.constant([[[1.0, 0.0], [0.0, 1.0]]]), cell=3, size=5)
    expected = [[1, 1, 1, 0, 0]] * 3 + [[0, 0, 0, 1, 1]] * 2  # the last cells reach over the border
    np.testing.assert_array_equal(pixels[0, :, :, 0], expected)
