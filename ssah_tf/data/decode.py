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
from PIL import Image

from ssah_tf.data.cut_jpeg import mend
from ssah_tf.data.formats import JPEG
from ssah_tf.data.open_picture import File, format_in, from_its_beginning, open_picture
from ssah_tf.data.upright import Upright
from ssah_tf.system.errors import ImageError, TooManyPixels
from ssah_tf.system.text import first_line, printable

#: Version of the rule below; it rises when any pixel changes. Rule 1 knew no colour profiles, and
#: kept the highest byte of more than 8 bits.
RULE = 2

#: Images with more pixels than this are refused before they are decoded.
MAX_PIXELS = 150_000_000

#: Is called with a picture before its pixels are read, and with its width and height in the file: a
#: JPEG may have been told to be decoded at less.
Admit = Callable[[Image.Image, tuple[int, int]], None]

#: Is called with a line about a file that is damaged, and is read nevertheless.
Damaged = Callable[[str], None]

# Pillow warns from half of its own limit, 179 million pixels, on; the limit above stands for it.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


def decode(
    source: str | Path | bytes | BinaryIO,
    size: int,
    name: str | None = None,
    max_pixels: int | None = None,
    admit: Admit | None = None,
    damaged: Damaged | None = None,
) -> np.ndarray:
    """Decode an image file, crop it to its central square and resize that.

    The rule, in this order: the decoder of its format, of a raw file the preview, the first frame
    or primary image, turned upright by EXIF or by what the format has for that, transparency laid
    on white, sRGB, centre crop to a square, bilinear resize with antialiasing. A JPEG of four times
    `size` or more is decoded at 1/2, 1/4 or 1/8 of its size, which libjpeg does much quicker, but
    never below twice `size` on its shorter side.

    A JPEG that ends too early is read as far as it goes, if a small rest is missing; see
    `cut_jpeg.mend`.

    Args:
        source: Path of the file, its bytes, or the open file.
        size: Side of the square result in pixels.
        name: What error messages call the image; the path by default.
        max_pixels: Images with more are refused before they are decoded; `MAX_PIXELS` by default.
        admit: See `readable`.
        damaged: See `readable`.

    Returns:
        uint8 array of shape `(size, size, 3)`, RGB.

    Raises:
        ImageError: The file is missing, empty, corrupt or truncated. One line.
        TooManyPixels: It is too large.
    """
    with readable(source, size, name, max_pixels, admit, damaged) as image:
        return image.square(size)


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
    admit: Admit | None = None,
    damaged: Damaged | None = None,
) -> Iterator[Upright]:
    """An image file, upright, not smaller than twice `size` but for small originals.

    See `decode`. What goes wrong with the image within the block is an `ImageError`, too.

    Args:
        source: See `decode`.
        size: See `decode`.
        name: See `decode`.
        max_pixels: See `decode`.
        admit: Looks at a picture before it takes memory; an `ImageError` of it refuses the picture.
        damaged: Is told of a file whose end is missing; an `ImageError` of it refuses the file.

    Raises:
        ImageError: The file is missing, empty, corrupt or truncated. One line.
        TooManyPixels: It is too large.
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
            width, height = image.size
            if width * height > limit:
                raise TooManyPixels(f"{name}: {width} x {height} pixels, the limit is {limit:,}")
            if image.format in ("JPEG", "MPO"):  # a draft of HEIC is another picture
                image.draft(None, (2 * size, 2 * size))
            if admit is not None:
                admit(image, (width, height))
            try:
                upright = Upright(image, lambda: open_picture(file))
            except ImageError as error:
                raise ImageError(f"{name}: {error}") from None
            except OSError:
                found = mended(file, size)
                if found is None:
                    raise
                upright, why = found
                if damaged is not None:
                    damaged(f"{name}: {why}")
            yield upright
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except Image.DecompressionBombError:
        raise TooManyPixels(f"{name}: more than {limit:,} pixels, the limit") from None
    except MemoryError:
        raise ImageError(f"{name}: not enough memory to decode it") from None
    # Pillow raises almost any exception on a damaged file: struct.error, SyntaxError, KeyError...
    except Exception as error:
        reason = first_line(error)
        raise ImageError(f"{name}: cannot be read as an image ({reason})") from None


def mended(file: File, size: int) -> tuple[Upright, str] | None:
    """The picture in a JPEG file that ends too early, and what is missing; see `cut_jpeg.mend`.

    Args:
        file: The file.
        size: See `decode`.
    """
    if format_in(file) is not JPEG:
        return None
    with from_its_beginning(file) as stream:
        found = mend(stream.read())
    if found is None:
        return None
    content, why = found
    image = open_picture(io.BytesIO(content))
    image.draft(None, (2 * size, 2 * size))
    return Upright(image, lambda: open_picture(io.BytesIO(content))), why


def refuse(why: str) -> None:
    """Refuse a damaged file: training reads none, not even one that lacks only a little.

    Raises:
        ImageError: Always.
    """
    raise ImageError(why)
