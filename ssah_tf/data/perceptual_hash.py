"""What a picture shows, whatever its code says: a perceptual hash, and the SSIM of pictures."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from ssah_tf.metrics.hamming import code_bytes

#: Bits of the hash.
BITS = 128
#: Side of the grey picture that is looked at.
SIDE = 32
#: Constants of SSIM for 256 levels, which keep flat pictures from dividing by zero.
LUMINANCE, CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def cosines() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The orthonormal DCT-II of `SIDE`, and the `BITS` lowest of its frequencies but the mean."""
    frequency, place = np.arange(SIDE)[:, None], np.arange(SIDE)[None]
    basis = np.cos(np.pi * (place + 0.5) * frequency / SIDE) * np.sqrt(2 / SIDE)
    basis[0] /= np.sqrt(2)
    height = frequency**2 + frequency.T**2
    return basis.astype(np.float32), np.argsort(height, axis=None, kind="stable")[1 : BITS + 1]


BASIS, LOWEST = cosines()


def grey(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The grey picture of RGB pixels `(side, side, 3)`: uint8 `(SIDE, SIDE)`."""
    image = Image.fromarray(pixels).convert("L")
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def perceptual_hash(pixels: npt.NDArray[np.uint8]) -> bytes:
    """The perceptual hash (pHash) of a picture: the signs of its low frequencies.

    A picture that was scaled, compressed or brightened keeps nearly all its bits; two different
    photos differ in half of them. Values up to 1 are no sign, so that flat pictures are alike.

    Args:
        pixels: uint8 `(side, side, 3)`, RGB.
    """
    return bits_of(slow_frequencies(pixels))


def slow_frequencies(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The lowest frequencies of a picture in grey, without its mean, `(BITS,)`.

    Args:
        pixels: uint8 `(side, side, 3)`, RGB.
    """
    found: npt.NDArray[np.float32] = (BASIS @ grey(pixels).astype(np.float32) @ BASIS.T).ravel()
    return found[LOWEST]


def bits_of(frequencies: npt.NDArray[np.float32]) -> bytes:
    """The hash of a picture whose slow frequencies these are, `(BITS,)`."""
    return np.packbits(frequencies > 1).tobytes()


#: Bytes of the hash.
BYTES = code_bytes(BITS)
#: The hash of pictures of nearly one colour, and of few others.
NOTHING = bytes(BYTES)


def is_flat(pixels: npt.NDArray[np.uint8]) -> bool:
    """Whether a picture `(height, width, 3)` shows nothing: one level in each colour.

    Blank pages do so, but also numbers whose range was not understood.
    """
    colours = pixels.reshape(-1, 3)
    return bool((colours.max(axis=0) - colours.min(axis=0) <= 1).all())


def ssim(one: npt.NDArray[np.uint8], others: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """SSIM of whole grey pictures: 1 for the same, about 0 for pictures without relation.

    `(2 m1 m2 + L) / (m1^2 + m2^2 + L) * (2 c + C) / (v1 + v2 + C)` with means m, variances v and
    the covariance c (Wang et al. 2004, over one window).

    Args:
        one: uint8 `(SIDE, SIDE)`.
        others: uint8 `(n, SIDE, SIDE)`.

    Returns:
        float32 `(n,)`.
    """
    x = one.reshape(1, -1).astype(np.float32)
    y = others.reshape(len(others), SIDE * SIDE).astype(np.float32)
    mx, my = x.mean(axis=1), y.mean(axis=1)
    x, y = x - mx[:, None], y - my[:, None]
    vx, vy, both = (x * x).mean(axis=1), (y * y).mean(axis=1), (y @ x[0]) / SIDE**2
    light = (2 * mx * my + LUMINANCE) / (mx**2 + my**2 + LUMINANCE)
    found: npt.NDArray[np.float32] = light * (2 * both + CONTRAST) / (vx + vy + CONTRAST)
    return found
