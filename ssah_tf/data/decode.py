"""The one rule by which an image file becomes the array that an encoder takes."""

import io
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from ssah_tf.data.colour import profile_of, to_srgb
from ssah_tf.data.levels import Levels
from ssah_tf.data.open_picture import open_picture
from ssah_tf.system.errors import ImageError
from ssah_tf.system.text import first_line, printable

#: Version of the rule below; it rises when any pixel changes. Rule 1 knew no colour profiles, and
#: kept the highest byte of more than 8 bits.
RULE = 2

#: Images with more pixels than this are refused before they are decoded.
MAX_PIXELS = 150_000_000

# Pillow warns from half of its own limit, 179 million pixels, on; the limit above stands for it.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def decode(
    source: str | Path | bytes | BinaryIO,
    size: int,
    name: str | None = None,
    max_pixels: int | None = None,
) -> np.ndarray:
    """Decode an image file, crop it to its central square and resize that.

    The rule, in this order: the decoder of its format, of a raw file the preview, the first frame
    or primary image, turned upright by EXIF or by what the format has for that, transparency laid
    on white, sRGB, centre crop to a square, bilinear resize with antialiasing. A JPEG of four times
    `size` or more is decoded at 1/2, 1/4 or 1/8 of its size, which libjpeg does much quicker, but
    never below twice `size` on its shorter side.

    Args:
        source: Path of the file, its bytes, or the open file.
        size: Side of the square result in pixels.
        name: What error messages call the image; the path by default.
        max_pixels: Images with more are refused before they are decoded; `MAX_PIXELS` by default.

    Returns:
        uint8 array of shape `(size, size, 3)`, RGB.

    Raises:
        ImageError: The file is missing, empty, corrupt, truncated or too large. One line.
    """
    with readable(source, size, name, max_pixels, cut=True) as image:
        return square(image, size)


def regular(path: str | Path, name: str) -> os.stat_result:
    """Facts of a file, which is no pipe or device: reading one could wait for ever.

    Args:
        path: The file.
        name: What error messages call it.

    Raises:
        ImageError: It is something else.
        OSError: It is not there.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise ImageError(f"{printable(name)}: not a regular file")
    return found


@contextmanager
def readable(
    source: str | Path | bytes | BinaryIO,
    size: int,
    name: str | None = None,
    max_pixels: int | None = None,
    *,
    cut: bool = False,
) -> Iterator[Image.Image]:
    """An image file, upright, RGB, not smaller than twice `size` but for small originals.

    See `decode`. What goes wrong with the image within the block is an `ImageError`, too.

    Args:
        source: See `decode`.
        size: See `decode`.
        name: See `decode`.
        max_pixels: See `decode`.
        cut: Whether the central square is enough.

    Raises:
        ImageError: The file is missing, empty, corrupt, truncated or too large. One line.
    """
    name = printable(name or ("image" if isinstance(source, bytes) else str(source)))
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    try:
        if isinstance(source, str | Path):
            regular(source, name)
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        try:
            opened = open_picture(file)
        except ImageError as error:
            raise ImageError(f"{name}: {error}") from None
        with opened as image:
            if image.width * image.height > limit:
                raise ImageError(
                    f"{name}: {image.width} x {image.height} pixels, the limit is {limit:,}"
                )
            if image.format in ("JPEG", "MPO"):  # a draft of HEIC is another picture
                image.draft(None, (2 * size, 2 * size))
            try:
                rgb = to_rgb(image, lambda: open_picture(file), keep=False, cut=cut)
            except ImageError as error:
                raise ImageError(f"{name}: {error}") from None
            yield rgb
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name}: more than {limit:,} pixels, the limit") from None
    except MemoryError:
        raise ImageError(f"{name}: not enough memory to decode it") from None
    # Pillow raises almost any exception on a damaged file: struct.error, SyntaxError, KeyError...
    except Exception as error:
        reason = first_line(error)
        raise ImageError(f"{name}: cannot be read as an image ({reason})") from None


def square(image: Image.Image, size: int) -> np.ndarray:
    """The central square of an RGB image at a side of `size`, uint8 `(size, size, 3)`.

    Cropped to whole pixels first, then resized: a square is resized alike by every Pillow, while
    tall images are not (Pillow 13 takes the vertical pass first, python-pillow/Pillow#9549).
    """
    return np.asarray(central(image).resize((size, size), Image.Resampling.BILINEAR))


def central(image: Image.Image) -> Image.Image:
    """The central square of a picture, whole pixels."""
    side = min(image.size)
    if side == max(image.size):
        return image
    left, top = ((length - side) // 2 for length in image.size)
    return image.crop((left, top, left + side, top + side))


def to_rgb(
    image: Image.Image,
    again: Callable[[], Image.Image] | None = None,
    *,
    keep: bool = True,
    cut: bool = False,
) -> Image.Image:
    """Turn a picture upright, and convert it to 8 bits, sRGB, transparent parts laid on white.

    Args:
        image: Any mode of Pillow; a file whose pixels were not read yet says most of itself.
        again: Opens the file once more.
        keep: Leave the picture itself as it is.
        cut: Whether the central square is enough. Ranges are those of the whole picture.

    Raises:
        ImageError: What its values mean cannot be told, or it is not converted here.
    """
    profile, levels = profile_of(image), Levels.of(image)
    if keep:
        image = ImageOps.exif_transpose(image)
    else:
        ImageOps.exif_transpose(image, in_place=True)
    image, holes = levels.of_pixels(image, again)
    if holes is not None:
        image.info.pop("transparency", None)
    if cut:
        image = central(image)
    image = to_srgb(image, profile)
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    if holes is not None:
        mask = Image.fromarray(holes)
        image.paste((255, 255, 255), None, central(mask) if cut else mask)
    return image
