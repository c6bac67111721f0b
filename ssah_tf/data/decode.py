"""The one rule by which an image file becomes the array that an encoder takes."""

import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ssah_tf.data.formats import HEAD, begins_as, not_read
from ssah_tf.system.errors import ImageError
from ssah_tf.system.text import first_line, printable

#: The only decoders of Pillow that are used, whatever a file is called: others are less looked
#: after, and that of EPS runs Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF")

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

    The rule, in this order: Pillow's decoder, the first frame, EXIF orientation applied,
    transparency laid on white, RGB, centre crop to a square, bilinear resize with antialiasing. A
    JPEG of four times `size` or more is decoded at 1/2, 1/4 or 1/8 of its size, which libjpeg
    does much quicker, but never below twice `size` on its shorter side.

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
    with readable(source, size, name, max_pixels) as image:
        return square(to_rgb(image), size)


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
) -> Iterator[Image.Image]:
    """An image file, upright, not smaller than twice `size` but for small originals.

    See `decode`. What goes wrong with the image within the block is an `ImageError`, too.

    Raises:
        ImageError: The file is missing, empty, corrupt, truncated or too large. One line.
    """
    name = printable(name or ("image" if isinstance(source, bytes) else str(source)))
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    try:
        if isinstance(source, str | Path):
            regular(source, name)
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > limit:
                raise ImageError(
                    f"{name}: {image.width} x {image.height} pixels, the limit is {limit:,}"
                )
            image.draft(None, (2 * size, 2 * size))  # JPEG only
            ImageOps.exif_transpose(image, in_place=True)
            yield image
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name}: {unidentified(source)}") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name}: more than {limit:,} pixels, the limit") from None
    except MemoryError:
        raise ImageError(f"{name}: not enough memory to decode it") from None
    # Pillow raises almost any exception on a damaged file: struct.error, SyntaxError, KeyError...
    except Exception as error:
        reason = first_line(error)
        raise ImageError(f"{name}: cannot be read as an image ({reason})") from None


def unidentified(source: str | Path | bytes | BinaryIO) -> str:
    """What a file is that is none of `FORMATS`, as far as its first bytes say."""
    try:
        if isinstance(source, bytes):
            head = source[:HEAD]
        elif isinstance(source, str | Path):
            with open(source, "rb") as file:
                head = file.read(HEAD)
        else:
            source.seek(0)
            head = source.read(HEAD)
    except OSError as error:
        return error.strerror or str(error)
    if (what := begins_as(head)) is not None:
        return f"begins as a {what} image, but is damaged or of a kind that is not read"
    return not_read(head) or "empty, or not an image"


def square(image: Image.Image, size: int) -> np.ndarray:
    """The central square of an RGB image at a side of `size`, uint8 `(size, size, 3)`.

    Cropped to whole pixels first, then resized: a square is resized alike by every Pillow, while
    tall images are not (Pillow 13 takes the vertical pass first, python-pillow/Pillow#9549).
    """
    side = min(image.size)
    left, top = ((length - side) // 2 for length in image.size)
    cropped = image.crop((left, top, left + side, top + side))
    return np.asarray(cropped.resize((size, size), Image.Resampling.BILINEAR))


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any Pillow mode to RGB; transparent parts are laid on white.

    16-bit and 32-bit grey is scaled to 8 bits (Pillow's own conversion would clip it); 32-bit
    values that all fit into 16 bits are taken for 16-bit ones.
    """
    if image.mode in {"I;16", "I;16B", "I;16L", "I"}:
        grey = np.asarray(image).astype(np.int64)
        shift = 24 if grey.max() > 0xFFFF else 8
        image = Image.fromarray(np.clip(grey >> shift, 0, 255).astype(np.uint8))
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
