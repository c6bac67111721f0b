"""PNG files in a TensorFlow graph: what their chunks say, and their pixels, laid on white."""

import tensorflow as tf

from ssah_tf.data.decode import MAX_PIXELS
from ssah_tf.export.colour_graph import is_srgb
from ssah_tf.export.exif_graph import TURNED_BY_XMP, orientation_of
from ssah_tf.export.octets_graph import begins, holds, number, octets, part, require

#: Keywords of texts that Pillow takes for what a file says of its pixels.
SPOKEN = (
    rb"exif|xmp|transparency|icc_profile|srgb|gamma|chromaticity|interlace|bbox|default_image|"
    rb"Raw profile type exif"
)
PACKET = b"XML:com.adobe.xmp\0"
#: What behind the pixels would turn them.
BEHIND = rb"eXIf|(tEXt|zTXt|iTXt)(" + SPOKEN + rb"|XML:com\.adobe\.xmp)\x00"
#: Bytes of a compressed profile that are unpacked; that of sRGB takes up to 3,000.
MOST_PROFILE = 16_384
#: gAMA of sRGB, and what `ssah_tf.data.png` takes for it.
LEAST_GAMMA, MOST_GAMMA = 43_182, 47_727
#: cICP of sRGB.
SRGB = b"\x01\x0d\x00\x01"


def walk(content: tf.Tensor) -> dict[str, tf.Tensor]:
    """What stands before the pixels of a PNG file."""
    state = {
        "at": tf.constant(8),
        "done": tf.constant(False),
        "whole": tf.constant(True),
        "exif": tf.constant(b""),
        "exifs": tf.constant(0),
        "profile": tf.constant(b""),
        "srgb": tf.constant(False),
        "coded": tf.constant(False),
        "odd": tf.constant(False),
        "gamma": tf.constant(0, tf.int64),
        "primaries": tf.constant(False),
        "clear": tf.constant(False),
        "turned": tf.constant(False),
    }

    def step(s: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        size = number(octets(content, s["at"], 4))
        left = tf.cast(tf.strings.length(content) - s["at"] - 12, tf.int64)
        whole = size <= left
        size = tf.cast(tf.where(whole, size, 0), tf.int32)
        kind, body = part(content, s["at"] + 4, 4), s["at"] + 8
        is_exif, is_profile, is_coding = kind == b"eXIf", kind == b"iCCP", kind == b"cICP"
        text_size = tf.where((kind == b"tEXt") | (kind == b"zTXt") | (kind == b"iTXt"), size, 0)
        text = part(content, body, text_size)
        spoken = tf.strings.regex_full_match(text, rb"(" + SPOKEN + rb")(\x00\C*)?")
        packet = tf.strings.regex_full_match(text, PACKET.replace(b".", rb"\.") + rb"\C*")
        packed = packet & ((kind == b"zTXt") | ((kind == b"iTXt") & ~begins(text, 18, b"\0")))
        coded = is_coding & (part(content, body, size) == SRGB)
        return {
            "at": body + size + 4,
            "done": ~whole | (kind == b"IDAT"),
            "whole": whole,
            "exif": tf.where(is_exif, part(content, body, size), s["exif"]),
            "exifs": s["exifs"] + tf.cast(is_exif, tf.int32),
            "profile": tf.where(is_profile, part(content, body, size), s["profile"]),
            "srgb": s["srgb"] | (kind == b"sRGB"),
            "coded": s["coded"] | coded,
            "odd": s["odd"] | (is_coding & ~coded) | spoken | packed,
            "gamma": tf.where(kind == b"gAMA", number(octets(content, body, 4)), s["gamma"]),
            "primaries": s["primaries"] | (kind == b"cHRM"),
            "clear": s["clear"] | (kind == b"tRNS"),
            "turned": s["turned"] | (packet & holds(text, TURNED_BY_XMP)),
        }

    return tf.while_loop(lambda s: ~s["done"], lambda s: (step(s),), (state,))[0]


def shows_srgb(said: dict[str, tf.Tensor]) -> tf.Tensor:
    """Whether the colours of a PNG file are those of sRGB. See `ssah_tf.data.png.png_profile`."""
    profile = said["profile"]

    def unpacked() -> tf.Tensor:
        named = tf.strings.regex_replace(profile, rb"^[^\x00]{0,80}\x00\x00", b"", False)
        return is_srgb(tf.io.decode_compressed(named, "ZLIB"))

    known = (said["gamma"] == 0) | (
        ~said["primaries"] & (said["gamma"] >= LEAST_GAMMA) & (said["gamma"] <= MOST_GAMMA)
    )
    size = tf.strings.length(profile)
    by_profile = tf.cond((size > 0) & (size <= MOST_PROFILE), unpacked, lambda: size == 0)
    return said["coded"] | tf.where(size > 0, by_profile, said["srgb"] | known)


def decode_png(content: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Decode with transparency laid on white.

    Returns:
        uint8 `(height, width, 3)`, and the orientation, 1 to 8.
    """
    said = walk(content)
    require(said["whole"], "PNG: its chunks are damaged")
    require(~said["odd"], "PNG: a chunk that serving_bytes does not follow")
    require(
        shows_srgb(said), "PNG: its colours are not those of sRGB, and serving_bytes converts none"
    )
    behind = part(content, said["at"], tf.strings.length(content))
    require(~holds(behind, BEHIND), "PNG: an orientation behind the pixels")
    require(said["exifs"] <= 1, "PNG: more than one chunk eXIf")
    size = number(tf.reshape(octets(content, 16, 8), [2, 4]))
    require(
        tf.reduce_prod(tf.minimum(size, 2**31)) <= MAX_PIXELS,
        f"PNG: more than {MAX_PIXELS:,} pixels, the limit",
    )
    head = octets(content, 24, 2)
    deep, kind = head[0] == 16, head[1]
    # TensorFlow decodes palettes and single bits wrongly to four channels, unless they have alpha.
    has_alpha = (kind >= 4) | said["clear"]
    pixels = tf.cond(
        deep,
        lambda: of_sixteen(content, kind, has_alpha),
        lambda: tf.cond(
            has_alpha,
            lambda: on_white(tf.io.decode_png(content, 4)),
            lambda: tf.io.decode_png(content, 3),
        ),
    )
    return pixels, orientation_of(said["exif"], said["turned"], may_be_damaged=False)


def of_sixteen(content: tf.Tensor, kind: tf.Tensor, has_alpha: tf.Tensor) -> tf.Tensor:
    """16 bits as 8, whatever of them is filled. See `ssah_tf.data.samples.depth`."""
    values = tf.cast(tf.io.decode_png(content, 4, tf.uint16), tf.int32)
    seen = tf.where(kind >= 4, values, tf.gather(values, [0, 1, 2, 2], axis=-1))
    largest = tf.reduce_max(seen)
    require((kind != 4) | (largest >= 1 << 14), "PNG: grey with transparency in 14 bits or fewer")
    bits = 8 + 2 * tf.reduce_sum(tf.cast(largest >= [1 << 8, 1 << 10, 1 << 12, 1 << 14], tf.int32))
    levels = tf.bitwise.right_shift(values, bits - 8)
    clear = tf.where(values[..., 3:] > 0, 255, 0)
    alpha = tf.where(kind >= 4, levels[..., 3:], tf.where(has_alpha, clear, 255))
    return on_white(tf.concat([levels[..., :3], alpha], axis=-1))


def on_white(pixels: tf.Tensor) -> tf.Tensor:
    """Lay RGBA on white, as Pillow's `alpha_composite` does; uint8 `(height, width, 3)`."""
    rgba = tf.cast(pixels, tf.int32)
    rgb, alpha = rgba[..., :3], rgba[..., 3:]
    # Pillow on an opaque white ground: weights with 7 more bits, then one rounding.
    weight = 128 * alpha
    mixed = rgb * weight + 255 * (128 * 255 - weight) + 128 * 128
    return tf.cast((mixed // 256 + mixed) // 256 // 128, tf.uint8)
