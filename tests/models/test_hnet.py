import keras
import numpy as np
import pytest

from ssah_tf.models import HNet
from ssah_tf.models.backbones import BACKBONES
from ssah_tf.models.backbones.alexnet import adaptive_average_pool
from ssah_tf.models.replica_dropout import ReplicaDropout


def network(size=28, name="convnet", **options):
    hnet = HNet(BACKBONES[name](mean=(70, 80, 90), std=(50, 60, 70), **options), 12)
    hnet.build((None, size, size, 3))
    return hnet


def images_of(size, count=5):
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("name", "options"),
    [("convnet", {"width": 8}), ("keras", {"network": "MobileNetV3Small", "weights": "none"})],
)
def test_bytes_and_floats_give_the_same_codes(name, options):
    """The preprocessing is inside, and a code is within -1 and 1."""
    hnet = network(32, name, **options)
    images = images_of(32)
    u = hnet(images).numpy()
    assert np.all(np.abs(u) <= 1)
    np.testing.assert_array_equal(hnet(images.astype(np.float32)), u)


def test_number_of_weights():
    """The paper's ResNet-20 has 269,722 with a classifier of 64 x 10 + 10; ours projects twice."""
    hnet = HNet(BACKBONES["resnet20"](), 48)
    hnet.build((None, 32, 32, 3))
    own = 64 * 48 + 2 * 48  # the hash layer
    projections = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    trained = sum(int(np.prod(v.shape)) for v in hnet.trainable_variables)
    assert trained - own - projections == 269_722 - 650


def test_preprocessing_is_mean_and_deviation():
    backbone = BACKBONES["convnet"](mean=(10, 20, 30), std=(1, 2, 4), width=8)
    seen = []
    backbone.features = lambda x, training: seen.append(x) or x
    backbone.built = True
    backbone(np.full((1, 2, 2, 3), 34, np.uint8))
    np.testing.assert_allclose(seen[0][0, 0, 0], [24, 7, 1])


def test_encode_packs_all_images_in_order():
    hnet = network(width=8)
    images = images_of(28, 7)
    expected = np.packbits(hnet(images).numpy() >= 0, axis=1)
    codes = hnet.encode([images[:3], images[3:6], images[6:]])
    assert codes.shape == (7, 2)  # 12 bits: the last four of the second byte are zero
    np.testing.assert_array_equal(codes, expected)
    assert not np.any(codes[:, 1] & 0b1111)
    assert hnet.encode([]).shape == (0, 2)


def test_adaptive_pool_by_hand():
    """5 rows into 2 areas: rows 0 to 2 and 2 to 4."""
    x = np.arange(5, dtype=np.float32).reshape(1, 5, 1, 1)
    pooled = adaptive_average_pool(keras.ops.convert_to_tensor(np.repeat(x, 5, axis=2)), 2)
    np.testing.assert_allclose(pooled[0, :, 0, 0], [1, 3])


def test_dropout_keeps_the_mean_and_changes_with_each_call():
    layer = ReplicaDropout(0.25, seed=3)
    x = np.ones((100, 100), np.float32)
    first, second = layer(x, training=True), layer(x, training=True)
    assert np.any(first != second)
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.75)}
    np.testing.assert_allclose(np.mean(first), 1, atol=0.03)
    np.testing.assert_array_equal(layer(x), x)


def test_refuses():
    with pytest.raises(ValueError, match="bits=0"):
        HNet(BACKBONES["convnet"](), 0)
    with pytest.raises(ValueError, match="63 px or more"):
        HNet(BACKBONES["alexnet"](), 8).build((None, 32, 32, 3))
    for name in ("convnet", "resnet20"):
        with pytest.raises(ValueError, match="width above 8"):
            HNet(BACKBONES[name](width=8), 8).build((None, 96, 96, 3))
    with pytest.raises(ValueError, match="std"):
        BACKBONES["convnet"](std=(0, 1, 1))
