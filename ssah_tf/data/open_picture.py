"""Opens an image file with the decoder that its first bytes ask for, and no other one."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import IO, BinaryIO

from PIL import Image, UnidentifiedImageError

from ssah_tf.data.formats import (
    HEAD,
    HEIC,
    HEIF,
    PILLOW,
    RAW,
    TIFF,
    Format,
    format_of,
    no_image,
    not_read,
)
from ssah_tf.system.errors import ImageError

#: An image file: its path, or the open file.
File = str | Path | BinaryIO


def open_picture(file: File) -> Image.Image:
    """Open an image file; its pixels are not read yet.

    Most photos are JPEG files, so Pillow is asked first, and nothing else is imported for them.

    Args:
        file: The file.

    Raises:
        ImageError: It is no image, or of a format that is not read here; a phrase without a name.
        Exception: Almost any, on a damaged file.
    """
    try:
        image = Image.open(file, formats=PILLOW)
    except UnidentifiedImageError:
        found = format_in(file)
        if found is None or (found.pillow and found.read):
            raise ImageError(unidentified(file, found)) from None
    else:
        if image.format == "AVIF":  # its boxes say how it lies, and they alone
            image.info.pop("xmp", None)
        if image.format != "TIFF" or not holds_raw(image.fp):
            return image
        found = RAW
        with image:  # closes what was opened here
            pass
    if not found.read:
        raise ImageError(not_read(found))
    return OPENERS[found](file)


def format_in(file: File) -> Format | None:
    """The format of a file, by its first bytes and, of a TIFF file, by its tags."""
    with from_its_beginning(file) as stream:
        found = format_of(stream.read(HEAD))
        return RAW if found is TIFF and holds_raw(stream) else found


def holds_raw(stream: IO[bytes] | None) -> bool:
    """Whether a TIFF file is a raw file."""
    from ssah_tf.data.tiff import is_raw  # not needed for most photos

    return stream is not None and is_raw(stream)


def from_its_beginning(file: File) -> "nullcontext[BinaryIO] | BinaryIO":
    """A file to be read from its beginning; what was open stays open."""
    if isinstance(file, str | Path):
        return open(file, "rb")
    file.seek(0)
    return nullcontext(file)


def unidentified(file: File, found: Format | None) -> str:
    """What a file is that Pillow does not open, as far as its first bytes and tags say."""
    from ssah_tf.data.tiff import unread

    with from_its_beginning(file) as stream:
        if found is None:
            return no_image(stream.read(HEAD))
        return unread(stream) or (
            f"begins as {found.a}, but is damaged or of a kind that is not read"
        )


def open_heif(file: File) -> Image.Image:
    """Open a HEIC file: its primary image, which libheif turns upright."""
    from pillow_heif import HeifImageFile

    if not isinstance(file, str | Path):
        file.seek(0)
    return HeifImageFile(file)


def open_raw(file: File) -> Image.Image:
    """Open the preview of a raw file."""
    from ssah_tf.data.raw import preview

    with from_its_beginning(file) as stream:
        return preview(stream)


#: What opens the formats that Pillow does not.
OPENERS: dict[Format, Callable[[File], Image.Image]] = {
    HEIC: open_heif,
    HEIF: open_heif,
    RAW: open_raw,
}
