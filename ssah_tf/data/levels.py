"""The numbers of a picture as 8 bits, in any mode of Pillow: range, polarity, transparency."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from ssah_tf.data.raw_mode import change_raw_mode, is_deep, lower_half, raw_mode
from ssah_tf.data.samples import Samples, depth, eight_bits
from ssah_tf.system.errors import ImageError

#: Opens a file once more.
Again = Callable[[], Image.Image]
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

    def of_pixels(
        self, image: Image.Image, again: Again | None
    ) -> tuple[Image.Image, npt.NDArray[np.bool_] | None]:
        """The picture with 8 bits a sample, and which of its pixels are transparent, if any.

        Args:
            image: The picture, upright.
            again: Opens the file once more.

        Raises:
            ImageError: Its range cannot be told.
        """
        values: npt.NDArray[Any]
        if image.mode == "F" or image.mode.startswith("I"):
            values = np.asarray(image)
            if image.mode == "I" and not self.about.signed:
                values = values.view(np.uint32)
            return Image.fromarray(eight_bits(values, self.about)), self.holes(values)
        if image.mode == "L" and image.format == "TIFF" and self.about.signed:
            return Image.fromarray(eight_bits(np.asarray(image).view(np.int8), self.about)), None
        if is_deep(self.raw) and (self.is_dark(image) or self.clear is not None):
            values = self.whole(image, again)
            levels = values >> (depth(float(values.max()), 16) - 8) if self.is_dark(image) else None
            if levels is not None:
                image = Image.fromarray(levels.astype(np.uint8), image.mode)
            return image, self.holes(values)
        return image, None if self.clear is None else self.holes(np.asarray(image))

    def is_dark(self, image: Image.Image) -> bool:
        """Whether the upper 8 of 16 bits hold little: the picture may be of 10, 12 or 14 bits."""
        bands = np.asarray(image).reshape(-1, len(image.getbands())).max(axis=0).tolist()
        if self.raw.startswith("RGBa"):  # its colours were divided by the last one
            bands = bands[3:]
        return self.about.largest < DARK << 8 and max(bands) < DARK

    def whole(self, image: Image.Image, again: Again | None) -> npt.NDArray[np.uint16]:
        """All 16 bits of the samples, uint16 `(height, width, samples)`."""
        if again is None or self.raw.startswith(("LA", "RGBa")) or in_libtiff_planes(image):
            raise ImageError(
                "colours of 16 bits that fill only the lowest 14 or fewer: give the file itself, "
                "or save it with all 16"
            )
        with closing(again()) as lower:
            Levels.of(lower)
            change_raw_mode(lower, lower_half)
            ImageOps.exif_transpose(lower, in_place=True)
            low = np.asarray(lower)
        return (np.asarray(image).astype(np.uint16) << 8) | low

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
