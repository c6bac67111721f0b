"""A picture as it is to be seen: upright, 8 bits, sRGB, transparent parts laid on white."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ExifTags import Base

from ssah_tf.data.colour import profile_of, to_srgb
from ssah_tf.data.levels import Levels
from ssah_tf.data.regions import Box, bands, central, whole

Transpose = Image.Transpose
#: EXIF's word for an orientation -> how Pillow turns such a picture upright; whether that exchanges
#: rows and columns, and whether the columns and the rows of the upright one are reversed then.
WAYS: dict[int, tuple[Transpose, bool, bool, bool]] = {
    2: (Transpose.FLIP_LEFT_RIGHT, False, True, False),
    3: (Transpose.ROTATE_180, False, True, True),
    4: (Transpose.FLIP_TOP_BOTTOM, False, False, True),
    5: (Transpose.TRANSPOSE, True, False, False),
    6: (Transpose.ROTATE_270, True, True, False),
    7: (Transpose.TRANSVERSE, True, True, True),
    8: (Transpose.ROTATE_90, True, False, True),
}


class Upright:
    """A picture that is turned and converted region by region.

    Beside its pixels as they are stored, no more than a band of it is in memory. Every pixel is
    what it would be if the whole picture were converted at once: ranges are those of the whole.

    Args:
        image: Any mode of Pillow; a file whose pixels were not read yet says most of itself.
        again: Opens the file once more.

    Attributes:
        size: Width and height, upright.

    Raises:
        ImageError: What its values mean cannot be told, or it is not converted here.
    """

    def __init__(self, image: Image.Image, again: Callable[[], Image.Image] | None = None):
        self._profile, levels = profile_of(image), Levels.of(image)
        image.load()
        self._way = WAYS.get(image.getexif().get(Base.Orientation, 1))
        width, height = image.size
        self.size = (height, width) if self._way and self._way[1] else (width, height)
        self._stored = levels.reader(image, again)

    def rgb(self, box: Box | None = None) -> Image.Image:
        """A region of the picture, or all of it, in RGB."""
        part, holes = self._stored(self._place(box or whole(self.size)))
        if self._way:
            part = part.transpose(self._way[0])
        if holes is not None:
            part.info.pop("transparency", None)
        part = to_srgb(part, self._profile)
        if part.mode == "RGBA":
            white = Image.new("RGBA", part.size, "white")
            part = Image.alpha_composite(white, part).convert("RGB")
        if holes is not None:
            mask = Image.fromarray(holes)
            part.paste((255, 255, 255), None, mask.transpose(self._way[0]) if self._way else mask)
        return part

    def resized(
        self,
        size: tuple[int, int],
        box: Box | None = None,
        resample: Image.Resampling = Image.Resampling.BILINEAR,
    ) -> Image.Image:
        """A region of the picture, or all of it, at another width and height, in RGB.

        The columns are resized first, whatever the Pillow: of tall pictures Pillow 13 takes the
        rows first (python-pillow/Pillow#9549).
        """
        left, top, right, bottom = box or whole(self.size)
        narrow = Image.new("RGB", (size[0], bottom - top))
        for part in bands((left, top, right, bottom)):
            rows = part[3] - part[1]
            narrow.paste(self.rgb(part).resize((size[0], rows), resample), (0, part[1] - top))
        return narrow.resize(size, resample)

    def square(self, size: int) -> npt.NDArray[np.uint8]:
        """The central square at a side of `size`, uint8 `(size, size, 3)`."""
        return np.asarray(self.resized((size, size), central(self.size)))

    def _place(self, box: Box) -> Box:
        """Where a region of the upright picture lies in the stored one."""
        if not self._way:
            return box
        (left, top, right, bottom), (width, height) = box, self.size
        _, transposed, mirrored, upside_down = self._way
        if mirrored:
            left, right = width - right, width - left
        if upside_down:
            top, bottom = height - bottom, height - top
        return (top, left, bottom, right) if transposed else (left, top, right, bottom)
