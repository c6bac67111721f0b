"""The built-in image set: 6,000 images of Fashion-MNIST (MIT, see LICENSE in this folder)."""

from importlib import resources

import numpy as np

from ssah_tf.data.arrays import array_set
from ssah_tf.data.image_set import ImageSet

CLASSES = (
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


def load_fashion() -> ImageSet:
    """Load the built-in set: ids `train/00000` to `train/04999` and `test/00000` to `test/00999`.

    Returns:
        5,000 training and 1,000 test images, 28 x 28 grey repeated over three channels, balanced
        over ten classes.
    """
    file = resources.files(__package__) / "fashion6k.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        parts = {part: (arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test")}
    return array_set("fashion", parts, CLASSES)
