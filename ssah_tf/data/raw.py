"""Raw files of cameras: the preview that the camera has put into them."""

import io
from typing import BinaryIO

import rawpy
from PIL import Image
from PIL.ExifTags import Base

from ssah_tf.system.errors import ImageError

#: Previews whose shorter side has fewer pixels are refused: they are thumbnails of a screen.
SMALLEST = 240
#: Bytes at the beginning of a preview that may be of LibRaw, which puts some 1,400 there.
HEAD = 2048
#: How LibRaw says that a picture is to be turned -> EXIF's word for it.
ORIENTATION = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}
#: Orientations of pictures that lie on their sides.
ON_ITS_SIDE = (5, 6, 7, 8)
#: What LibRaw says -> what is the matter.
WHY: dict[type[Exception], str] = {
    rawpy.LibRawFileUnsupportedError: "of a kind that LibRaw does not know",
    rawpy.LibRawNoThumbnailError: "without a preview",
}
ADVICE = "develop it and save it as JPEG"


def preview(stream: BinaryIO) -> Image.Image:
    """The largest preview of a raw file, its orientation in its EXIF data; not yet decoded.

    What the sensor saw is not developed: programs differ in what they make of it, and the preview
    is what the camera showed.

    Args:
        stream: The file.

    Raises:
        ImageError: LibRaw does not know the file, or it has no preview, or a small one.
    """
    content = stream.read()
    try:
        with rawpy.imread(io.BytesIO(content)) as raw:
            found, sizes = raw.extract_thumb(), raw.sizes
    except (rawpy.LibRawError, NotImplementedError) as error:
        why = WHY.get(
            type(error), "that is damaged, or whose preview is of a kind that is not read"
        )
        raise ImageError(f"a raw image {why}; {ADVICE}") from None
    data = found.data
    whole = data if isinstance(data, bytes) else data.tobytes()
    if not lies_in(whole, content):
        raise ImageError(f"a raw image whose preview is cut off; {ADVICE}")
    if isinstance(data, bytes):  # a JPEG file
        image: Image.Image = Image.open(io.BytesIO(data), formats=("JPEG",))
    else:
        image = Image.fromarray(data)
    if min(image.size) < SMALLEST:
        raise ImageError(
            f"a raw image whose preview has {image.width} x {image.height} pixels, fewer than "
            f"{SMALLEST} on a side; {ADVICE}"
        )
    exif = image.getexif()
    orientation = exif.get(Base.Orientation) or ORIENTATION.get(sizes.flip, 1)
    if orientation in ON_ITS_SIDE and stands(*image.size) * stands(sizes.width, sizes.height) < 0:
        orientation = 1  # the camera has turned the preview, and not what the sensor saw
    exif[Base.Orientation] = orientation
    return image


def lies_in(preview: bytes, content: bytes) -> bool:
    """Whether a preview is in a file as a whole, but for its beginning.

    Behind the end of a file that is cut off LibRaw hands out whatever was in memory. That may be
    the rest of the same preview, or go on as a flat picture does; so an end that is somewhere in
    the file proves nothing.
    """
    return preview[min(HEAD, len(preview) // 2) :] in content


def stands(width: int, height: int) -> int:
    """1 for an upright format, -1 for one on its side, 0 for a square."""
    return (height > width) - (height < width)
