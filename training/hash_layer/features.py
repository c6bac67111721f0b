"""What the backbone of an H-Net makes of images."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from ssah_tf.data import ImageSet, Split
from ssah_tf.data.pipeline import encoding_batches
from ssah_tf.data.sampling import evenly
from ssah_tf.models import HNet
from ssah_tf.models.inference import See, quick_backbone
from ssah_tf.system.signals import raise_if_ending
from ssah_tf.training.recipe_sections import MOST_UNLABELLED as SAMPLE

#: See `features_of`.
Features = Callable[[HNet, ImageSet, np.ndarray, int], np.ndarray]
#: Images of a batch of features, and of codes.
BATCH, ENCODED = 64, 256


def sample_of(positions: np.ndarray, most: int | None = None) -> np.ndarray:
    """Some of the images, spread evenly, where there are more than `most`, or `SAMPLE`."""
    return evenly(positions, SAMPLE if most is None else most)


def training_positions(split: Split, images: ImageSet, most: int | None = None) -> np.ndarray:
    """Images that an encoder may learn from, never queries: those with a label come first.

    Args:
        split: Their parts.
        images: The images.
        most: Those without a label that there are at most; see `sample_of`.
    """
    known = images.positions(split.labelled + split.validation)
    return np.concatenate([known, sample_of(images.positions(split.unlabelled), most)])


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
    see = quick_backbone(hnet.backbone, size, len(positions)) or in_tensorflow(hnet)
    for batch in encoding_batches(images, positions, size=size, batch=BATCH):
        raise_if_ending()
        yield see(batch.numpy())


def in_tensorflow(hnet: HNet) -> See:
    """The backbone of an H-Net as TensorFlow runs it."""
    see = tf.function(lambda batch: hnet.backbone(batch, training=False), reduce_retracing=True)
    return lambda images: see(tf.constant(images)).numpy()


def full_codes_of(
    hnet: HNet, images: ImageSet, parts: Sequence[np.ndarray], size: int
) -> list[np.ndarray]:
    """Full codes of images at some positions, by part; see `HNet.full_codes`.

    Args:
        hnet: It is built, and trained no more.
        images: The images.
        parts: Positions.
        size: Side of the images in pixels.

    Returns:
        uint8 `(positions, bytes)` for each part.
    """
    see = quick_backbone(hnet.backbone, size, sum(map(len, parts)))
    found = []
    for part in parts:
        batches = encoding_batches(images, part, size=size, batch=ENCODED)
        if see is None:
            found.append(hnet.full_codes(batches))
        else:
            codes = [hnet.codes_of_features(see(batch.numpy())) for batch in batches]
            found.append(np.concatenate(codes) if codes else hnet.full_codes([]))
    return found
