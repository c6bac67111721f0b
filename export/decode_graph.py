"""The rule of `ssah_tf.data.decode.decode` as a TensorFlow graph, bit for bit, for JPEG and PNG.

A file that it would decode otherwise is refused: CMYK, other colours than sRGB, an orientation in
XMP alone, other formats. The resampling is Pillow's: two passes of fixed-point sums with 22
fractional bits, horizontal first, rounded to 8 bits in between.
"""

import tensorflow as tf

from ssah_tf.export.jpeg_graph import decode_jpeg
from ssah_tf.export.octets_graph import begins, require
from ssah_tf.export.png_graph import decode_png

_PRECISION = 22  # Pillow's PRECISION_BITS, 32 - 8 - 2


def decode_bytes(content: tf.Tensor, size: int) -> tf.Tensor:
    """Decode a file, turn it upright, lay it on white, crop its central square and resize that.

    Args:
        content: Bytes of a JPEG or PNG file, string scalar.
        size: Side of the result in pixels.

    Returns:
        uint8 `(size, size, 3)`.
    """
    is_jpeg = begins(content, 0, b"\xff\xd8\xff")
    is_png = begins(content, 0, b"\x89PNG\r\n\x1a\n") & begins(content, 12, b"IHDR")
    require(is_jpeg | is_png, "serving_bytes reads JPEG and PNG files")
    pixels, orientation = tf.cond(
        is_jpeg, lambda: decode_jpeg(content, size), lambda: decode_png(content)
    )
    return central_square(turn_upright(pixels, orientation), size)


def turn_upright(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Undo an EXIF orientation, as Pillow's `exif_transpose`; uint8 `(h, w, 3)`."""

    def transposed() -> tf.Tensor:
        return tf.transpose(pixels, [1, 0, 2])

    return tf.switch_case(
        orientation - 1,
        [
            lambda: pixels,
            lambda: pixels[:, ::-1],
            lambda: pixels[::-1, ::-1],
            lambda: pixels[::-1],
            transposed,
            lambda: transposed()[:, ::-1],
            lambda: transposed()[::-1, ::-1],
            lambda: transposed()[::-1],
        ],
    )


def central_square(pixels: tf.Tensor, size: int) -> tf.Tensor:
    """`ssah_tf.data.upright.Upright.square`, bit for bit.

    Args:
        pixels: uint8 `(height, width, 3)`.
        size: Side of the result.

    Returns:
        uint8 `(size, size, 3)`.
    """
    height, width = tf.unstack(tf.shape(pixels)[:2])
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    x = tf.cast(pixels[top : top + side, left : left + side], tf.float64)
    rows = weights(side, size)  # (size, side); sums stay below 2^53: exact
    x = rounded(tf.einsum("ow,hwc->hoc", rows, x))
    x = rounded(tf.einsum("oh,hwc->owc", rows, x))
    return tf.ensure_shape(tf.cast(x, tf.uint8), (size, size, 3))


def weights(length: tf.Tensor, size: int) -> tf.Tensor:
    """Pillow's weights of the bilinear filter, times 2^22 and rounded, float64 `(size, length)`.

    Args:
        length: Pixels of the row, int32 scalar.
        size: Pixels of the result.
    """
    length = tf.cast(length, tf.float64)
    scale = length / size
    support = tf.maximum(scale, 1.0)  # of the triangle filter
    centre = (tf.range(size, dtype=tf.float64)[:, None] + 0.5) * scale  # (size, 1)
    place = tf.range(length, dtype=tf.float64)[None]  # (1, length)
    first = tf.floor(tf.maximum(centre - support + 0.5, 0.0))
    last = tf.floor(centre + support + 0.5)
    value = tf.maximum(1.0 - tf.abs((place - centre + 0.5) * (1.0 / support)), 0.0)
    value = tf.where((place >= first) & (place < last), value, 0.0)
    value /= tf.reduce_sum(value, axis=1, keepdims=True)
    return tf.floor(0.5 + value * (1 << _PRECISION))


def rounded(sums: tf.Tensor) -> tf.Tensor:
    """Sums with 22 fractional bits to whole numbers of 0 to 255, float64."""
    half = float(1 << (_PRECISION - 1))
    return tf.clip_by_value(tf.floor((sums + half) / (1 << _PRECISION)), 0, 255)
