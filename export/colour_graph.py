"""`ssah_tf.data.icc.is_srgb` as a TensorFlow graph, in the same integers."""

import tensorflow as tf

from ssah_tf.data import icc
from ssah_tf.export.octets_graph import begins, number, octets, part, signed

#: Longest table of a curve that is looked at.
LONGEST = 4096


def is_srgb(profile: tf.Tensor) -> tf.Tensor:
    """Whether a profile is that of sRGB, or of grey with the curve of sRGB.

    Args:
        profile: Its bytes, string scalar.

    Returns:
        Bool scalar. What it accepts, `ssah_tf.data.icc.is_srgb` accepts, too.
    """
    count = number(octets(profile, 128, 4))
    table = tf.reshape(octets(profile, 132, 12 * icc.MOST_TAGS), [icc.MOST_TAGS, 12])
    place = tf.range(icc.MOST_TAGS, dtype=tf.int64)
    names = tf.where(place < count, number(table[:, :4]), -1)

    def there(name: bytes) -> tf.Tensor:
        return tf.reduce_any(names == int.from_bytes(name, "big"))

    def tag(name: bytes) -> tf.Tensor:
        """Bytes of the first tag of a name, "" if there is none."""
        row = tf.argmax(names == int.from_bytes(name, "big"))
        entry = tf.reshape(tf.gather(table, row), [3, 4])  # name, start, size
        start, size = number(entry[1]), number(entry[2])
        start = tf.minimum(start, 2**31 - 1)
        size = tf.where(there(name), tf.minimum(size, 1 << 20), 0)
        return part(profile, tf.cast(start, tf.int32), tf.cast(size, tf.int32))

    def near(content: tf.Tensor, start: int, wanted: tuple[int, ...], slack: int) -> tf.Tensor:
        values = signed(tf.reshape(octets(content, start, 4 * len(wanted)), [-1, 4]))
        close = tf.abs(values - tf.constant(wanted, tf.int64)) <= slack
        return tf.reduce_all(close) & (tf.strings.length(content) >= start + 4 * len(wanted))

    def is_curve(content: tf.Tensor) -> tf.Tensor:
        is_formula = begins(content, 0, b"para") & begins(content, 8, b"\0\3")
        formula = is_formula & near(content, 12, icc.CURVE, icc.CURVE_SLACK)
        entries = number(octets(content, 8, 4))
        long_enough = tf.cast(tf.strings.length(content), tf.int64) >= 12 + 2 * entries
        fits = begins(content, 0, b"curv") & (entries >= 2) & (entries <= LONGEST) & long_enough
        levels = number(tf.reshape(octets(content, 12, 2 * LONGEST), [LONGEST, 2]))
        at = tf.range(256, dtype=tf.int64) * (entries - 1)
        left, rest = tf.clip_by_value(at // 255, 0, LONGEST - 1), at % 255
        right = tf.clip_by_value(left + 1, 0, tf.clip_by_value(entries - 1, 0, LONGEST - 1))
        light = tf.gather(levels, left) * (255 - rest) + tf.gather(levels, right) * rest
        within = tf.reduce_all((light >= icc.LOWER) & (light <= icc.UPPER))
        return formula | (fits & within)

    known = begins(profile, 36, b"acsp") & (count <= icc.MOST_TAGS)
    tables = tf.reduce_any([there(name) for name in icc.TABLES])
    rgb = begins(profile, 16, b"RGB XYZ ")
    for name, wanted in zip((b"rXYZ", b"gXYZ", b"bXYZ"), icc.COLORANTS, strict=True):
        colour = tag(name)
        rgb &= begins(colour, 0, b"XYZ ") & near(colour, 8, wanted, icc.COLORANT_SLACK)
    for name in (b"rTRC", b"gTRC", b"bTRC"):
        rgb &= is_curve(tag(name))
    grey = begins(profile, 16, b"GRAY") & is_curve(tag(b"kTRC"))
    return known & ~tables & (rgb | grey)
