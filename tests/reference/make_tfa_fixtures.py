"""Writes the results of tensorflow-addons that our rotation and occlusion are tested against.

tensorflow-addons reached its end of life in 2024 and does not import beside Keras 3, so its
results are kept as small files and it is no dependency. To make them again (Python 3.11):

    python3.11 -m venv /tmp/tfa
    /tmp/tfa/bin/pip install -r tests/reference/requirements.txt
    /tmp/tfa/bin/python tests/reference/make_tfa_fixtures.py

`tfa_rotate.npz`, from `tfa.image.rotate(images, angles, interpolation="bilinear",
fill_mode="constant", fill_value=fill_value)`:
    images: float32 `(6, 17, 20, 3)`, values 0 to 255.
    angles: float32 `(6,)`, radians; positive turns what is seen counter-clockwise.
    fill_value: float32 scalar, what lies beyond the image.
    rotated: float32 `(6, 17, 20, 3)`.

`tfa_cutout.npz`, from `tfa.image.cutout(images, mask_size, offset, constant_value)`:
    images: float32 `(5, 17, 20, 3)`, values 0 to 255.
    mask_size: int32 `(2,)`, height and width, both even.
    offset: int32 `(5, 2)`, row and column of the centre: the mask covers rows
        `offset - height / 2` to `offset + height / 2 - 1`, cut off at the image's edge.
    constant_value: float32 scalar, what the mask is filled with.
    occluded: float32 `(5, 17, 20, 3)`.
"""

from pathlib import Path

import numpy as np
import tensorflow_addons as tfa

FOLDER = Path(__file__).parent


def toy_images(count: int, seed: int) -> np.ndarray:
    """Whole-numbered noise, float32 `(count, 17, 20, 3)`: odd and even sides, not square."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, size=(count, 17, 20, 3)).astype(np.float32)


def make_rotate() -> None:
    """Writes `tfa_rotate.npz`."""
    images = toy_images(6, seed=1)
    angles = np.deg2rad([0.0, 0.5, 10.0, -10.0, 45.0, 90.0]).astype(np.float32)
    fill_value = np.float32(100.0)
    rotated = tfa.image.rotate(
        images, angles, interpolation="bilinear", fill_mode="constant", fill_value=fill_value
    ).numpy()
    np.savez_compressed(
        FOLDER / "tfa_rotate.npz",
        images=images,
        angles=angles,
        fill_value=fill_value,
        rotated=rotated,
    )


def make_cutout() -> None:
    """Writes `tfa_cutout.npz`."""
    images = toy_images(5, seed=2)
    mask_size = np.array([4, 6], dtype=np.int32)
    # Inside, and over the top left, bottom right, left and top right edges.
    offset = np.array([[8, 9], [0, 0], [16, 19], [7, 1], [1, 18]], dtype=np.int32)
    constant_value = np.float32(100.0)
    occluded = tfa.image.cutout(images, mask_size, offset, constant_value).numpy()
    np.savez_compressed(
        FOLDER / "tfa_cutout.npz",
        images=images,
        mask_size=mask_size,
        offset=offset,
        constant_value=constant_value,
        occluded=occluded,
    )


if __name__ == "__main__":
    make_rotate()
    make_cutout()
