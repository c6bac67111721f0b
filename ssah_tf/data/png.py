"""What the chunks of a PNG file say of its colours, as browsers understand them."""

import struct
from typing import BinaryIO

from PIL import Image

from ssah_tf.data.code_points import coded_profile
from ssah_tf.data.icc import rgb_profile
from ssah_tf.system.errors import ImageError

#: gAMA counts as that of sRGB if it is so near, in parts of 1 / 2.2, as libpng has it.
GAMMA_SLACK = 0.05
#: Chunks before the pixels that are looked at.
MOST_CHUNKS = 10_000


def cicp(stream: BinaryIO) -> bytes | None:
    """The content of the chunk cICP, if there is one before the pixels; the place is kept."""
    place = stream.tell()
    try:
        stream.seek(8)
        for _ in range(MOST_CHUNKS):
            head = stream.read(8)
            if len(head) < 8 or head[4:] == b"IDAT":
                return None
            (size,) = struct.unpack(">I", head[:4])
            if head[4:] == b"cICP":
                return stream.read(min(size, 4))
            stream.seek(size + 4, 1)
        return None
    finally:
        stream.seek(place)


def png_profile(image: Image.Image, coding: bytes | None) -> bytes | None:
    """The colour profile of a PNG file, `None` for sRGB. The first that there is counts.

    - cICP, if it is known and of full range.
    - iCCP.
    - sRGB.
    - gAMA with cHRM; gAMA alone if it is more than a twentieth beside that of sRGB.

    Args:
        image: The file, its pixels not yet read: chunks behind them do not count.
        coding: Content of cICP.

    Raises:
        ImageError: The coding is known, and not converted here.
    """
    if coding is not None and len(coding) == 4:
        primaries, transfer, matrix, full = coding
        if matrix:
            raise ImageError("its chunk cICP says that it is not RGB")
        if full == 1 and (coded := coded_profile(primaries, transfer)) is not None:
            return coded
    info = image.info
    if isinstance(profile := info.get("icc_profile"), bytes):
        return profile
    gamma, colours = info.get("gamma"), info.get("chromaticity")
    if "srgb" in info or not isinstance(gamma, float) or gamma <= 0:
        return None
    if isinstance(colours, tuple) and (made := rgb_profile(1 / gamma, colours)) is not None:
        return made
    return None if abs(gamma * 2.2 - 1) < GAMMA_SLACK else rgb_profile(1 / gamma)
