"""What a set of images is like, as far as it says which recipes make sense."""

import os
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ssah_tf.data import ImageSet, Split
from ssah_tf.data.sampling import evenly

#: Images that are looked at.
SAMPLE = 100
#: Side at which they are looked at, and levels of a channel that count as one.
SIDE, LEVELS = 64, 16
#: Pictures of such a side are small; more of one colour than this are unlike photographs.
SMALL, PLAIN = 64, 0.3


@dataclass(frozen=True)
class Traits:
    """What a set of images is like.

    Attributes:
        images: How many there are.
        labelled: How many labels train, those of validation included.
        validation: How many of them validate.
        per_class: Median number of labels a class, of the classes that have some; 0 if none has.
        classes: Classes that have labels.
        unmeasured: Those of them of whose labels none validates.
        side: Median of the shorter sides, in pixels.
        plain: Median share of a picture's most frequent colour: small for photographs, large for
            drawings, scans and things on an empty ground.
    """

    images: int
    labelled: int
    validation: int
    per_class: float
    classes: int
    unmeasured: int
    side: float
    plain: float

    @classmethod
    def of(cls, images: ImageSet, split: Split) -> "Traits":
        """Look at some of the images, and at the labels of a split."""
        trained = images.labels[images.positions(split.labelled)].sum(axis=0, dtype=np.int64)
        held_out = images.labels[images.positions(split.validation)].sum(axis=0, dtype=np.int64)
        both = trained + held_out
        chosen = evenly(np.arange(len(images)), SAMPLE)
        return cls(
            images=len(images),
            labelled=len(split.labelled) + len(split.validation),
            validation=len(split.validation),
            per_class=float(np.median(both[both > 0])) if both.any() else 0.0,
            classes=int((both > 0).sum()),
            unmeasured=int(((both > 0) & (held_out == 0)).sum()),
            side=float(np.median([short_side(images, position) for position in chosen])),
            plain=float(np.median([plainness(p) for p in images.read(chosen, SIDE)])),
        )

    @property
    def like_photographs(self) -> bool:
        """Whether a backbone that has seen photographs may know what these show."""
        return self.side > SMALL or self.plain < PLAIN


def short_side(images: ImageSet, position: int) -> int:
    """Shorter side of an image in pixels, from its header."""
    if images.pixels is not None:
        return int(images.pixels.shape[1])
    name = (images.files or images.ids)[position]
    with Image.open(os.path.join(images.root or "", name)) as image:
        return min(image.size)


def plainness(pixels: np.ndarray) -> float:
    """Share of the most frequent colour, of colours that are told apart by `LEVELS` levels.

    Args:
        pixels: uint8 `(h, w, 3)`.
    """
    step = 256 // LEVELS
    coarse = (pixels // step).astype(np.int64) @ (LEVELS**2, LEVELS, 1)
    return float(np.bincount(coarse.ravel()).max() / coarse.size)
