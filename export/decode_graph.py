"""The rule of `ssah_tf.data.decode.decode` as a TensorFlow graph, bit for bit, for JPEG and PNG.

What it leaves out: CMYK JPEG files, 16-bit PNG files (TensorFlow scales them otherwise) and other
formats, which TensorFlow's decoders refuse or treat differently. The resampling is Pillow's: two
passes of fixed-point sums with 22 fractional bits, horizontal first, rounded to 8 bits in between.
"""

from collections.abc import Callable

import tensorflow as tf

_PRECISION = 22  # Pillow's PRECISION_BITS, 32 - 8 - 2


def decode_bytes(content: tf.Tensor, size: int) -> tf.Tensor:
    """Decode a file, turn it upright, lay it on white, crop its central square and resize that.

    Args:
        content: Bytes of a JPEG or PNG file, string scalar.
        size: Side of the result in pixels.

    Returns:
        uint8 `(size, size, 3)`.
    """
    is_jpeg = tf.strings.substr(content, 0, 2) == b"\xff\xd8"
    pixels = tf.cond(is_jpeg, lambda: decode_jpeg(content, size), lambda: decode_png(content))
    pixels = turn_upright(
        pixels, tf.cond(is_jpeg, lambda: orientation(content), lambda: tf.constant(1))
    )
    return central_square(pixels, size)


def decode_jpeg(content: tf.Tensor, size: int) -> tf.Tensor:
    """Decode at 1/1, 1/2, 1/4 or 1/8 of the size, never below twice `size`; uint8 `(h, w, 3)`."""
    shape = tf.io.extract_jpeg_shape(content)
    reach = tf.minimum(shape[0], shape[1]) // (2 * size)

    def at(ratio: int) -> Callable[[], tf.Tensor]:
        return lambda: tf.io.decode_jpeg(
            content, 3, ratio=ratio, dct_method="INTEGER_ACCURATE", fancy_upscaling=True
        )

    return tf.case([(reach >= 8, at(8)), (reach >= 4, at(4)), (reach >= 2, at(2))], default=at(1))


def decode_png(content: tf.Tensor) -> tf.Tensor:
    """Decode with transparency laid on white, as Pillow's `alpha_composite` does; `(h, w, 3)`."""
    # TensorFlow decodes palettes and single bits wrongly to four channels, unless they have alpha.
    kind = tf.io.decode_raw(tf.strings.substr(content, 25, 1), tf.uint8)[0]
    has_alpha = (kind >= 4) | tf.strings.regex_full_match(content, rb"\C*tRNS\C*")

    def on_white() -> tf.Tensor:
        rgba = tf.cast(tf.io.decode_png(content, 4), tf.int32)
        rgb, alpha = rgba[..., :3], rgba[..., 3:]
        # Pillow on an opaque white ground: weights with 7 more bits, then one rounding.
        weight = 128 * alpha
        mixed = rgb * weight + 255 * (128 * 255 - weight) + 128 * 128
        return tf.cast((mixed // 256 + mixed) // 256 // 128, tf.uint8)

    return tf.cond(has_alpha, on_white, lambda: tf.io.decode_png(content, 3))


def orientation(content: tf.Tensor) -> tf.Tensor:
    """EXIF orientation of a JPEG file, 1 to 8; 1 if it has none. Int32 scalar."""
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(content, 0, 1 << 16), tf.uint8), tf.int32)
    head = tf.pad(head, [[0, 1 << 10]])  # reads beyond the end give 0
    marker = [0x45, 0x78, 0x69, 0x66, 0, 0]  # Exif\0\0
    length = tf.shape(head)[0]
    matches = tf.reduce_all(
        [head[i : length - 16 + i] == byte for i, byte in enumerate(marker)], axis=0
    )
    place = tf.argmax(tf.cast(matches, tf.int32), output_type=tf.int32)
    tiff = place + 6
    little = head[tiff] == 0x49  # II, or MM

    def number(at: tf.Tensor, octets: int) -> tf.Tensor:
        """Unsigned numbers of `octets` bytes that begin at the positions `at`."""
        at = tf.clip_by_value(at, 0, length - octets)
        values = tf.stack([tf.gather(head, at + i) for i in range(octets)], axis=-1)
        big = tf.constant([256**i for i in reversed(range(octets))])
        weights = tf.where(little, big[::-1], big)
        return tf.reduce_sum(values * weights, axis=-1)

    # The offset of the first directory is small; its upper bytes would overflow 32 bits.
    directory = tiff + number(tiff + tf.where(little, 4, 6), 2)
    count = tf.minimum(number(directory, 2), 64)
    entries = directory + 2 + 12 * tf.range(64)
    is_entry = (tf.range(64) < count) & (number(entries, 2) == 0x0112)
    found = tf.reduce_max(tf.where(is_entry, number(entries + 8, 2), 0))
    valid = tf.reduce_any(matches) & (found >= 1) & (found <= 8)
    return tf.where(valid, found, 1)


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
    """`ssah_tf.data.decode.square`, bit for bit.

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
