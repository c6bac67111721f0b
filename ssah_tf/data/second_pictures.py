"""What a photo has beside the picture that is coded: a gain map, depth, a video, more pictures."""

import os
import re
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image
from PIL.MpoImagePlugin import MpoImageFile

from ssah_tf.data.decode import regular
from ssah_tf.data.formats import BESIDE_RAW, ending_of
from ssah_tf.data.open_picture import open_picture
from ssah_tf.data.side_files import FILM

GAIN_MAP, DEPTH_MAP, VIDEO, OTHER = "gain map", "depth map", "video", "second picture"

#: What an XMP packet says of its file, which may be anything -> our word for it.
IN_XMP = {
    rb'hdrgm:Version|Semantic="GainMap"': GAIN_MAP,
    rb'GDepth:|Semantic="Depth': DEPTH_MAP,
    rb'(MotionPhoto|MicroVideo)(="1"|>1<)|Semantic="MotionPhoto"': VIDEO,
    rb"GCamera:BurstID": "one of a burst",
}
#: Kinds of further pictures in an MPO file -> our word; its thumbnails are not worth one.
IN_MPO = {
    "Multi-Frame Image: (Disparity)": "view of the other eye",
    "Multi-Frame Image: (Multi-Angle)": "view from elsewhere",
    "Multi-Frame Image (Panorama)": "part of a panorama",
    "Undefined": OTHER,
}
#: Auxiliary images of HEIC files -> our word.
IN_HEIC = {"hdrgainmap": GAIN_MAP, "auxid:2": DEPTH_MAP}
#: Tags of an MPO file, of Samsung's directory of what stands behind a JPEG.
MP_ENTRIES, SEF_VIDEO = 0xB002, 0x0A30
#: Bytes of a second picture in which it says what it is.
HEAD = 2**16


def second_pictures(path: str) -> str:
    """What is in the file of a photo behind its picture, and the video of a live photo.

    Args:
        path: The file; what is no image, or cannot be read, has nothing.

    Returns:
        Such as "gain map, video" or "video IMG_1.MOV"; "" for nothing.
    """
    try:
        regular(path, path)
        with open(path, "rb") as stream, open_picture(stream) as image:
            found = [*in_picture(image, stream), *behind(stream)]
    except Exception:  # Pillow raises almost any on a damaged file
        return ""
    return ", ".join(dict.fromkeys((*found, *film_of(path))))


def in_picture(image: Image.Image, stream: BinaryIO) -> Iterator[str]:
    """What the head of a file says of it."""
    packet = image.info.get("xmp", b"")
    said = [word for pattern, word in IN_XMP.items() if re.search(pattern, packet)]
    yield from said
    yield from in_heic(image.info)
    if isinstance(image, MpoImageFile) and not said:
        for number, entry in enumerate((image.mpinfo or {}).get(MP_ENTRIES, [])[1:], 1):
            word = IN_MPO.get(entry["Attribute"]["MPType"], "")
            if word == OTHER:
                image.seek(number)
                stream.seek(image.offset)
                word = GAIN_MAP if b"HDRGainMap" in stream.read(HEAD) else OTHER  # Apple's
            if word:
                yield word


def in_heic(info: dict[str | tuple[int, int], object]) -> Iterator[str]:
    """What pillow-heif says of a file."""
    if info.get("depth_images"):
        yield DEPTH_MAP
    kinds = info.get("aux")
    for kind in kinds if isinstance(kinds, dict) else ():
        yield from (word for end, word in IN_HEIC.items() if str(kind).endswith(end))


def behind(stream: BinaryIO) -> Iterator[str]:
    """What Samsung's directory at the end of a file has: a video is told, if it is no other way."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 8))
    tail = stream.read(8)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"SEFT" or not 12 <= length <= min(size - 8, HEAD):
        return
    stream.seek(size - 8 - length)
    directory = stream.read(length)
    entries = (directory[at : at + 12] for at in range(12, length, 12))
    if directory[:4] == b"SEFH" and any(
        int.from_bytes(entry[2:4], "little") == SEF_VIDEO for entry in entries
    ):
        yield VIDEO


def film_of(path: str) -> Iterator[str]:
    """The video of a live photo, a file of its name."""
    if ending_of(path) in BESIDE_RAW:
        stem, _ = os.path.splitext(path)
        for ending in (FILM, FILM.upper()):
            if os.path.isfile(stem + ending):
                yield f"{VIDEO} {os.path.basename(stem)}{ending}"
                return
