"""What AVIF and HEIC files say of their colours in their boxes (ISO/IEC 14496-12, 23008-12)."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from ssah_tf.data.code_points import coded_profile

#: Boxes of a file that are looked at, and bytes of the one with the properties of its images.
MOST_BOXES, MOST_BYTES = 1_000, 4 * 2**20
#: Code points for "not specified": BT.709's primaries and sRGB's curve are meant.
UNSPECIFIED, BT709, SRGB = 2, 1, 13


def boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the boxes that some bytes are made of; what is cut off is left out."""
    at = 0
    while len(content) - at >= 8:
        size, name = struct.unpack_from(">I4s", content, at)
        start = at + 8
        if size == 1 and len(content) - at >= 16:
            (size,) = struct.unpack_from(">Q", content, start)
            start += 8
        end = at + size if size else len(content)
        if end < start or end > len(content):
            return
        yield name, content[start:end]
        at = end


def meta_of(stream: BinaryIO) -> bytes:
    """The content of the box `meta` of a file, wherever it lies; empty if there is none."""
    stream.seek(0)
    for _ in range(MOST_BOXES):
        head = stream.read(16)
        if len(head) < 8:
            break
        size, name = struct.unpack(">I4s", head[:8])
        length = 8
        if size == 1 and len(head) == 16:
            (size,), length = struct.unpack(">Q", head[8:]), 16
        stream.seek(length - len(head), 1)
        if name == b"meta":
            return stream.read(min(size - length, MOST_BYTES) if size else MOST_BYTES)
        if size < length:  # to the end of the file, or nonsense
            break
        stream.seek(size - length, 1)
    return b""


def first(content: bytes, name: bytes) -> bytes:
    """The content of the first box of a name; empty if there is none."""
    return next((held for found, held in boxes(content) if found == name), b"")


def properties(meta: bytes) -> list[tuple[bytes, bytes]]:
    """Names and contents of the properties of the primary image.

    Args:
        meta: The content of the box `meta`.

    Raises:
        struct.error: A box is too short.
    """
    inside = meta[4:]  # version and flags
    primary = first(inside, b"pitm")
    (wanted,) = struct.unpack_from(">I" if primary[:1] > b"\0" else ">H", primary, 4)
    held = first(inside, b"iprp")
    all_of_them = list(boxes(first(held, b"ipco")))
    found = []
    for name, table in boxes(held):
        if name != b"ipma":
            continue
        version, large = table[0], table[3] & 1
        (count,), at = struct.unpack_from(">I", table, 4), 8
        for _ in range(count):
            form = ">IB" if version else ">HB"
            item, links = struct.unpack_from(form, table, at)
            at += struct.calcsize(form)
            numbers = struct.unpack_from(f">{links}{'H' if large else 'B'}", table, at)
            at += links * (2 if large else 1)
            if item == wanted:
                places = [number & (0x7FFF if large else 0x7F) for number in numbers]
                found += [all_of_them[n - 1] for n in places if 1 <= n <= len(all_of_them)]
    return found


def nclx(stream: BinaryIO) -> tuple[int, int] | None:
    """Code points of the primaries and the transfer function of the primary image, if it has any.

    Args:
        stream: The file; its place is kept.
    """
    place = stream.tell()
    try:
        for name, content in properties(meta_of(stream)):
            if name == b"colr" and content[:4] == b"nclx":
                primaries, transfer = struct.unpack_from(">HH", content, 4)
                return primaries, transfer
    except (struct.error, IndexError):  # the decoder will say what it thinks of it
        pass
    finally:
        stream.seek(place)
    return None


def boxed_profile(image: Image.Image) -> bytes | None:
    """The colour profile of an AVIF or HEIC file, `None` for sRGB.

    Its ICC profile counts; else its code points, of which one may not be specified.

    Args:
        image: The file, its pixels not yet read.

    Raises:
        ImageError: The coding is known, and not converted here.
    """
    if isinstance(profile := image.info.get("icc_profile"), bytes):
        return profile
    if isinstance(told := image.info.get("nclx_profile"), dict):  # pillow-heif says it, Pillow not
        coding = (
            told.get("color_primaries", UNSPECIFIED),
            told.get("transfer_characteristics", SRGB),
        )
    elif image.format == "AVIF" and (stream := getattr(image, "fp", None)) is not None:
        coding = nclx(stream) or (UNSPECIFIED, UNSPECIFIED)
    else:
        return None
    primaries = BT709 if coding[0] == UNSPECIFIED else coding[0]
    return coded_profile(primaries, SRGB if coding[1] == UNSPECIFIED else coding[1])
