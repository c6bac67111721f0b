"""JPEG files whose last bytes are missing, as an interrupted copy leaves them."""

import io
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image

#: Marker of the end of a JPEG file.
END = b"\xff\xd9"
#: Bytes in place of missing ones. What they change in the picture was not in the file.
NOISE = bytes(range(1, 255)) * 8
#: What stands where nothing was written; a scan ends in the first half of a marker, too.
FILLED = b"\0\xff"
#: Marker of a scan.
SCAN = b"\xff\xda"
#: The share of the rows that may be missing.
MAX_MISSING = 0.02
#: Rows are compared at one so-manieth of the size.
SCALE = 4
#: Of the markers 0xc0 to 0xcf, those that begin no frame.
NO_FRAME = {0xC4, 0xC8, 0xCC}


def mend(content: bytes) -> tuple[bytes, str] | None:
    """The file with an end, if all of the picture is there, or all but a small rest.

    The rest is small if it is at most `MAX_MISSING` of the rows, the last ones. They come in grey.
    A progressive file has to have begun its last scan, too.

    Args:
        content: Of a JPEG file that ends too early.

    Returns:
        A file that can be read, and what is missing, a phrase; `None` if too much is.
    """
    kept = content.rstrip(FILLED)
    if not has_all_scans(kept):
        return None
    whole = kept + END
    one, other = rows_of(whole), rows_of(kept + NOISE + next_restart(kept) + NOISE + END)
    if one is None or other is None:
        return None
    # From here on the picture depends on what follows on the end of the file.
    differ = np.flatnonzero((one != other).any(axis=1))
    missing = 1 - differ[0] / len(one) if len(differ) else 0.0
    if missing > MAX_MISSING:
        return None
    if not missing:
        return whole, "damaged: its end is missing, the picture is there"
    return whole, f"damaged: its end is missing, and {missing:.1%} of the picture"


def rows_of(content: bytes) -> npt.NDArray[np.uint8] | None:
    """Rows of the picture in a JPEG file, made smaller, uint8 `(rows, bytes)`; `None` for none."""
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            width, height = image.size
            image.draft(None, (max(1, width // SCALE), max(1, height // SCALE)))
            pixels = np.asarray(image)
    except Exception:  # Pillow raises almost any on a damaged file
        return None
    return pixels.reshape(len(pixels), -1)


def next_restart(content: bytes) -> bytes:
    """The marker at which the last scan of a file would restart next."""
    scan = content[content.rfind(SCAN) :]
    at, last = max((scan.rfind(bytes([0xFF, 0xD0 + k])), k) for k in range(8))
    return bytes([0xFF, 0xD0 + ((last + 1) % 8 if at > 0 else 0)])


def has_all_scans(content: bytes) -> bool:
    """Whether scans of all coefficients of all components have begun, in full precision."""
    at, frame = 2, b""
    while not frame:
        marker, length = content[at : at + 2], int.from_bytes(content[at + 2 : at + 4], "big")
        if len(marker) < 2 or marker[0] != 0xFF:
            return False
        if marker[1] == 0xFF:  # fill byte
            at += 1
            continue
        if 0xC0 <= marker[1] <= 0xCF and marker[1] not in NO_FRAME:
            frame = content[at + 4 : at + 2 + length]
        at += 2 + length
    left = {(part, k) for part in frame[6::3] for k in range(64)}
    scans = content[at:].split(SCAN)  # within a scan a zero follows on 0xff
    for _, scan in pairwise(scans):
        count = scan[2] if len(scan) > 2 else 0
        parts, rest = scan[3 : 3 + 2 * count : 2], scan[3 + 2 * count : 6 + 2 * count]
        if len(rest) == 3 and not rest[2] & 0x0F:
            left -= {(part, k) for part in parts for k in range(rest[0], rest[1] + 1)}
    return not left
