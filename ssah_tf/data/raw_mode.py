"""How Pillow is to unpack the pixels of a file that it has opened and not yet read."""

import sys
from collections.abc import Callable
from typing import Any

from PIL import Image


def raw_mode(image: Image.Image) -> str:
    """The raw mode of the pixels; "" if they were read already, or have none."""
    tiles = getattr(image, "tile", None)
    return raw_mode_of(tiles[0]) if tiles else ""


def raw_mode_of(tile: Any) -> str:
    """The raw mode of a part of the pixels."""
    args = tile.args
    mode = args[0] if isinstance(args, tuple) and args else args
    return mode if isinstance(mode, str) else ""


def change_raw_mode(image: Image.Image, change: Callable[[str], str]) -> None:
    """Have the pixels unpacked in another raw mode, which follows from the present one."""
    tiles = []
    for tile in image.tile:  # type: ignore[attr-defined]
        old, *rest = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        new = change(old)
        tiles.append(tile._replace(args=(new, *rest) if isinstance(tile.args, tuple) else new))
    image.tile = tiles  # type: ignore[attr-defined]


def is_deep(mode: str) -> bool:
    """Whether a raw mode has 16 bits a sample, of which Pillow keeps the upper 8."""
    return mode.endswith((";16B", ";16L", ";16N")) and not mode.startswith("I")


def lower_half(mode: str) -> str:
    """The raw mode that keeps the lower 8 of 16 bits: that of the other order of bytes."""
    other = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
    return mode[:-1] + other[mode[-1]]
