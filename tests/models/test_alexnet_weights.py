"""AlexNet with the weights of torchvision's checkpoint, against AlexNet worked out in NumPy."""

import numpy as np
import pytest

from ssah_tf.models.backbones import AlexNet
from ssah_tf.system.errors import SsahError

UNITS = 16
SHAPES = {
    "features.0": (64, 3, 11, 11),
    "features.3": (192, 64, 5, 5),
    "features.6": (384, 192, 3, 3),
    "features.8": (256, 384, 3, 3),
    "features.10": (256, 256, 3, 3),
    "classifier.1": (UNITS, 256 * 6 * 6),
    "classifier.4": (UNITS, UNITS),
}


@pytest.fixture(scope="module")
def arrays():
    """A checkpoint with the names and the layout of torchvision's, but fewer units."""
    rng = np.random.default_rng(0)
    found = {}
    for name, shape in SHAPES.items():
        scale = (2 / np.prod(shape[1:])) ** 0.5
        found[f"{name}.weight"] = rng.normal(0, scale, shape).astype(np.float32)
        found[f"{name}.bias"] = rng.normal(0, 0.1, shape[0]).astype(np.float32)
    return found


def convolve(x, weight, bias, stride, padding):
    """`(channels, h, w)` with `(filters, channels, k, k)`, then ReLU."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    k = weight.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]
    return np.maximum(np.einsum("chwij,fcij->fhw", windows, weight) + bias[:, None, None], 0)


def pool(x):
    """Maximum over 3 x 3, every second one."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))
    return windows[:, ::2, ::2].max(axis=(3, 4))


def reference(image, arrays):
    """Features of one image of 224 px, channels first, as torchvision computes them."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = ((image / 255 - mean) / std).transpose(2, 0, 1)

    def layer(x, name, stride, padding):
        return convolve(x, arrays[f"{name}.weight"], arrays[f"{name}.bias"], stride, padding)

    x = pool(layer(x, "features.0", 4, 2))
    x = pool(layer(x, "features.3", 1, 2))
    for name in ("features.6", "features.8", "features.10"):
        x = layer(x, name, 1, 1)
    x = pool(x).reshape(-1)
    assert x.shape == (256 * 6 * 6,)
    for name in ("classifier.1", "classifier.4"):
        x = np.maximum(arrays[f"{name}.weight"] @ x + arrays[f"{name}.bias"], 0)
    return x


def test_features_are_those_of_torchvision(arrays, monkeypatch):
    monkeypatch.setattr("ssah_tf.models.backbones.alexnet.read_torch_file", lambda path: arrays)
    backbone = AlexNet(weights="alexnet.pth", units=UNITS)
    backbone.build((None, 224, 224, 3))
    image = np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    found = backbone(image[None])[0].numpy()
    np.testing.assert_allclose(found, reference(image, arrays), rtol=1e-3, atol=1e-3)
    assert found.std() > 0.1
    assert backbone.get_config()["weights"] == "none"
    assert backbone.get_config()["mean"] == (123.675, 116.28, 103.53)


def test_weights_of_another_network(arrays, monkeypatch):
    monkeypatch.setattr(
        "ssah_tf.models.backbones.alexnet.read_torch_file",
        lambda path: {**arrays, "features.3.bias": arrays["features.0.bias"]},
    )
    with pytest.raises(SsahError, match=r"alexnet\.pth: not the weights of AlexNet"):
        AlexNet(weights="alexnet.pth", units=UNITS).build((None, 64, 64, 3))
