import keras
import numpy as np
import pytest
import tensorflow as tf

from ssah_tf.models import ANet, RandomDeformation
from ssah_tf.models.occlusion import occlusion_grids
from ssah_tf.models.rotation import rotate

FILL = (10.0, 20.0, 30.0)


def images_of(size, count=3):
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def seed(number=0):
    return tf.constant([7, number])


def angles_of(deformer, count, seed):
    """Angles in degrees that a deformer chooses for images of 28 px."""
    return np.degrees(deformer.choose(tf.cast(images_of(28, count), tf.float32), seed, False)[1])


def occluded(hard):
    """Which pixels have the colour of the fill, `(batch, size, size)`."""
    return (np.asarray(hard) == np.float32(FILL)).all(axis=-1)


@pytest.mark.parametrize("size", [28, 33, 96, 224, 512])
def test_any_size(size):
    anet = ANet(size, FILL, width=4)
    hard = anet.deform(images_of(size, 2), seed())
    assert hard.shape == (2, size, size, 3)
    assert 0.1 < occluded(hard).mean() < 0.6
    marks, angles = anet.choose(tf.cast(images_of(size, 2), tf.float32), seed(), False)
    assert [cells.shape for cells in marks] == [(2, n, n) for _, n in occlusion_grids(size)]
    assert {float(mark) for cells in marks for mark in np.unique(cells)} == {0.0, 1.0}
    assert np.all(np.abs(angles) <= np.radians(10.0))


@pytest.mark.parametrize("kind", [ANet, RandomDeformation])
def test_area_budget_is_exact_at_every_scale(kind):
    """28 px, one scale of 14 x 14 cells of 2 px, area 1/3: round(196 / 3) = 65 cells = 260 px."""
    deformer = kind(28, FILL, scales=(0,), rotation=False)
    hard = deformer.deform(images_of(28), seed())
    np.testing.assert_array_equal(occluded(hard).sum(axis=(1, 2)), [260, 260, 260])
    assert occlusion_grids(28)[0] == (2, 14)


def test_union_of_random_scales_is_about_a_third():
    deformer = RandomDeformation(64, FILL, rotation=False)
    hard = deformer.deform(images_of(64, 200), seed())
    np.testing.assert_allclose(occluded(hard).mean(), 1 / 3, atol=0.02)


def test_occluded_pixels_take_the_fill_and_others_stay():
    """With one scale a pixel is occluded if its cell of 4 x 4 px is chosen."""
    images = images_of(28)
    anet = ANet(28, FILL, rotation=False, scales=(1,))
    hard = anet.deform(images, seed()).numpy()
    (cells,), _ = anet.choose(tf.cast(images, tf.float32), seed(), False)
    chosen = np.kron(cells, np.ones((4, 4))) == 1
    assert 0.3 < chosen.mean() < 0.4
    np.testing.assert_array_equal(
        hard[chosen], np.broadcast_to(np.float32(FILL), (chosen.sum(), 3))
    )
    np.testing.assert_array_equal(hard[~chosen], images[~chosen])


def test_parts_can_be_switched_off():
    images = images_of(28)
    only_rotation = ANet(28, FILL, occlusion=False)
    pixels = tf.cast(images, tf.float32)
    marks, angles = only_rotation.choose(pixels, seed(), False)
    assert marks == []
    np.testing.assert_array_equal(
        only_rotation.deform(images, seed()), rotate(pixels, angles, tf.constant(FILL))
    )
    only_occlusion = ANet(28, FILL, rotation=False)
    marks, angles = only_occlusion.choose(pixels, seed(), False)
    assert (len(marks), angles) == (3, None)
    hard = only_occlusion.deform(images, seed()).numpy()
    np.testing.assert_array_equal(hard[~occluded(hard)], images[~occluded(hard)])
    names = [v.path for v in only_occlusion.trainable_variables]
    assert not any("angles" in name for name in names)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"rotation": False},
        {"occlusion": False},
        *({"scales": scales} for scales in ((0,), (1,), (2,), (2, 1), (0, 2))),
    ],
)
def test_every_weight_gets_a_gradient(parts):
    anet = ANet(28, FILL, width=4, **parts)
    images = images_of(28)
    anet.build((None, 28, 28, 3))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(anet.deform(images, seed(), training=True)))
    gradients = tape.gradient(loss, anet.trainable_variables)
    for variable, gradient in zip(anet.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert np.any(gradient.numpy()), variable.path


@pytest.mark.parametrize(
    ("scales", "blocks"),
    [((0, 1, 2), ["up_0", "up_1"]), ((1,), ["up_1"]), ((2, 1), ["up_1"]), ((2,), [])],
)
def test_decoder_goes_as_far_as_a_head_reads(scales, blocks):
    anet = ANet(28, FILL, width=4, scales=scales)
    assert [block.name for block in anet.decoder] == blocks


@pytest.mark.parametrize("kind", [ANet, RandomDeformation])
def test_seeds_give_variety_and_repeat(kind):
    deformer = kind(28, FILL)
    images = images_of(28)
    first, again = deformer.deform(images, seed(1)), deformer.deform(images, seed(1))
    np.testing.assert_array_equal(first, again)
    assert np.any(deformer.deform(images, seed(2)) != first)
    pixels = tf.cast(images, tf.float32)
    (one, angles), (other, others) = (deformer.choose(pixels, seed(k), False) for k in (1, 2))
    assert all(np.any(a != b) for a, b in zip(one, other, strict=True))
    assert np.all(angles != others)


def test_without_a_seed_the_highest_scores_are_taken():
    anet = ANet(28, FILL, rotation=False)
    images = images_of(28)
    np.testing.assert_array_equal(anet.deform(images), anet.deform(images))
    assert np.any(anet.deform(images, seed()) != anet.deform(images))
    scores, _ = anet.features(tf.cast(images, tf.float32))
    marks, _ = anet.choose(tf.cast(images, tf.float32), None, False)
    for score, cells, count in zip(scores, marks, anet.cell_counts, strict=True):
        for values, marked in zip(np.asarray(score), np.asarray(cells) == 1, strict=True):
            assert marked.sum() == count
            assert values[marked].min() > values[~marked].max()


@pytest.mark.parametrize("score_scale", [0.5, 1.0])
def test_score_scale_says_how_much_likelier_a_cell_is(score_scale):
    """One cell of 16 wanted, one drawn. Standardised: (15, -1, -1, ...) / sqrt(15), whatever was
    given, so the wanted cell is e^(16 b / sqrt(15)) times as likely as each other."""
    anet = ANet(28, FILL, rotation=False, scales=(2,), area=0.05, score_scale=score_scale)
    anet.build((None, 28, 28, 3))
    anet.features = lambda images, training=False: (
        [tf.tile(tf.reshape(1e3 * tf.eye(16)[:1] - 77, [1, 4, 4]), [len(images), 1, 1])],
        None,
    )
    drawn = occluded(anet.deform(images_of(28, 4000), seed()))[:, 0, 0].mean()
    odds = np.exp(16 * score_scale / np.sqrt(15))
    expected = odds / (odds + 15)
    assert drawn == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / 4000))


@pytest.mark.parametrize("score_scale", [0.5, 1.0])
def test_score_scale_says_how_much_likelier_a_range_of_angles_is(score_scale):
    """Four ranges of 5 degrees, the third wanted. Standardised: (-1, -1, 3, -1) / sqrt(3), so it
    is e^(4 b / sqrt(3)) times as likely as each other; angles within a range are uniform."""
    anet = ANet(28, FILL, occlusion=False, angles=4, score_scale=score_scale)
    anet.build((None, 28, 28, 3))
    anet.features = lambda images, training=False: (
        None,
        tf.tile(1e3 * tf.eye(4)[2:3] + 5, [len(images), 1]),
    )
    angles = angles_of(anet, 4000, seed())
    drawn = angles[(angles >= 0) & (angles < 5)]
    odds = np.exp(4 * score_scale / np.sqrt(3))
    share = odds / (odds + 3)
    assert len(drawn) / 4000 == pytest.approx(share, abs=5 * np.sqrt(share * (1 - share) / 4000))
    np.testing.assert_allclose([drawn.mean(), drawn.std()], [2.5, 5 / np.sqrt(12)], rtol=0.06)
    np.testing.assert_allclose(angles_of(anet, 3, None), 2.5, rtol=1e-5)


def test_the_angle_learns_what_is_asked_of_it():
    """Asked for large angles to the left, A-Net turns most images there, but not all."""
    keras.utils.set_random_seed(0)
    anet = ANet(28, FILL, occlusion=False, width=4)
    images = images_of(28, 32)
    anet.build((None, 28, 28, 3))
    optimizer = keras.optimizers.Adam(0.01)
    for step in range(60):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(anet.choose(tf.cast(images, tf.float32), seed(step), True)[1])
        gradients = tape.gradient(loss, anet.trainable_variables)
        optimizer.apply_gradients(zip(gradients, anet.trainable_variables, strict=True))
    angles = angles_of(anet, 400, seed(99))
    assert -8 < angles.mean() < -3
    assert angles.max() > 0


def test_random_angles_are_uniform():
    angles = angles_of(RandomDeformation(28, FILL, occlusion=False), 400, seed())
    assert 9 < np.abs(angles).max() <= 10
    np.testing.assert_allclose(np.std(angles), 10 / np.sqrt(3), rtol=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_size": 27},
        {"image_size": 513},
        {"area": 1.0},
        {"scales": ()},
        {"scales": (3,)},
        {"angles": 1},
    ],
)
def test_refuses(wrong):
    with pytest.raises(ValueError, match="Received"):
        ANet(**{"image_size": 28, **wrong})
