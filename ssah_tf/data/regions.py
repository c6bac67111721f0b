"""Regions of a picture, and the bands by which a large one is worked through."""

from collections.abc import Iterator

#: A region in whole pixels: left, top, right, bottom; the last two are not in it.
Box = tuple[int, int, int, int]
#: Pixels of a band: little beside a large picture, and all of a small one.
BAND = 2**20


def whole(size: tuple[int, int]) -> Box:
    """The region that is all of a picture of a width and height."""
    return (0, 0, *size)


def central(size: tuple[int, int]) -> Box:
    """The central square of a picture of a width and height."""
    side = min(size)
    left, top = ((length - side) // 2 for length in size)
    return (left, top, left + side, top + side)


def bands(box: Box) -> Iterator[Box]:
    """Whole rows of a region, from above, of about `BAND` pixels."""
    left, top, right, bottom = box
    rows = max(1, BAND // max(1, right - left))
    for row in range(top, bottom, rows):
        yield (left, row, right, min(row + rows, bottom))
