"""How alike two pictures are: all of the frame, in colour, after one is laid over the other.

A picture may be a crop of the other, down to nine tenths of its sides, brighter, and compressed or
marked a little. What must not differ is the colour of its parts and, on a plain ground (a form, a
drawing, stars), the ink in any small window.
"""

import itertools
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ssah_tf.data.decode import readable

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8] | Floats
#: Edges of a part of the frame: left, right, top, bottom, each from 0 to 1.
Box = tuple[float, float, float, float]

#: Side of a picture at the first look, and at the second.
SMALL, FINE = 32, 256
#: SSIM of the small pictures from which a second look is worth it: a crop has moved by then.
WORTH = 0.5
#: Smallest side of a crop as a share of the picture's.
CROP = 0.86
#: Constants of SSIM for 256 levels, which keep flat pictures from dividing by zero.
LUMINANCE, CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2
#: Parts of a side for colours; levels in which a part may differ; the share that may differ more.
PARTS, LEVELS, MARKED = 16, 26, 0.16
#: A ground is plain if so much of the picture is within so many levels of one colour; grounds that
#: are farther apart than so many levels are others.
PLAIN, GROUND, OTHER_GROUND = 0.5, 14, 8
#: Standard deviation below which a picture is of one colour.
FLAT = 8
#: Side of a window on a plain ground; levels that count as ink; how much of the mean square of the
#: ink may differ.
WINDOW, INK, OTHER_INK = 4, 20, 0.5


def whole_frame(path: str, side: int) -> tuple[npt.NDArray[np.uint8], float]:
    """All of a picture at `(side, side, 3)`, and how wide it is for its height.

    Raises:
        ImageError: It cannot be read.
    """
    with readable(path, side) as image:
        width, height = image.size
        return np.asarray(image.resized((side, side))), width / height


def ssim(one: Pixels, others: Pixels) -> Floats:
    """SSIM of whole pictures in colour, over one window: 1 for the same; see `perceptual_hash`.

    The values of the three channels are one sample, so that other colours are other pictures.

    Args:
        one: `(side, side, 3)`.
        others: `(n, side, side, 3)`.

    Returns:
        `(n,)`.
    """
    x = one.reshape(1, -1).astype(np.float32)
    y = others.reshape(len(others), x.shape[1]).astype(np.float32)
    mx, my = x.mean(axis=1), y.mean(axis=1)
    x, y = x - mx[:, None], y - my[:, None]
    vx, vy, both = (x * x).mean(axis=1), (y * y).mean(axis=1), (y @ x[0]) / x.shape[1]
    light = (2 * mx * my + LUMINANCE) / (mx**2 + my**2 + LUMINANCE)
    found: Floats = light * (2 * both + CONTRAST) / (vx + vy + CONTRAST)
    return found


def same_shape(one: float, other: npt.NDArray[np.float64] | float) -> npt.NDArray[np.bool_]:
    """Whether frames so wide for their heights can be crops of each other."""
    return np.asarray(np.abs(np.log(np.asarray(other) / one)) <= -np.log(CROP), bool)


def likeness(
    one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8], one_wide: float, other_wide: float
) -> float:
    """SSIM of two fine pictures, the one laid over the other; 0 if a part of them is different.

    Args:
        one: uint8 `(FINE, FINE, 3)`.
        other: As `one`.
        one_wide: Width for height of the one.
        other_wide: Of the other.
    """
    sides = SMALL, 2 * SMALL, FINE // 2
    ones, others = ({side: greys(picture, side) for side in sides} for picture in (one, other))
    box, found = best_box(ones[SMALL], others[SMALL], other_wide / one_wide)
    back, found_back = best_box(others[SMALL], ones[SMALL], one_wide / other_wide)
    if found_back > found:
        one, other, ones, others, box, found = other, one, others, ones, back, found_back
    for side, step in zip(sides, (1 / 64, 1 / 128, 1 / 512), strict=True):
        box = climbed(ones[side], others[side], box, step)
    a, b = crop(one.astype(np.float32), box), other.astype(np.float32)
    return 0.0 if other_colours(a, b) or other_ink(a, b) else float(ssim(a, b[None])[0])


def best_box(whole: Floats, part: Floats, wide: float) -> tuple[Box, float]:
    """The part of a picture that is most like another, and their correlation.

    Args:
        whole: `(SMALL, SMALL)`, grey.
        part: As `whole`.
        wide: How much wider for its height the part is than the whole.
    """
    boxes, columns, rows = boxes_of(round(wide, 2))
    crops = (rows @ whole @ columns).reshape(len(boxes), -1)
    crops = crops - crops.mean(axis=1, keepdims=True)
    small = part.ravel() - part.mean()
    length = np.sqrt((crops * crops).sum(axis=1) * float(small @ small))
    found = (crops @ small) / np.maximum(length, 1e-3)
    best = int(found.argmax())
    return boxes[best], float(found[best])


@lru_cache(maxsize=64)
def boxes_of(wide: float) -> tuple[list[Box], Floats, Floats]:
    """Parts of a frame that can be another frame, from all of it down to `CROP` of its sides.

    Returns:
        The boxes, and what takes them out of pictures: `(n, SMALL, SMALL)` for columns, for rows.
    """
    boxes: list[Box] = []
    for size in np.arange(1, CROP - 0.001, -0.025):
        across, down = size * min(1, wide), size * min(1, 1 / wide)
        if min(across, down) >= CROP - 0.01:
            lefts, tops = (np.linspace(0, 1 - s, 1 + round((1 - s) * 32)) for s in (across, down))
            boxes += [(x, x + across, y, y + down) for x, y in itertools.product(lefts, tops)]
    boxes = boxes or [(0, 1, 0, 1)]
    columns = np.stack([between(SMALL, box[0], box[1]).T for box in boxes])
    return boxes, columns, np.stack([between(SMALL, box[2], box[3]) for box in boxes])


def climbed(large: Floats, small: Floats, box: Box, step: float) -> Box:
    """A box with each of its edges moved by `step` as long as the pictures get more alike."""
    best = correlation(crop(large, box), small)
    for _ in range(4):
        before = best
        for edge, move in itertools.product(range(4), (-step, step)):
            moved = list(box)
            moved[edge] = min(1.0, max(0.0, moved[edge] + move))
            found = correlation(crop(large, (moved[0], moved[1], moved[2], moved[3])), small)
            if found > best:
                best, box = found, (moved[0], moved[1], moved[2], moved[3])
        if best == before:
            break
    return box


def greys(picture: npt.NDArray[np.uint8], side: int) -> Floats:
    """A picture in grey at another side that divides its own."""
    times = len(picture) // side
    mean = picture.reshape(side, times, side, times, 3).mean(axis=(1, 3, 4), dtype=np.float32)
    return np.asarray(mean, np.float32)


def crop(picture: Floats, box: Box) -> Floats:
    """A part of a picture, stretched to its size: `(side, side)` or `(side, side, 3)`."""
    left, right, top, bottom = box
    rows, columns = (between(len(picture), a, b) for a, b in ((top, bottom), (left, right)))
    if picture.ndim == 2:
        return np.asarray(rows @ picture @ columns.T, np.float32)
    planes = rows @ np.moveaxis(picture, 2, 0) @ columns.T  # (3, side, side)
    return np.asarray(np.moveaxis(planes, 0, 2), np.float32)


def between(side: int, begin: float, end: float) -> Floats:
    """The matrix that interpolates a part of `side` values to so many."""
    place = (begin + (np.arange(side) + 0.5) / side * (end - begin)) * side - 0.5
    apart = np.abs(np.clip(place, 0, side - 1)[:, None] - np.arange(side))
    return np.asarray(np.maximum(0, 1 - apart), np.float32)


def correlation(one: Floats, other: Floats) -> float:
    """Pearson's correlation of two pictures, 0 of flat ones."""
    x, y = (value.ravel() - value.mean() for value in (one, other))
    return float(x @ y) / max(1e-3, float(np.sqrt((x @ x) * (y @ y))))


def exposed(one: Floats, other: Floats) -> Floats:
    """The one as bright as the other: by one factor and offset for all channels.

    A picture of nearly one colour is left as it is: another brightness is another colour there.
    """
    x, y = (value - value.mean(axis=(0, 1)) for value in (one, other))
    spread, others = float((x * x).mean()), float((y * y).mean())
    if min(spread, others) < FLAT**2:
        return one
    factor = float(np.clip(np.sqrt(others / spread), 0.6, 1.67))
    return np.asarray(np.clip((one - one.mean()) * factor + other.mean(), 0, 255), np.float32)


def other_colours(one: Floats, other: Floats) -> bool:
    """Whether more than a mark's share of the frame has another colour."""
    apart = exposed(one, other) - other
    times = len(one) // PARTS
    means = apart.reshape(PARTS, times, PARTS, times, 3).mean(axis=(1, 3))  # (PARTS, PARTS, 3)
    return bool((np.abs(means).max(axis=2) > LEVELS).mean() > MARKED)


def ground(picture: Floats) -> Floats | None:
    """The colour of a plain ground, `(3,)`; `None` if there is none."""
    coarse = (picture.astype(np.uint8) >> 4).reshape(-1, 3).astype(np.int64) @ (256, 16, 1)
    most = np.bincount(coarse).argmax()
    colour = np.median(picture.reshape(-1, 3)[coarse == most], axis=0).astype(np.float32)
    share = (np.abs(picture - colour).max(axis=2) <= GROUND).mean()
    return colour if share >= PLAIN else None


def other_ink(one: Floats, other: Floats) -> bool:
    """Whether pictures on a plain ground have another ground, or other ink in any window."""
    one = exposed(one, other)
    grounds = ground(one), ground(other)
    if grounds[0] is None or grounds[1] is None:
        return False
    if np.abs(grounds[0] - grounds[1]).max() > OTHER_GROUND:
        return True
    a, b = one - grounds[0], other - grounds[1]

    def energy(ink: Floats) -> Floats:
        """Mean square in windows that overlap by half, so that no letter is cut in all of them."""
        half = WINDOW // 2
        times = len(ink) // half
        cells = (ink * ink).reshape(times, half, times, half, 3).mean(axis=(1, 3)).max(axis=2)
        rows = cells[:-1] + cells[1:]
        return np.asarray((rows[:, :-1] + rows[:, 1:]) / 4, np.float32)

    apart, ink = energy(a - b), (energy(a) + energy(b)) / 2
    return bool((apart > OTHER_INK * np.maximum(ink, INK**2)).any())
