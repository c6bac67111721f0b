"""What the tags of a TIFF file say of its numbers, and what Pillow makes of them otherwise."""

import sys
from collections.abc import Iterable
from typing import IO, Any, BinaryIO

from PIL.TiffImagePlugin import OPEN_INFO, ImageFileDirectory_v2, TiffImageFile

from ssah_tf.data.raw_mode import change_raw_mode, raw_mode, raw_mode_of
from ssah_tf.data.samples import Samples
from ssah_tf.system.errors import ImageError

BITS, PHOTOMETRIC, FILL_ORDER, COUNT, PLANES = 258, 262, 266, 277, 284
SMALLEST, LARGEST, COLOURS, EXTRA, FORMAT, S_SMALLEST, S_LARGEST = (
    280, 281, 320, 338, 339, 340, 341,
)  # fmt: skip
SUBSAMPLING = 530
#: Tags of raw files: of all of them, and of DNG alone.
SUBFILE, MAKE, SUB_IFDS, DNG = 254, 271, 330, 50706
#: Photometric interpretations of what a sensor saw: a mosaic of colours, linear colours.
SENSOR = (32803, 34892)
#: Where a CR2 file says what it is.
CR2 = slice(8, 10)
#: Names of the sample formats.
FORMATS = {1: "unsigned", 2: "signed", 3: "float", 4: "undefined", 5: "complex", 6: "complex"}
#: What Pillow calls big-endian numbers that libtiff has turned already.
TURNED = ("I;16BS", "I;32BS", "F;32BF")
#: Modes whose compressed planes Pillow puts together.
IN_PLANES = ("L", "I;16", "I;16B", "RGB", "RGBA", "CMYK")
NO_PLANES = "a TIFF file of separate planes of such a kind ({}) is not read: save it as one plane"


def samples_of(image: TiffImageFile) -> Samples:
    """What the tags say of the numbers."""
    tags = image.tag_v2
    bits = max(numbers(tags.get(BITS, 1)), default=1)
    white_is_zero = tags.get(PHOTOMETRIC, 0) == 0 and image.mode not in ("1", "L")
    declared = [*numbers(tags.get(LARGEST)), *numbers(tags.get(S_LARGEST))]
    lowest = [*numbers(tags.get(SMALLEST)), *numbers(tags.get(S_SMALLEST))]
    return Samples(
        bits=int(bits),
        signed=set(numbers(tags.get(FORMAT, 1))) == {2},
        white_is_zero=white_is_zero,
        smallest=min(lowest, default=0),
        largest=max(declared, default=0),
    )


def numbers(value: Any) -> list[float]:
    """The numbers of a tag that may be missing, one, or several."""
    values: Iterable[Any] = value if isinstance(value, tuple) else (value,)
    return [one for one in values if isinstance(one, int | float)]


def mend(image: TiffImageFile) -> None:
    """Have Pillow read what it would read wrongly, or refuse it. Before the pixels are read.

    - Big-endian numbers with a sign, and floats, are in the order of the machine if they were
      compressed; Pillow 13 turns them once more.
    - Uncompressed planes are taken for 8 bits each, unturned and unscaled.
    - A palette of 8 bits in 16 would be black.

    Raises:
        ImageError: It would be read wrongly.
    """
    tags, mode = image.tag_v2, raw_mode(image)
    if not mode:
        return
    codec = image.tile[0].codec_name
    if codec == "libtiff" and mode in TURNED and sys.byteorder == "little":
        change_raw_mode(image, lambda old: old.replace("B", "", 1))
    if tags.get(PLANES, 1) == 2:
        if max(numbers(tags.get(COUNT, 1)), default=1) == 1:
            change_raw_mode(image, lambda old: whole_mode(image) if codec == "raw" else old)
        elif codec == "raw":
            for_planes(image)
        elif image.mode not in IN_PLANES:
            raise ImageError(NO_PLANES.format(image.mode))
    if codec == "raw" and image.mode == "YCbCr" and tags.get(SUBSAMPLING, (2, 2)) != (1, 1):
        raise ImageError("uncompressed TIFF in YCbCr with fewer colours is not read: save it anew")
    if image.mode in ("P", "PA") and image.palette is not None:
        colours = tags.get(COLOURS, ())
        if colours and max(colours) < 256:
            image.palette.palette = bytes(colours)


def whole_mode(image: TiffImageFile) -> str:
    """The raw mode of a single plane, which Pillow cuts to its first letter."""
    tags = image.tag_v2
    key = (
        tags.prefix,
        tags.get(PHOTOMETRIC, 0),
        tuple(tags.get(FORMAT, (1,))),
        tags.get(FILL_ORDER, 1),
        tuple(tags.get(BITS, (1,))),
        tuple(tags.get(EXTRA, ())),
    )
    return OPEN_INFO[key][1]


def for_planes(image: TiffImageFile) -> None:
    """Name the raw modes of several uncompressed planes.

    Raises:
        ImageError: Pillow has none.
    """
    bits = max(numbers(image.tag_v2.get(BITS, 1)), default=1)
    named = {raw_mode_of(tile) for tile in image.tile} <= set("RGBA" if bits == 16 else "RGBACMYK")
    if bits not in (8, 16) or not named or image.mode not in ("RGB", "RGBA", "CMYK"):
        raise ImageError(NO_PLANES.format(image.mode))
    if bits == 16:
        ending = ";16L" if image.tag_v2.prefix == b"II" else ";16B"
        change_raw_mode(image, lambda old: old + ending)


def first_tags(stream: IO[bytes]) -> ImageFileDirectory_v2:
    """The tags of the first picture of a TIFF file; none for another file.

    Raises:
        Exception: Almost any, on a damaged file.
    """
    stream.seek(0)
    head = stream.read(8)
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return ImageFileDirectory_v2()
    tags = ImageFileDirectory_v2(head)
    stream.seek(tags.next)
    tags.load(stream)
    return tags


def is_raw(stream: IO[bytes]) -> bool:
    """Whether a file is a TIFF file as cameras write it: what a sensor saw, beside a preview.

    That is DNG and CR2 by their own marks; of others (NEF, ARW) the first picture is a small copy,
    of a camera that is named, and what it is a copy of lies in a directory below.

    Args:
        stream: The file; its place is kept.
    """
    place = stream.tell()
    try:
        tags = first_tags(stream)
        stream.seek(0)
        if stream.read(CR2.stop)[CR2] == b"CR":
            return bool(tags)
        is_copy = tags.get(SUBFILE) == 1 and SUB_IFDS in tags and MAKE in tags
        return DNG in tags or is_copy or tags.get(PHOTOMETRIC) in SENSOR
    except Exception:  # damaged
        return False
    finally:
        stream.seek(place)


def unread(stream: BinaryIO) -> str:
    """Why a TIFF file is not opened: its kind of numbers; "" if it is no TIFF file."""
    try:
        tags = first_tags(stream)
        if not tags:
            return ""
        bits, forms = numbers(tags.get(BITS, 1)), numbers(tags.get(FORMAT, 1))
        kind = " or ".join(sorted({FORMATS.get(int(form), "unknown") for form in forms}))
        return (
            f"a TIFF file of {max(numbers(tags.get(COUNT, 1))):.0f} samples a pixel, {kind}, of "
            f"{max(bits):.0f} bits, photometric {tags.get(PHOTOMETRIC)}: not read; save it as 8 or "
            "16 bits, grey or RGB"
        )
    except Exception:  # damaged
        return "a damaged TIFF file"
