"""The one rule by which an image file becomes the array that an encoder takes."""

import io
import os
import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ssah_tf.errors import ImageError
from ssah_tf.printable import printable

#: File name endings that count as images when a folder is scanned.
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})

#: Images with more pixels than this are refused before they are decoded.
MAX_PIXELS = 150_000_000

# Pillow warns from half of its own limit, 179 million pixels, on; the limit above stands for it.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def decode(source: str | Path | bytes, size: int, name: str | None = None) -> np.ndarray:
    """Decode an image file, crop it to its central square and resize that.

    The rule, in this order: Pillow's decoder, the first frame, EXIF orientation applied,
    transparency laid on white, RGB, centre crop to a square, bilinear resize with antialiasing. A
    JPEG of four times `size` or more is decoded at 1/2, 1/4 or 1/8 of its size, which libjpeg
    does much quicker, but never below twice `size` on its shorter side.

    Args:
        source: Path of the file, or its bytes.
        size: Side of the square result in pixels.
        name: What error messages call the image; the path by default.

    Returns:
        uint8 array of shape `(size, size, 3)`, RGB.

    Raises:
        ImageError: The file is missing, empty, corrupt, truncated or too large. One line.
    """
    name = printable(name or ("image" if isinstance(source, bytes) else str(source)))
    try:
        if not isinstance(source, bytes) and not stat.S_ISREG(os.stat(source).st_mode):
            raise ImageError(f"{name}: not a regular file")  # reading a pipe would wait for ever
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with Image.open(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(
                    f"{name}: {image.width} x {image.height} pixels, the limit is {MAX_PIXELS:,}"
                )
            image.draft(None, (2 * size, 2 * size))  # JPEG only
            ImageOps.exif_transpose(image, in_place=True)
            return square(to_rgb(image), size)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except UnidentifiedImageError:
        raise ImageError(f"{name}: empty, or not an image") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name}: more than {MAX_PIXELS:,} pixels, the limit") from None
    except MemoryError:
        raise ImageError(f"{name}: not enough memory to decode it") from None
    # Pillow raises almost any exception on a damaged file: struct.error, SyntaxError, KeyError...
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ImageError(f"{name}: cannot be read as an image ({reason})") from None


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
