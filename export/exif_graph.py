"""The orientation that EXIF or XMP name, in a TensorFlow graph, as Pillow understands them."""

import tensorflow as tf

from ssah_tf.export.octets_graph import begins, number, octets, require

#: What names an orientation other than upright in an XMP packet; Pillow looks for the same.
TURNED_BY_XMP = rb"tiff:Orientation(=\"|>)[2-8]"
#: Entries of a directory that are looked at.
MOST = 512


#: Headers that Pillow takes for those of TIFF, too.
ODD = (b"II\0*", b"MM*\0", b"II+\0", b"MM\0+", b"Exif\0\0")


def orientation_of(exif: tf.Tensor, turned_by_xmp: tf.Tensor, *, may_be_damaged: bool) -> tf.Tensor:
    """The orientation of a file, 1 to 8, int32 scalar. What cannot be told is refused.

    Args:
        exif: Its EXIF data, from the header of TIFF on; "" for none.
        turned_by_xmp: Whether XMP names another than upright, which counts if EXIF names none.
        may_be_damaged: Whether data without a header name none, and XMP does not count, as Pillow
            has it in JPEG files.
    """
    length = tf.cast(tf.strings.length(exif), tf.int64)
    little, big = begins(exif, 0, b"II*\0"), begins(exif, 0, b"MM\0*")
    good = (length == 0) | ((length >= 8) & (little | big))
    odd = tf.reduce_any([begins(exif, 0, header) for header in ODD])
    require((good | may_be_damaged) & ~odd, "EXIF: damaged")
    directory = number(octets(exif, 4, 4), little)
    directory = tf.where(good & (directory + 2 <= length), directory, length)
    start = tf.cast(directory, tf.int32)
    count = number(octets(exif, start, 2), little)
    entries = tf.reshape(octets(exif, start + 2, 12 * MOST), [MOST, 12])
    place = tf.range(MOST, dtype=tf.int64)
    whole = (place < count) & (directory + 2 + 12 * (place + 1) <= length)
    kind, many = number(entries[:, 2:4], little), number(entries[:, 4:8], little)
    known = ((kind >= 1) & (kind <= 13)) | ((kind >= 16) & (kind <= 18))  # others are passed over
    named = whole & known & (number(entries[:, :2], little) == 0x0112)
    row = tf.argmax(named)  # the first
    there = tf.reduce_any(named)
    short, long = kind[row] == 3, kind[row] == 4
    entry = tf.reshape(tf.gather(entries, row), [6, 2])
    value = tf.where(short, number(entry[4], little), number(tf.reshape(entry[4:], [4]), little))
    usual = (short | long) & (many[row] == 1)
    require(~there | usual, "EXIF: an orientation of an odd kind")
    few = tf.minimum(count, (length - directory) // 12) <= MOST
    require(there | few, f"EXIF: more than {MOST} entries")
    require(
        there | ~good | ~turned_by_xmp, "orientation in XMP alone: serving_bytes does not follow it"
    )
    turned = there & (value >= 1) & (value <= 8)
    return tf.where(turned, tf.cast(value, tf.int32), 1)
