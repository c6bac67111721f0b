"""The networks of `keras.applications` as backbones."""

import keras
import numpy as np
import pytest

from ssah_tf.models import HNet
from ssah_tf.models.backbones.keras_application import APPLICATIONS, KerasApplication
from ssah_tf.models.saved import load_hnet
from ssah_tf.system.errors import SsahError

SHAPE = (None, 64, 64, 3)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def mobilenet():
    """MobileNetV2 as Keras makes it, with weights that are not those of a new one."""
    network = keras.applications.MobileNetV2(
        include_top=False, pooling="avg", weights=None, input_shape=(None, None, 3)
    )
    for variable in network.variables:
        if variable.path.endswith("moving_mean"):
            variable.assign(np.random.default_rng(variable.shape[0]).normal(0, 0.1, variable.shape))
    return network


def test_all_networks_are_known():
    assert len(APPLICATIONS) >= 38
    assert {"ResNet50", "MobileNetV3Small", "EfficientNetB0", "VGG16"} <= set(APPLICATIONS)


def test_features_are_those_of_keras_with_its_own_preprocessing(mobilenet, tmp_path):
    mobilenet.save_weights(tmp_path / "own.weights.h5")
    backbone = KerasApplication("MobileNetV2", weights=str(tmp_path / "own.weights.h5"))
    backbone.build(SHAPE)
    assert backbone.feature_size == 1280
    prepared = keras.applications.mobilenet_v2.preprocess_input(IMAGES.astype(np.float32))
    expected = mobilenet(prepared, training=False).numpy()
    np.testing.assert_allclose(backbone(IMAGES).numpy(), expected, atol=1e-5)
    assert expected.std() > 1e-3


@pytest.mark.slow
def test_frozen_it_is_saved_and_loaded_without_its_weights_file(mobilenet, tmp_path):
    mobilenet.save_weights(tmp_path / "own.weights.h5")
    backbone = KerasApplication(
        "MobileNetV2", weights=str(tmp_path / "own.weights.h5"), trainable=False
    )
    hnet = HNet(backbone, 12)
    hnet.build(SHAPE)
    assert [v.path.split("/")[-2] for v in hnet.trainable_variables] == ["hash"] + ["hash_norm"] * 2
    expected = backbone(IMAGES).numpy()
    hnet(IMAGES, training=True)
    np.testing.assert_array_equal(backbone(IMAGES).numpy(), expected)  # nor do statistics move
    hnet.save(tmp_path / "hnet.keras")
    (tmp_path / "own.weights.h5").unlink()
    loaded = load_hnet(tmp_path / "hnet.keras")
    np.testing.assert_array_equal(loaded(IMAGES).numpy(), hnet(IMAGES).numpy())


@pytest.mark.slow
def test_odd_sides_are_padded_as_keras_does_it():
    """At 50 px the second convolution sees 25: padded on both sides, unlike an even side."""
    keras.utils.set_random_seed(0)
    backbone = KerasApplication("MobileNetV2", weights="none")
    backbone.build((None, 50, 50, 3))
    keras.utils.set_random_seed(0)
    expected = keras.applications.MobileNetV2(
        include_top=False, pooling="avg", weights=None, input_shape=(50, 50, 3)
    )
    images = IMAGES[:, :50, :50]
    prepared = keras.applications.mobilenet_v2.preprocess_input(images.astype(np.float32))
    np.testing.assert_allclose(backbone(images), expected(prepared), atol=1e-6)


def test_refusals(tmp_path, monkeypatch):
    with pytest.raises(
        ValueError, match=r"network must be one of keras\.applications: ConvNeXtBase,"
    ):
        KerasApplication("LeNet")
    with pytest.raises(ValueError, match=r"trainable must be true or false\. Received: .*=0"):
        KerasApplication("MobileNetV2", weights="none", trainable=0)
    (tmp_path / "broken.h5").write_bytes(b"no HDF5")
    with pytest.raises(SsahError, match=r"broken\.h5: not the weights of MobileNetV2"):
        KerasApplication("MobileNetV2", weights=str(tmp_path / "broken.h5")).build(SHAPE)
    with pytest.raises(ValueError, match=r"at least 75x75; Received: input_shape=\(64, 64, 3\)"):
        KerasApplication("InceptionV3", weights="none").build(SHAPE)

    def offline(*args, **kwargs):
        raise Exception("URL fetch failure")

    monkeypatch.setattr("keras.src.applications.mobilenet_v2.file_utils.get_file", offline)
    with pytest.raises(SsahError, match=r"cannot be downloaded \(URL fetch failure\); give a file"):
        KerasApplication("MobileNetV2", weights="imagenet").build(SHAPE)
