"""Notices when A-Net does the same to every image, whatever it shows."""

from typing import NamedTuple

import keras
import numpy as np
from rich.console import Console

from ssah_tf.data import ImageSet
from ssah_tf.data.sampling import evenly
from ssah_tf.models.deformation import Deformer
from ssah_tf.training.run import Run

#: Images that are looked at.
COUNT = 64
#: Varieties below which it has collapsed.
SAME_MASK, SAME_ANGLE = 0.05, 0.01


class Variety(NamedTuple):
    """How much hard samples differ between images; 0 if they do not.

    Attributes:
        mask: 1 if the occluded cells of two images have no more in common than by chance.
        angle: Standard deviation of the angles, as a share of the largest; 0.58 if they are spread
            evenly over the range.
    """

    mask: float | None
    angle: float | None


def variety(deformer: Deformer, images: np.ndarray) -> Variety:
    """How much the choices of a deformer, without noise, differ between images.

    Of a cell that is occluded in a share p of the images, p (1 - p) is the variance; the mean of
    that over the cells is set in relation to what it is if the same number fall anywhere.

    Args:
        deformer: A-Net.
        images: `(n, size, size, 3)`, 0 to 255.

    Returns:
        The varieties; `None` for what is switched off.
    """
    marks, angles = deformer.choose(images.astype(np.float32), None, False)
    shares = []
    for cells in marks:  # (n, g, g)
        p = np.asarray(cells).mean(axis=0)
        shares.append(float((p * (1 - p)).mean() / (p.mean() * (1 - p.mean()))))
    spread = None if angles is None else float(np.std(angles) / deformer.max_radians)
    return Variety(float(np.mean(shares)) if shares else None, spread)


class WatchCollapse(keras.callbacks.Callback):
    """Logs the variety of A-Net's hard samples after every joint epoch, and prints when it is gone.

    Args:
        run: The run.
        images: Its images, of which some labelled ones are looked at.
        console: Where to print it.
    """

    def __init__(self, run: Run, images: ImageSet, console: Console):
        super().__init__()
        self.console = console
        chosen = evenly(images.positions(run.split.labelled), COUNT)
        self.sample = images.read(chosen, run.recipe.data.image_size)

    def on_epoch_end(self, epoch: int, logs: dict) -> None:
        """Measure, log, and print it if a part has collapsed."""
        if self.model.stage != "joint" or not self.model.has_adversary or len(self.sample) < 2:
            return
        found = variety(self.model.deformer, self.sample)
        for what, value, least in (
            ("mask", found.mask, SAME_MASK),
            ("angle", found.angle, SAME_ANGLE),
        ):
            if value is None:
                continue
            logs[f"{what}_variety"] = value
            if value < least:
                self.console.print(
                    f"A-Net has collapsed: the same {what} for every image (variety {value:.3f}); "
                    "lower train.anet.learning_rate, or compare with --set adversary.kind=random"
                )
