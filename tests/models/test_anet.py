import keras
import numpy as np
import pytest
import tensorflow as tf

from ssah_tf.models import ANet, RandomDeformation
from ssah_tf.models.occlusion import occlusion_grids

FILL = (10.0, 20.0, 30.0)


def images_of(size, count=3):
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def seed(number=0):
    return tf.constant([7, number])


@pytest.mark.parametrize("size", [28, 33, 96, 224, 512])
def test_any_size(size):
    anet = ANet(size, FILL, width=4)
    hard = anet.deform(images_of(size, 2), seed())
    assert hard.images.shape == (2, size, size, 3)
    assert hard.mask.shape == (2, size, size, 1)
    assert set(np.unique(hard.mask)) == {0.0, 1.0}
    assert np.all(np.abs(hard.angles) <= np.radians(10.0))


@pytest.mark.parametrize("kind", [ANet, RandomDeformation])
def test_area_budget_is_exact_at_every_scale(kind):
    """28 px, one scale of 14 x 14 cells of 2 px, area 1/3: round(196 / 3) = 65 cells = 260 px."""
    deformer = kind(28, FILL, scales=(0,), rotation=False)
    hard = deformer.deform(images_of(28), seed())
    np.testing.assert_array_equal(hard.mask.numpy().sum(axis=(1, 2, 3)), [260, 260, 260])
    assert occlusion_grids(28)[0] == (2, 14)


def test_union_of_random_scales_is_about_a_third():
    deformer = RandomDeformation(64, FILL)
    mask = deformer.deform(images_of(64, 200), seed()).mask
    np.testing.assert_allclose(np.mean(mask), 1 / 3, atol=0.02)


def test_occluded_pixels_take_the_fill_and_others_stay():
    images = images_of(28)
    hard = ANet(28, FILL, rotation=False).deform(images, seed())
    occluded = hard.mask.numpy()[..., 0] == 1
    np.testing.assert_array_equal(
        hard.images.numpy()[occluded], np.broadcast_to(np.float32(FILL), (occluded.sum(), 3))
    )
    np.testing.assert_array_equal(hard.images.numpy()[~occluded], images[~occluded])


def test_parts_can_be_switched_off():
    images = images_of(28)
    only_rotation = ANet(28, FILL, occlusion=False)
    hard = only_rotation.deform(images, seed())
    assert not hard.mask.numpy().any()
    assert hard.angles.numpy().any()
    only_occlusion = ANet(28, FILL, rotation=False)
    assert not only_occlusion.deform(images, seed()).angles.numpy().any()
    names = [v.path for v in only_occlusion.trainable_variables]
    assert not any("angles" in name for name in names)


@pytest.mark.parametrize("parts", [{}, {"rotation": False}, {"occlusion": False}, {"scales": (2,)}])
def test_every_weight_gets_a_gradient(parts):
    anet = ANet(28, FILL, width=4, **parts)
    images = images_of(28)
    anet.build((None, 28, 28, 3))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(anet.deform(images, seed(), training=True).images))
    gradients = tape.gradient(loss, anet.trainable_variables)
    for variable, gradient in zip(anet.trainable_variables, gradients, strict=True):
        if (0 in anet.scales or "up_0" not in variable.path) and anet.scales != (2,):
            assert gradient is not None, variable.path
            assert np.any(gradient.numpy()), variable.path


@pytest.mark.parametrize("kind", [ANet, RandomDeformation])
def test_seeds_give_variety_and_repeat(kind):
    deformer = kind(28, FILL)
    images = images_of(28)
    first, again = deformer.deform(images, seed(1)), deformer.deform(images, seed(1))
    np.testing.assert_array_equal(first.images, again.images)
    other = deformer.deform(images, seed(2))
    assert np.any(first.mask != other.mask)
    assert np.any(first.angles != other.angles)


def test_noise_zero_takes_the_highest_scores():
    anet = ANet(28, FILL, rotation=False, noise=0.0)
    images = images_of(28)
    np.testing.assert_array_equal(
        anet.deform(images, seed(1)).mask, anet.deform(images, seed(2)).mask
    )


def always_top_left(share):
    """An A-Net whose scores want the first cell of each scale, and whose angle is the largest."""
    anet = ANet(28, FILL, random_share=share, area=0.05)
    anet.build((None, 28, 28, 3))

    def features(images, training=False):
        batch = tf.shape(images)[0]
        scores = [
            1e6 * tf.reshape(tf.one_hot(tf.zeros([batch], tf.int32), n * n), [batch, n, n])
            for _, n in anet.grids
        ]
        return scores, 9.0 * tf.ones([batch, anet.angle_heads])

    anet.features = features
    return anet


def test_share_that_is_deformed_at_random():
    """Of 400 images, half by A-Net: 200 +- 5 sigma of 10; the others uniformly, area unchanged."""
    images = images_of(28, 400)
    limit = np.radians(10.0)
    for share, low, high in ((0.0, 400, 400), (0.5, 150, 250), (1.0, 0, 20)):
        hard = always_top_left(share).deform(images, seed())
        learnt = np.abs(hard.angles - limit) < 1e-6
        assert low <= learnt.sum() <= high
        assert hard.mask.numpy()[learnt, 0, 0].all()
        others = hard.angles.numpy()[~learnt]
        if len(others):
            np.testing.assert_allclose(np.std(others), limit / np.sqrt(3), rtol=0.2)
            assert hard.mask.numpy()[~learnt, 0, 0].mean() < 0.2
    again = always_top_left(1.0).deform(images, seed()).mask.numpy()
    expected = RandomDeformation(28, FILL, area=0.05).deform(images, seed()).mask.numpy()
    assert again.mean() == pytest.approx(expected.mean(), abs=0.01)


def test_random_angles_are_uniform():
    angles = RandomDeformation(28, FILL, occlusion=False).deform(images_of(28, 400), seed()).angles
    limit = np.radians(10.0)
    assert np.abs(angles).max() <= limit
    np.testing.assert_allclose(np.std(angles), limit / np.sqrt(3), rtol=0.1)


@pytest.mark.parametrize("kind", [ANet, RandomDeformation])
def test_saved_and_loaded_it_deforms_alike(kind, tmp_path):
    more = {"random_share": 0.5} if kind is ANet else {}
    deformer = kind(28, FILL, scales=(0, 2), max_angle=20.0, **more)
    images = images_of(28)
    before = deformer.deform(images, seed()).images
    deformer.save(tmp_path / "deformer.keras")
    loaded = keras.saving.load_model(tmp_path / "deformer.keras")
    np.testing.assert_array_equal(loaded.deform(images, seed()).images, before)
    assert loaded.get_config() == deformer.get_config()


@pytest.mark.parametrize(
    "wrong",
    [
        {"image_size": 27},
        {"image_size": 513},
        {"area": 1.0},
        {"scales": ()},
        {"scales": (3,)},
        {"random_share": 2.0},
    ],
)
def test_refuses(wrong):
    with pytest.raises(ValueError, match="Received"):
        ANet(**{"image_size": 28, **wrong})
