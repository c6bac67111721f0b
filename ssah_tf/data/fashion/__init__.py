"""The built-in image set: 6,000 images of Fashion-MNIST (MIT, see LICENSE in this folder)."""

from importlib import resources

import numpy as np

from ssah_tf.data.image_set import ImageSet, content_digest

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
SIZE = 28


def load_fashion() -> ImageSet:
    """Load the built-in set: ids `train/00000` to `train/04999` and `test/00000` to `test/00999`.

    Returns:
        5,000 training and 1,000 test images, 28 x 28 grey repeated over three channels, balanced
        over ten classes.
    """
    file = resources.files(__package__) / "fashion6k.npz"
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        grey = np.concatenate([arrays["x_train"], arrays["x_test"]])  # (6000, 28, 28)
        target = np.concatenate([arrays["y_train"], arrays["y_test"]])  # (6000,)
        counts = {"train": len(arrays["x_train"]), "test": len(arrays["x_test"])}
    ids = tuple(f"{part}/{i:05d}" for part, n in counts.items() for i in range(n))
    return ImageSet(
        name="fashion",
        ids=ids,
        labels=np.eye(len(CLASSES), dtype=np.uint8)[target],
        classes=CLASSES,
        digests=tuple(content_digest(image.tobytes()) for image in grey),
        pixels=np.repeat(grey[..., None], 3, axis=-1),  # (6000, 28, 28, 3)
        official_queries=ids[counts["train"] :],
    )
