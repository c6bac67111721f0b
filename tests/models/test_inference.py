"""A backbone in ONNX Runtime and OpenVINO: the features that TensorFlow gives, for many images."""

import importlib.util

import keras
import numpy as np
import pytest

from ssah_tf.data import ImageSet
from ssah_tf.models import HNet, inference
from ssah_tf.models.backbones import ConvNet
from ssah_tf.models.inference import quick_backbone, quick_backbones
from ssah_tf.training.hash_layer import features

SIDES = (20, 28)


@pytest.fixture(scope="module")
def backbone():
    keras.utils.set_random_seed(0)
    made = ConvNet(width=16)
    made.build((None, 28, 28, 3))
    return made


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (37, 28, 28, 3), dtype=np.uint8)


@pytest.fixture
def all_are_worth(monkeypatch):
    monkeypatch.setattr(inference, "WORTH", 1)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_gives_the_features_of_tensorflow(backbone, images, runtime, all_are_worth, monkeypatch):
    if runtime == "onnxruntime":
        monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    else:
        pytest.importorskip("openvino")
    found = quick_backbones(backbone, SIDES, 1)
    assert sorted(found) == [*SIDES]
    for side, see in found.items():
        for count in (1, 16, 37):
            some = images[:count, :side, :side]
            expected = np.asarray(backbone(some, training=False))
            np.testing.assert_allclose(see(some), expected, atol=1e-4 * np.abs(expected).max())


def test_few_images_stay_in_tensorflow(backbone):
    assert quick_backbone(backbone, 28, 1000) is None


def test_what_cannot_be_converted_stays_in_tensorflow(backbone, all_are_worth, monkeypatch):
    def refuse(*_):
        raise ValueError("no such operation")

    monkeypatch.setattr(inference, "converted", refuse)
    assert quick_backbone(backbone, 28, 1) is None


def test_other_features_are_not_taken(backbone, all_are_worth, monkeypatch):
    monkeypatch.setattr(inference, "opened", lambda *_: lambda some: np.zeros((len(some), 1)))
    assert quick_backbone(backbone, 28, 1) is None


def test_full_codes_are_the_same(backbone, images, all_are_worth, monkeypatch):
    hnet = HNet(backbone, 24)
    hnet.build((None, 28, 28, 3))
    ids = tuple(map(str, range(len(images))))
    labels = np.zeros((len(images), 1), np.uint8)
    those = ImageSet("some", ids, labels, ("any",), ids, images)
    parts = (np.arange(30), np.arange(0), np.arange(30, 37))
    quick = features.full_codes_of(hnet, those, parts, 28)
    monkeypatch.setattr(inference, "WORTH", 10**9)
    plain = features.full_codes_of(hnet, those, parts, 28)
    for one, other in zip(quick, plain, strict=True):
        assert np.array_equal(one, other)
