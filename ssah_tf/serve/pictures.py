"""Pictures of photos: drawn anew from files of the index that lie inside its roots."""

import io
import os
import stat
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from ssah_tf.data.decode import readable, square
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import printable

#: Side of a thumbnail in pixels; small originals keep their size.
THUMBNAIL = 320
#: Longest side of a large picture.
LARGE = 2048
#: Pictures up to this size are sent without loss.
SMALL = 64
#: Bytes of thumbnails that are kept.
KEPT = 64 * 2**20
#: No link is followed and no pipe waited for, where a system knows how; no end of line is changed.
FLAGS = os.O_RDONLY
for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
    FLAGS |= getattr(os, name, 0)


class Refused(SsahError):
    """A file that is not shown."""


def open_inside(path: str, roots: Sequence[str]) -> BinaryIO:
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


class Thumbnails:
    """Draws thumbnails; keeps those that were wanted last.

    No byte of a file is ever sent: what is not an image cannot leave, and what is one leaves
    without its metadata, such as the place where it was taken.
    """

    def __init__(self, kept: int = KEPT):
        self.kept = kept
        self.size = 0
        self._cache: OrderedDict[tuple, tuple[bytes, str]] = OrderedDict()
        self._lock = threading.Lock()

    def draw(self, path: str, roots: Sequence[str]) -> tuple[bytes, str]:
        """The central square, which is what the encoder sees, and its media type.

        Raises:
            Refused: See `open_inside`.
            ImageError: The file is not an image any more.
        """
        with open_inside(path, roots) as stream:
            found = os.fstat(stream.fileno())
            key = (path, found.st_ino, found.st_size, found.st_mtime_ns)
            with self._lock:
                if key in self._cache:
                    self._cache.move_to_end(key)
                    return self._cache[key]
            with readable(stream, THUMBNAIL // 2, name=os.path.basename(path)) as image:
                side = min(THUMBNAIL, *image.size)
                drawn = encoded(square(image, side))
        with self._lock:
            if key not in self._cache:
                self._cache[key] = drawn
                self.size += len(drawn[0])
            while self.size > self.kept:
                _, (content, _) = self._cache.popitem(last=False)
                self.size -= len(content)
        return drawn


def large(path: str, roots: Sequence[str]) -> tuple[bytes, str]:
    """The whole picture, not larger than a screen, and its media type.

    Raises:
        Refused: See `open_inside`.
        ImageError: The file is not an image any more.
    """
    with (
        open_inside(path, roots) as stream,
        readable(stream, LARGE // 2, name=printable(os.path.basename(path))) as image,
    ):
        image.thumbnail((LARGE, LARGE), Image.Resampling.LANCZOS)
        return encoded(np.asarray(image))


def encoded(pixels: np.ndarray) -> tuple[bytes, str]:
    """Pixels `(height, width, 3)` as the bytes of a file, and its media type.

    An image of Pillow would bring its comments along.
    """
    image = Image.fromarray(pixels)
    stream = io.BytesIO()
    if max(image.size) <= SMALL:
        image.save(stream, "PNG")
        return stream.getvalue(), "image/png"
    image.save(stream, "JPEG", quality=85)
    return stream.getvalue(), "image/jpeg"
