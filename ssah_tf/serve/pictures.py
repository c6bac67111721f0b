"""Pictures of photos: drawn anew from files of the index that lie inside its roots."""

import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from ssah_tf.data.decode import Admit, readable
from ssah_tf.system.errors import SsahError

#: Side of a thumbnail in pixels; small originals keep their size.
THUMBNAIL = 320
#: Longest side of a large picture.
LARGE = 2048
#: Longest side of the picture of what is searched for.
PREVIEW = 480
#: Pictures up to this size are sent without loss.
SMALL = 64
#: No link is followed and no pipe waited for, where a system knows how; no end of line is changed.
FLAGS = os.O_RDONLY
for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    FLAGS |= getattr(os, name, 0)

#: Size and time of the last change: by them a file is told from another one at its path.
Stamp = tuple[int, int]


class Refused(SsahError):
    """A file that is not shown."""


def open_inside(path: str, roots: Sequence[str]) -> io.BufferedReader:
    """Open a regular file that lies, all links followed, inside one of some folders.

    Args:
        path: The file, as the index names it.
        roots: Folders or files without links in their paths.

    Raises:
        Refused: It is gone, lies elsewhere, or is no regular file.
    """
    gone = Refused("the file of this photo is gone, or is not what it was: run `ssah index` again")
    try:
        real = os.path.realpath(path)
        if not any(Path(real).is_relative_to(root) for root in roots):
            raise gone
        descriptor = os.open(real, FLAGS)
    except (OSError, ValueError):
        raise gone from None
    try:
        opened = os.fstat(descriptor)
        # What was swapped since `realpath` is noticed.
        same = os.path.realpath(path) == real and os.path.samestat(os.stat(real), opened)
        if not (same and stat.S_ISREG(opened.st_mode)):
            raise gone
        return os.fdopen(descriptor, "rb")
    except (OSError, Refused):
        os.close(descriptor)
        raise gone from None


def stamp_of(stream: BinaryIO) -> Stamp:
    """The stamp of an open file."""
    found = os.fstat(stream.fileno())
    return found.st_size, found.st_mtime_ns


def thumbnail(stream: BinaryIO, name: str, admit: Admit | None = None) -> bytes:
    """The central square of a picture, which is what the encoder sees, as a file.

    No byte of a file is ever sent: what is not an image cannot leave, and what is one leaves
    without its metadata, such as the place where it was taken.

    Args:
        stream: The file.
        name: What error messages call it.
        admit: See `decode.readable`.

    Raises:
        ImageError: The file is not an image any more.
    """
    with readable(stream, THUMBNAIL // 2, name, admit=admit) as image:
        return encoded(image.square(min(THUMBNAIL, *image.size)))


def large(stream: BinaryIO, name: str, admit: Admit | None = None) -> bytes:
    """The whole picture, not larger than a screen, as a file. See `thumbnail`."""
    return whole(stream, LARGE, name, admit=admit)


def whole(
    source: bytes | BinaryIO,
    longest: int,
    name: str,
    max_pixels: int | None = None,
    admit: Admit | None = None,
) -> bytes:
    """The whole picture as a file. See `thumbnail`.

    Args:
        source: The file, or its bytes.
        longest: What its longest side has at most, in pixels.
        name: See `thumbnail`.
        max_pixels: See `decode.decode`.
        admit: See `thumbnail`.
    """
    with readable(source, longest // 2, name, max_pixels, admit) as image:
        shrink = min(1, longest / max(image.size))
        width, height = (max(1, round(length * shrink)) for length in image.size)
        return encoded(np.asarray(image.resized((width, height), None, Image.Resampling.LANCZOS)))


def encoded(pixels: np.ndarray) -> bytes:
    """Pixels `(height, width, 3)` as the bytes of a file.

    An image of Pillow would bring its comments along.
    """
    image = Image.fromarray(pixels)
    stream = io.BytesIO()
    if max(image.size) <= SMALL:
        image.save(stream, "PNG")
    else:
        image.save(stream, "JPEG", quality=85)
    return stream.getvalue()


def media_type(picture: bytes) -> str:
    """The media type of what `encoded` makes."""
    return "image/png" if picture.startswith(b"\x89PNG") else "image/jpeg"
