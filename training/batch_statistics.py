"""The statistics of batch normalisation, taken anew from images as an encoder meets them."""

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from ssah_tf.data import ImageSet
from ssah_tf.data.pipeline import encoding_batches
from ssah_tf.models import HNet
from ssah_tf.training.run import Run

#: Images that are enough for a mean and a variance of each channel, and how many at once.
SAMPLE = 5_120
BATCH = 128


def recalibrate(hnet: HNet, run: Run, images: ImageSet) -> None:
    """Give an encoder the batch statistics of images as they are.

    In training, its moving averages are over hard samples and images of changed brightness, too,
    and over weights that were still moving. The weights stay. The result depends on weights and
    images alone: done twice, it is the same.

    Args:
        hnet: The encoder.
        run: Its run.
        images: The images of the run; those that the training could see are looked at.
    """
    split = run.split
    positions = images.positions(split.labelled + split.unlabelled)
    chosen = np.random.default_rng(run.recipe.seed).permutation(positions)[:SAMPLE]
    size = run.recipe.data.image_size
    take_statistics(hnet, encoding_batches(images, chosen, size=size, batch=BATCH))


def take_statistics(hnet: HNet, batches: Iterable[np.ndarray | tf.Tensor]) -> None:
    """Replace all moving averages by means over some batches (precise batch normalisation).

    Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021, arXiv 2105.07576. Frozen layers
    keep what they have.

    Args:
        hnet: A built H-Net.
        batches: Of images, uint8 `(batch, size, size, 3)`.
    """
    norms = [x for x in hnet._flatten_layers() if isinstance(x, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    try:
        for done, batch in enumerate(batches):
            for norm in norms:
                norm.momentum = done / (done + 1)  # so the average becomes the mean of all batches
            hnet(batch, training=True)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
