import numpy as np
import tensorflow as tf

from ssah_tf.data.augment import moved, weak_moves


def images_of(count=64, side=10):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def augmented(images, seed=(1, 2), *, flip=False, shift=0.0):
    moves = weak_moves(tf.constant(seed), len(images), side=images.shape[1], flip=flip, shift=shift)
    moves = (move.numpy() for move in moves)
    return np.stack([moved(*image) for image in zip(images, *moves, strict=True)])


def test_nothing_asked_nothing_done():
    images = images_of()
    np.testing.assert_array_equal(augmented(images), images)
    # A shift below half a pixel is none.
    np.testing.assert_array_equal(augmented(images, shift=0.04), images)


def test_flip():
    """Each image as it was or mirrored left to right; about half of 400: 200 +- 5 sigma of 10."""
    images = images_of(400)
    out = augmented(images, flip=True)
    same = (out == images).all(axis=(1, 2, 3))
    mirrored = (out == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert np.all(same ^ mirrored)
    assert 150 <= mirrored.sum() <= 250


def shifts_of(before, after, reach):
    """The (down, right) shifts that lead from `before` to `after`, by NumPy's reflection."""
    side = before.shape[0]
    padded = np.pad(before, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    return [
        (dy - reach, dx - reach)
        for dy in range(2 * reach + 1)
        for dx in range(2 * reach + 1)
        if np.array_equal(padded[dy : dy + side, dx : dx + side], after)
    ]


def test_shift():
    """Side 10, share 0.2: two pixels at most, all 25 shifts occur among 300 images."""
    images = images_of(300)
    out = augmented(images, shift=0.2)
    assert out.dtype == np.uint8
    assert out.shape == images.shape
    found = [shifts_of(a, b, 2) for a, b in zip(images, out, strict=True)]
    assert all(len(shifts) == 1 for shifts in found)
    assert {shifts[0] for shifts in found} == {(y, x) for y in range(-2, 3) for x in range(-2, 3)}


def test_largest_shift():
    images = images_of(50)
    out = augmented(images, shift=0.5)
    assert all(shifts_of(a, b, 5) for a, b in zip(images, out, strict=True))


def test_flip_and_shift_together():
    images = images_of(40)
    out = augmented(images, flip=True, shift=0.1)
    for before, after in zip(images, out, strict=True):
        assert shifts_of(before, after, 1) or shifts_of(before[:, ::-1], after, 1)


def test_flip_and_shift_are_independent():
    """Mirrored images move both ways, and so do the others."""
    images = images_of(300)
    out = augmented(images, flip=True, shift=0.1)
    seen = set()
    for before, after in zip(images, out, strict=True):
        for mirrored in (False, True):
            shifts = shifts_of(before[:, ::-1] if mirrored else before, after, 1)
            seen |= {(mirrored, *shift) for shift in shifts}
    assert len(seen) == 2 * 9


def test_seed():
    images = images_of()
    one = augmented(images, (1, 2), flip=True, shift=0.2)
    np.testing.assert_array_equal(augmented(images, (1, 2), flip=True, shift=0.2), one)
    for other in ((1, 3), (2, 2)):
        assert (augmented(images, other, flip=True, shift=0.2) != one).any()


def test_in_a_graph():
    draw = tf.function(lambda seed: weak_moves(seed, 64, side=10, flip=True, shift=0.2))
    eager = weak_moves(tf.constant((1, 2)), 64, side=10, flip=True, shift=0.2)
    for one, other in zip(draw(tf.constant((1, 2))), eager, strict=True):
        np.testing.assert_array_equal(one, other)
