"""From the numbers in a file to 8 bits: their range, and whether the largest is white or black."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ssah_tf.system.errors import ImageError

#: By so much of the range floats may lie beyond either end, as sharpening and resizing leave them.
BEYOND = 0.05
#: Floats whose largest value lies between this and 1 have no range that can be told.
UNCLEAR = 16.0
#: Bits of the widest integers.
WIDEST = 32


@dataclass(frozen=True)
class Samples:
    """What a file says of its numbers.

    Attributes:
        bits: Bits of a sample.
        signed: Whether they are integers with a sign.
        white_is_zero: Whether 0 is white, and that was not undone.
        smallest: Smallest value that the file declares.
        largest: Largest value that the file declares.
    """

    bits: int = 8
    signed: bool = False
    white_is_zero: bool = False
    smallest: float = 0
    largest: float = 0

    def spanning(self, parts: Iterable[npt.NDArray[Any]]) -> Self:
        """The same of numbers that come in parts: as if the file declared the ends of them all.

        Args:
            parts: All numbers, of one kind, in any shape.

        Raises:
            ImageError: See `eight_bits`.
        """
        ends = np.stack([[part.min(), part.max()] for part in parts])
        eight_bits(ends, self)
        return replace(
            self,
            smallest=min(float(ends.min()), self.smallest),
            largest=max(float(ends.max()), self.largest),
        )


def depth(largest: float, bits: int) -> int:
    """Bits of the range that a largest value belongs to: even, at least 8, no more than `bits`.

    Cameras and scanners put 10, 12 or 14 bits into 16, mostly without a word. So that no picture
    gets black, its largest value lies in the upper three quarters of its range.
    """
    return min(max(8, (int(largest).bit_length() + 1) // 2 * 2), bits)


def eight_bits(values: npt.NDArray[Any], about: Samples) -> npt.NDArray[np.uint8]:
    """Numbers of one kind as levels of 0 to 255, of which 255 is white.

    - Whole numbers of 16 or 32 bits: the range ends at the smallest power of 4 from 256 on that is
      above the largest value in the picture (or that the file declares), 10 bits in 16 being told
      so; other numbers of bits are the range. The upper 8 bits of the range are kept.
    - With a sign: the same, if none is negative; else the whole range of the type, its lowest value
      black.
    - Floats: 0 to 1; above that as whole numbers.

    Args:
        values: Any shape, at least one value.
        about: What the file says.

    Raises:
        ImageError: Floats that have no range that can be told.
    """
    low = min(float(values.min()), about.smallest)
    high = max(float(values.max()), about.largest)
    if values.dtype.kind == "f":
        levels = of_floats(values, low, high)
    elif low < 0:
        levels = ((values.astype(np.int64) + 2 ** (about.bits - 1)) >> (about.bits - 8)).astype(
            np.uint8
        )
    else:
        most = about.bits - about.signed
        bits = depth(high, most) if about.bits in (16, 32) else most
        kept = values.astype(np.uint32, copy=False)
        levels = (kept >> (bits - 8) if bits >= 8 else kept * 255 // (2**bits - 1)).astype(np.uint8)
    return 255 - levels if about.white_is_zero else levels


def of_floats(values: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    """Floats as levels of 0 to 255. See `eight_bits`."""
    if not np.isfinite([low, high]).all():
        raise ImageError("holds values that are no numbers (NaN, or infinite)")
    white = 1.0
    if high > 1 + BEYOND:
        fits = (2.0**bits - 1 for bits in range(8, WIDEST + 1, 2))
        white = next((top for top in fits if high <= top * (1 + BEYOND)), 0.0)
    if not white or 1 + BEYOND < high < UNCLEAR or low < -BEYOND * white:
        raise ImageError(
            f"float values of {low:g} to {high:g} have no range that is known: save them as 0 to 1"
        )
    scaled = np.rint(np.clip(values, 0, white) * np.float64(255 / white))
    return scaled.astype(np.uint8)
