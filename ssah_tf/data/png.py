"""What the chunks of a PNG file say of its colours, as browsers understand them."""

import struct
from typing import BinaryIO

from PIL import Image

from ssah_tf.data.icc import rgb_profile
from ssah_tf.system.errors import ImageError

#: Colour primaries of cICP (ITU-T H.273): x and y of white, red, green and blue.
D65 = (0.3127, 0.329)
PRIMARIES = {
    1: (*D65, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),
    4: (0.31, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*D65, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (*D65, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (*D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (*D65, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
#: Transfer functions of cICP: exponents, `None` the curve of sRGB. Browsers show those of video as
#: a screen does that follows BT.1886.
EXPONENTS = {1: 2.4, 4: 2.2, 5: 2.8, 6: 2.4, 8: 1.0, 11: 2.4, 13: None, 14: 2.4, 15: 2.4}
#: Those that need a mapping of brightness, or are rare.
REFUSED = {7: "SMPTE 240M", 12: "BT.1361", 16: "PQ (HDR)", 17: "SMPTE 428", 18: "HLG (HDR)"}
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
        if full == 1 and primaries in PRIMARIES:
            if transfer in REFUSED:
                raise ImageError(f"brightness coded as {REFUSED[transfer]} is not read")
            if transfer in EXPONENTS:
                return rgb_profile(EXPONENTS[transfer], PRIMARIES[primaries])
    info = image.info
    if isinstance(profile := info.get("icc_profile"), bytes):
        return profile
    gamma, colours = info.get("gamma"), info.get("chromaticity")
    if "srgb" in info or not isinstance(gamma, float) or gamma <= 0:
        return None
    if isinstance(colours, tuple) and (made := rgb_profile(1 / gamma, colours)) is not None:
        return made
    return None if abs(gamma * 2.2 - 1) < GAMMA_SLACK else rgb_profile(1 / gamma)
