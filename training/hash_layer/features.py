"""What the backbone of an H-Net makes of images."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from ssah_tf.data import ImageSet, Split
from ssah_tf.data.pipeline import encoding_batches
from ssah_tf.data.sampling import evenly
from ssah_tf.models import HNet
from ssah_tf.system.signals import raise_if_ending

#: See `features_of`.
Features = Callable[[HNet, ImageSet, np.ndarray, int], np.ndarray]
#: Images on which directions and rotation are fitted, at most.
SAMPLE = 20_000
BATCH = 64


def sample_of(positions: np.ndarray) -> np.ndarray:
    """Some of the images, spread evenly, where there are very many."""
    return evenly(positions, SAMPLE)


def training_positions(split: Split, images: ImageSet) -> np.ndarray:
    """Images that an encoder may learn from, never queries: those with a label come first."""
    known = images.positions(split.labelled + split.validation)
    return np.concatenate([known, sample_of(images.positions(split.unlabelled))])


def features_of(hnet: HNet, images: ImageSet, positions: np.ndarray, size: int) -> np.ndarray:
    """What the backbone of a built H-Net makes of images of a side of `size` px.

    Returns:
        float32 `(positions, features)`.
    """
    return np.concatenate(list(feature_batches(hnet, images, positions, size)))


def feature_batches(
    hnet: HNet, images: ImageSet, positions: np.ndarray, size: int
) -> Iterator[np.ndarray]:
    """The same, batch after batch: float32 `(at most BATCH, features)` each."""
    batches = encoding_batches(images, positions, size=size, batch=BATCH)
    see = tf.function(lambda batch: hnet.backbone(batch, training=False), reduce_retracing=True)
    for batch in batches:
        raise_if_ending()
        yield see(batch).numpy()
