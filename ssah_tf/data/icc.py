"""Colour profiles as bytes: which of them are sRGB, and how one is made from a few numbers."""

import struct

import numpy as np
import numpy.typing as npt

#: Colorants of sRGB, adapted to D50, in 65,536ths: X, Y, Z of red, green and blue.
COLORANTS = (28578, 14581, 912), (25241, 46981, 6362), (9376, 3976, 46799)
#: How far colorants may lie beside these: .002, by which no colour changes by more than a level.
COLORANT_SLACK = 131
#: Parameters g, a, b, c, d of sRGB's curve in 65,536ths, and how far they may lie beside these.
CURVE = 157286, 62119, 3417, 5072, 2651
CURVE_SLACK = 66
#: Tags with look-up tables: a profile that has one is not told by its colorants and curves.
TABLES = (b"A2B0", b"A2B1", b"A2B2", b"D2B0", b"D2B1", b"D2B2", b"D2B3")
#: Tags that a profile may have.
MOST_TAGS = 100
#: The white of all profiles, D50, in 65,536ths.
D50 = 63190, 65536, 54061


def srgb_curve(level: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Light, 0 to 1, of levels of sRGB, 0 to 1 (IEC 61966-2-1)."""
    bent = ((np.maximum(level, 0) + 0.055) / 1.055) ** 2.4
    return np.where(level <= 0.04045, level / 12.92, bent)


def curve_bounds() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Between which a curve must lie at the 256 levels: sRGB's, a level lower and higher.

    Light in 65,535ths, times 255, so that curves that are tables can be compared in integers.
    """
    level = np.arange(256) / 255
    lower, upper = (srgb_curve(level + step / 255) * 65535 * 255 for step in (-1, 1))
    return np.floor(lower).astype(np.int64), np.ceil(upper).astype(np.int64)


LOWER, UPPER = curve_bounds()


def tags(profile: bytes) -> dict[bytes, bytes]:
    """What a profile holds, by the names of the tags; nothing if it is none."""
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return {}
    (count,) = struct.unpack(">I", profile[128:132])
    if count > MOST_TAGS or len(profile) < 132 + 12 * count:
        return {}
    found: dict[bytes, bytes] = {}
    for number in range(count):
        name, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        found.setdefault(name, profile[start : start + size])
    return found


def is_srgb(profile: bytes) -> bool:
    """Whether a profile is that of sRGB, or of grey with the curve of sRGB, whoever wrote it.

    Dates, makers, names and versions differ, and some write the curve as a table of 26 or of 4,096
    entries, others as a formula. What counts is that no level changes by more than one.
    """
    held = tags(profile)
    if not held or any(name in held for name in TABLES):
        return False
    if profile[16:20] == b"GRAY":
        return is_srgb_curve(held.get(b"kTRC", b""))
    if profile[16:24] != b"RGB XYZ ":
        return False
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    curves = (b"rTRC", b"gTRC", b"bTRC")
    return all(
        is_near(held.get(name, b""), b"XYZ ", 8, wanted, COLORANT_SLACK)
        for name, wanted in zip(names, COLORANTS, strict=True)
    ) and all(is_srgb_curve(held.get(name, b"")) for name in curves)


def is_near(tag: bytes, kind: bytes, start: int, wanted: tuple[int, ...], slack: int) -> bool:
    """Whether a tag of some kind has about these numbers, 32 bits each, from `start` on."""
    end = start + 4 * len(wanted)
    if tag[:4] != kind or len(tag) < end:
        return False
    numbers = struct.unpack(f">{len(wanted)}i", tag[start:end])
    return all(abs(a - b) <= slack for a, b in zip(numbers, wanted, strict=True))


def is_srgb_curve(tag: bytes) -> bool:
    """Whether a curve, a table (`curv`) or a formula (`para`), is that of sRGB."""
    if tag[:4] == b"para":
        return tag[8:10] == b"\0\3" and is_near(tag, b"para", 12, CURVE, CURVE_SLACK)
    if tag[:4] != b"curv" or len(tag) < 12:
        return False
    (count,) = struct.unpack(">I", tag[8:12])
    if not 2 <= count <= 65_536 or len(tag) < 12 + 2 * count:
        return False
    table = np.frombuffer(tag, ">u2", count, 12).astype(np.int64)
    place = np.arange(256) * (count - 1)
    left, part = place // 255, place % 255
    light = table[left] * (255 - part) + table[np.minimum(left + 1, count - 1)] * part
    return bool(((light >= LOWER) & (light <= UPPER)).all())


def rgb_profile(
    gamma: float | None, chromaticities: tuple[float, ...] | None = None
) -> bytes | None:
    """A profile of RGB.

    Args:
        gamma: Exponent from level to light; the curve of sRGB if `None`.
        chromaticities: x and y of white, red, green and blue; those of sRGB by default.

    Returns:
        The bytes of a profile of version 4; `None` if the chromaticities span no colours.
    """
    colorants = COLORANTS if chromaticities is None else adapted(chromaticities)
    if colorants is None or (gamma is not None and not 0.05 <= gamma <= 20):
        return None
    numbers, form = (CURVE, 3) if gamma is None else ((round(gamma * 65536),), 0)
    curve = struct.pack(f">4sIHH{len(numbers)}i", b"para", 0, form, 0, *numbers)
    held = {b"wtpt": xyz(D50), b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    held |= dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(xyz, colorants), strict=True))
    table, body, start = b"", b"", 132 + 12 * len(held)
    for name, content in held.items():
        table += struct.pack(">4sII", name, start + len(body), len(content))
        body += content
    head = struct.pack(
        ">I4sI4s4s4s12s4s4s28sI3i48s",
        start + len(body),
        b"",
        0x04300000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        struct.pack(">6H", 2000, 1, 1, 0, 0, 0),
        b"acsp",
        b"",
        b"",
        0,
        *D50,
        b"",
    )
    return head[:128] + struct.pack(">I", len(held)) + table + body


def xyz(numbers: tuple[int, ...]) -> bytes:
    """A tag of a colour."""
    return struct.pack(">4sI3i", b"XYZ ", 0, *numbers)


def adapted(chromaticities: tuple[float, ...]) -> tuple[tuple[int, ...], ...] | None:
    """Colorants in 65,536ths of primaries whose white is adapted to D50 (Bradford).

    Args:
        chromaticities: x and y of white, red, green and blue.

    Returns:
        X, Y, Z of red, green and blue; `None` if there are none.
    """
    xy = np.array(chromaticities, np.float64).reshape(4, 2)
    if not (np.isfinite(xy).all() and (xy[:, 1] > 0).all()):
        return None
    colours = np.stack([xy[:, 0], xy[:, 1], 1 - xy.sum(axis=1)], axis=1) / xy[:, 1:]  # (4, 3)
    bradford = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    try:
        amounts = np.linalg.solve(colours[1:].T, colours[0])
        to = bradford @ (np.array(D50) / 65536) / (bradford @ colours[0])
        adapt = np.linalg.solve(bradford, to[:, None] * bradford)
    except np.linalg.LinAlgError:
        return None
    found = (adapt @ (colours[1:].T * amounts)).T * 65536  # (colours, 3)
    if not (np.isfinite(found).all() and (np.abs(found) < 2**20).all()):
        return None
    return tuple(tuple(round(value) for value in row) for row in found.tolist())
