"""JPEG files in a TensorFlow graph: what their segments say, and their pixels."""

from collections.abc import Callable

import tensorflow as tf

from ssah_tf.data.decode import MAX_PIXELS
from ssah_tf.export.colour_graph import is_srgb
from ssah_tf.export.exif_graph import TURNED_BY_XMP, orientation_of
from ssah_tf.export.octets_graph import begins, holds, number, octets, part, require

XMP = b"http://ns.adobe.com/xap/1.0/\0"
ICC = b"ICC_PROFILE\0"
#: Markers of frames.
FRAMES = [m for m in range(0xC0, 0xD0) if m not in (0xC4, 0xC8, 0xCC)]


def walk(content: tf.Tensor) -> dict[str, tf.Tensor]:
    """What stands before the pixels of a JPEG file; its own segments are refused if they are odd.

    Returns:
        `samples` of a pixel (0: unknown), `bits`; `exif` and `profile` as strings and how many
        there are of each; `turned`, whether an XMP packet names an orientation.
    """
    state = {
        "at": tf.constant(2),
        "done": tf.constant(False),
        "whole": tf.constant(True),
        "samples": tf.constant(0),
        "bits": tf.constant(0),
        "exif": tf.constant(b""),
        "exifs": tf.constant(0),
        "profile": tf.constant(b""),
        "profiles": tf.constant(0),
        "single": tf.constant(True),
        "turned": tf.constant(False),
    }

    def step(s: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        at = s["at"]
        head = octets(content, at, 20)
        marker = head[1]
        size = tf.cast(number(head[2:4]), tf.int32)
        body = at + 4
        fill = (head[0] == 0xFF) & (marker == 0xFF)
        is_scan = (head[0] == 0xFF) & (marker == 0xDA)
        ends = at + 2 + size <= tf.strings.length(content)
        is_segment = (head[0] == 0xFF) & (marker >= 0xC0) & (size >= 2) & ends
        alone = ((marker >= 0xD0) & (marker <= 0xD9)) | (marker == 0xC8)
        whole = fill | is_scan | (is_segment & ~alone)
        is_exif = (marker == 0xE1) & begins(content, body, b"Exif\0\0")
        is_icc = (marker == 0xE2) & begins(content, body, ICC)
        is_xmp = (marker == 0xE1) & begins(content, body, XMP)
        is_frame = tf.reduce_any(marker == tf.constant(FRAMES))
        packet = part(content, body, tf.where(is_xmp, size - 2, 0))
        exif = part(content, body + 6, size - 8)
        profile = part(content, body + 14, size - 16)
        single = ~is_icc | ((head[16] == 1) & (head[17] == 1))
        return {
            "at": tf.where(fill, at + 1, at + 2 + size),
            "done": is_scan | ~whole,
            "whole": whole,
            "samples": tf.where(is_frame, head[9], s["samples"]),
            "bits": tf.where(is_frame, head[4], s["bits"]),
            "exif": tf.where(is_exif, exif, s["exif"]),
            "exifs": s["exifs"] + tf.cast(is_exif, tf.int32),
            "profile": tf.where(is_icc, profile, s["profile"]),
            "profiles": s["profiles"] + tf.cast(is_icc, tf.int32),
            "single": s["single"] & single,
            "turned": s["turned"] | holds(packet, TURNED_BY_XMP),
        }

    return tf.while_loop(lambda s: ~s["done"], lambda s: (step(s),), (state,))[0]


def decode_jpeg(content: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode at 1/1, 1/2, 1/4 or 1/8 of the size, never below twice `size`.

    Returns:
        uint8 `(height, width, 3)`, and the orientation, 1 to 8.
    """
    said = walk(content)
    require(said["whole"], "JPEG: its segments are damaged")
    plain = ((said["samples"] == 1) | (said["samples"] == 3)) & (said["bits"] == 8)
    require(plain, "JPEG: serving_bytes reads grey and RGB of 8 bits, no CMYK")
    one = (said["profiles"] == 0) | ((said["profiles"] == 1) & said["single"])
    srgb = (said["profiles"] == 0) | (one & is_srgb(said["profile"]))
    require(srgb, "JPEG: its colour profile is not sRGB, and serving_bytes converts no colours")
    require(said["exifs"] <= 1, "JPEG: more than one EXIF segment")
    shape = tf.io.extract_jpeg_shape(content)
    pixels = tf.cast(shape[0], tf.int64) * tf.cast(shape[1], tf.int64)
    require(pixels <= MAX_PIXELS, f"JPEG: more than {MAX_PIXELS:,} pixels, the limit")
    reach = tf.minimum(shape[0], shape[1]) // (2 * size)

    def at(ratio: int) -> Callable[[], tf.Tensor]:
        return lambda: tf.io.decode_jpeg(
            content, 3, ratio=ratio, dct_method="INTEGER_ACCURATE", fancy_upscaling=True
        )

    decoded = tf.case(
        [(reach >= 8, at(8)), (reach >= 4, at(4)), (reach >= 2, at(2))], default=at(1)
    )
    return decoded, orientation_of(said["exif"], said["turned"], may_be_damaged=True)
