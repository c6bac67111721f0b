"""Colours as sRGB, whatever profile a picture carries."""

import io
from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image

from ssah_tf.data.icc import is_srgb
from ssah_tf.data.png import cicp, png_profile

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

#: Transforms that are kept.
KEPT = 16
#: Formats of Pillow whose files are boxes.
IN_BOXES = ("AVIF", "HEIF")
#: Modes that a profile of grey is for.
GREY = ("L", "LA")
#: Modes with transparency.
ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")


def profile_of(image: Image.Image) -> bytes | None:
    """The colour profile that a picture carries, `None` for none.

    Args:
        image: A picture; a file before its pixels are read, for a PNG file can go on behind them.

    Raises:
        ImageError: It says how its colours are coded, and that is not converted here.
    """
    if image.format == "PNG":
        stream = getattr(image, "fp", None) if getattr(image, "tile", None) else None
        return png_profile(image, cicp(stream) if stream is not None else None)
    if image.format in IN_BOXES:
        from ssah_tf.data.boxes import boxed_profile  # not needed for most photos

        return boxed_profile(image)
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) else None


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """A picture in RGB or RGBA (of RGBA, LA and the like), its colours converted to sRGB.

    A profile that is broken, or of another kind of colours than the picture, is passed over, as
    browsers do.

    Args:
        image: 8 bits a sample, or a palette.
        profile: What it carries.
    """
    has_alpha = image.mode in ALPHA or (image.mode == "P" and "transparency" in image.info)
    if image.mode == "La":
        image = image.convert("LA")
    change = None
    if profile:
        kind = profile[16:20]
        if kind == b"GRAY" and image.mode in GREY:
            change = transform(profile, "L")
        elif kind == b"CMYK" and image.mode == "CMYK":
            change = transform(profile, "CMYK")
        elif kind == b"RGB " and image.mode not in ("CMYK", "LAB"):
            change = transform(profile, "RGB")
    if change is None:
        wanted = "RGBA" if has_alpha else "RGB"
        return image if image.mode == wanted else image.convert(wanted)
    from PIL import ImageCms

    colours = image.convert(change.input_mode)
    converted = ImageCms.applyTransform(colours, change)
    assert converted is not None
    if has_alpha:
        converted.putalpha(image.convert("RGBA").getchannel("A"))
    return converted


@lru_cache(maxsize=KEPT)
def transform(profile: bytes, mode: str) -> "ImageCmsTransform | None":
    """The way from a profile to sRGB; `None` if it is sRGB already, or broken.

    Threads may share it: Little CMS changes nothing in it.

    Args:
        profile: Its bytes.
        mode: Of the pictures: "RGB", "L" or "CMYK".
    """
    if is_srgb(profile):
        return None
    from PIL import ImageCms  # slow to import, and most pictures are sRGB

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (OSError, ImageCms.PyCMSError):
        return None
