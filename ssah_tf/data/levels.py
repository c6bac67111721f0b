"""The numbers of a picture as 8 bits, in any mode of Pillow: range, polarity, transparency."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ssah_tf.data.raw_mode import change_raw_mode, is_deep, lower_half, raw_mode
from ssah_tf.data.regions import Box, bands, whole
from ssah_tf.data.samples import Samples, depth, eight_bits
from ssah_tf.system.errors import ImageError

#: Opens a file once more.
Again = Callable[[], Image.Image]
#: A region with 8 bits a sample, and which of its pixels are transparent, if that is a colour.
Part = tuple[Image.Image, npt.NDArray[np.bool_] | None]
#: Reads a region of a picture as it is stored.
Reader = Callable[[Box], Part]
#: Steps between the levels of 2 and 4 bits in 8.
STEPS = {"L;2": 85, "L;4": 17}
#: A sample of 16 bits below this, of a picture in colours, is looked at: 14 bits are below it.
DARK = 64


@dataclass(frozen=True)
class Levels:
    """How the numbers of a file are to be understood; to be asked before its pixels are read.

    Attributes:
        about: What the file says of them.
        raw: Its raw mode; see `raw_mode`.
        clear: The value of transparent pixels, if it is a colour.
    """

    about: Samples
    raw: str
    clear: int | tuple[int, ...] | None

    @classmethod
    def of(cls, image: Image.Image) -> "Levels":
        """Look at a picture; one that Pillow would read wrongly is mended.

        Raises:
            ImageError: It cannot be mended.
        """
        about = Samples(32 if image.mode in ("I", "F") else 16, signed=image.mode == "I")
        if image.format == "TIFF":
            from ssah_tf.data import tiff  # not needed for most photos

            if isinstance(image, tiff.TiffImageFile):
                tiff.mend(image)
                about = tiff.samples_of(image)
        raw, clear = raw_mode(image), image.info.get("transparency")
        if image.mode not in ("1", "L", "I;16", "RGB") or not isinstance(clear, int | tuple):
            clear = None
        elif isinstance(clear, int):
            clear *= STEPS.get(raw, 1)
        return cls(about, raw, clear)

    def reader(self, image: Image.Image, again: Again | None) -> Reader:
        """What reads regions of the picture; ranges are those of the whole picture.

        Args:
            image: The picture, its pixels read.
            again: Opens the file once more.

        Raises:
            ImageError: Its range cannot be told.
        """
        if image.mode == "F" or image.mode.startswith("I"):
            return self.of_numbers(image, np.uint32 if self.lacks_sign(image) else None)
        if image.mode == "L" and image.format == "TIFF" and self.about.signed:
            return self.of_numbers(image, np.int8)
        if is_deep(self.raw):
            dark = self.is_dark(image)
            if dark or self.clear is not None:
                return self.of_deep(image, dark, again)

        def read(box: Box) -> Part:
            part = image.crop(box)
            return part, None if self.clear is None else self.holes(np.asarray(part))

        return read

    def lacks_sign(self, image: Image.Image) -> bool:
        """Whether Pillow takes numbers of 32 bits for such with a sign, and they have none."""
        return image.mode == "I" and not self.about.signed

    def of_numbers(self, image: Image.Image, kind: type[np.generic] | None) -> Reader:
        """Reads a picture of one number a pixel.

        Args:
            image: The picture.
            kind: What its bytes are; `None` for what Pillow says.
        """

        def values(box: Box) -> npt.NDArray[Any]:
            found = np.asarray(image.crop(box))
            return found if kind is None else found.view(kind)

        about = self.about.spanning(map(values, bands(whole(image.size))))

        def read(box: Box) -> Part:
            numbers = values(box)
            return Image.fromarray(eight_bits(numbers, about)), self.holes(numbers)

        return read

    def of_deep(self, image: Image.Image, dark: bool, again: Again | None) -> Reader:
        """Reads a picture whose samples have 16 bits, of which Pillow has kept the upper 8."""
        lower = self.lower(image, again)

        def values(box: Box) -> npt.NDArray[np.uint16]:
            upper = np.asarray(image.crop(box)).astype(np.uint16)
            return (upper << 8) | np.asarray(lower.crop(box))

        largest = max(int(values(box).max()) for box in bands(whole(image.size))) if dark else 0

        def read(box: Box) -> Part:
            numbers, part = values(box), image.crop(box)
            if dark:
                levels = numbers >> (depth(largest, 16) - 8)
                part = Image.fromarray(levels.astype(np.uint8), image.mode)
            return part, self.holes(numbers)

        return read

    def is_dark(self, image: Image.Image) -> bool:
        """Whether the upper 8 of 16 bits hold little: the picture may be of 10, 12 or 14 bits."""
        if self.about.largest >= DARK << 8:
            return False
        samples = len(image.getbands())
        parts = (np.asarray(image.crop(box)) for box in bands(whole(image.size)))
        highest = np.max([part.reshape(-1, samples).max(axis=0) for part in parts], axis=0)
        if self.raw.startswith("RGBa"):  # its colours were divided by the last one
            highest = highest[3:]
        return bool(highest.max() < DARK)

    def lower(self, image: Image.Image, again: Again | None) -> Image.Image:
        """The same picture with the lower 8 of its 16 bits."""
        if again is None or self.raw.startswith(("LA", "RGBa")) or in_libtiff_planes(image):
            raise ImageError(
                "colours of 16 bits that fill only the lowest 14 or fewer: give the file itself, "
                "or save it with all 16"
            )
        with again() as lower:
            Levels.of(lower)
            change_raw_mode(lower, lower_half)
            lower.load()
        return lower

    def holes(self, values: npt.NDArray[Any]) -> npt.NDArray[np.bool_] | None:
        """Which pixels have the transparent colour."""
        if self.clear is None:
            return None
        if values.dtype == np.bool_:
            values = values * np.uint8(255)
        same = values == np.array(self.clear)
        found: npt.NDArray[np.bool_] = same.all(axis=-1) if values.ndim == 3 else same
        return found


def in_libtiff_planes(image: Image.Image) -> bool:
    """Whether a TIFF file has compressed planes: Pillow takes their raw mode as it likes."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(284, 1) == 2 and tags.get(259, 1) != 1
