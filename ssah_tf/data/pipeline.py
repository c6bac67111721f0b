"""`tf.data` batches for the game: a labelled and an unlabelled half, deterministic by seed."""

import numpy as np
import tensorflow as tf

from ssah_tf.data.augment import moved, weak_moves
from ssah_tf.data.image_set import ImageSet
from ssah_tf.data.sampling import BatchPlan
from ssah_tf.data.split import Split


def training_batches(
    images: ImageSet,
    split: Split,
    *,
    size: int,
    batch: int,
    ratio: int,
    steps: int,
    first_step: int = 0,
    seed: int = 0,
    flip: bool = True,
    shift: float = 0.08,
) -> tf.data.Dataset:
    """Batches of the steps `first_step` to `steps - 1`; the same step always gives the same batch.

    Args:
        images: The image set.
        split: Its parts; only `labelled` and `unlabelled` are read.
        size: Side of the images in pixels.
        batch: Labelled images a step, over all replicas.
        ratio: Unlabelled images for each labelled one.
        steps: Number of the step after the last.
        first_step: Number of the first step.
        seed: Seed of order and augmentation.
        flip: Weak augmentation: mirror.
        shift: Weak augmentation: largest shift as a share of the side.

    Returns:
        A dataset of dictionaries: `images` uint8 `(batch, 1 + ratio, size, size, 3)`, in each row
        a labelled image and its share of the unlabelled ones; `labels` float32 `(batch, classes)`
        of the labelled ones. A strategy can cut such a batch into rows for its replicas.
    """
    labelled = images.positions(split.labelled)
    unlabelled = images.positions(split.unlabelled)
    labels = images.labels[labelled]
    plan = BatchPlan(labels, labelled, unlabelled, batch=batch, ratio=ratio, seed=seed)

    def fetch(step, mirrored, offsets):
        rows = plan.labelled_rows(step)
        positions = np.column_stack([labelled[rows], plan.unlabelled_positions(step)]).reshape(-1)
        pixels = images.read(
            positions, size, lambda row, image: moved(image, mirrored[row], offsets[row])
        )
        return pixels, labels[rows].astype(np.float32)

    def load(step):
        step_seed = tf.stack([tf.cast(seed, tf.int64), step])
        moves = weak_moves(step_seed, batch * (1 + ratio), side=size, flip=flip, shift=shift)
        pixels, target = tf.numpy_function(fetch, [step, *moves], (tf.uint8, tf.float32))
        pixels = tf.ensure_shape(pixels, [batch * (1 + ratio), size, size, 3])
        return {
            "images": tf.reshape(pixels, [batch, 1 + ratio, size, size, 3]),
            "labels": tf.ensure_shape(target, [batch, labels.shape[1]]),
        }

    data = tf.data.Dataset.range(first_step, steps)
    # Two batches at once keep all cores busy: the decoder threads are shared.
    data = data.map(load, num_parallel_calls=2, deterministic=True)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return data.with_options(options).prefetch(tf.data.AUTOTUNE)


def encoding_batches(
    images: ImageSet, positions: np.ndarray, *, size: int, batch: int
) -> tf.data.Dataset:
    """The images at `positions` in order, in batches; the last one may be smaller.

    Returns:
        A dataset of uint8 `(<= batch, size, size, 3)`.
    """
    starts = tf.data.Dataset.range(0, len(positions), batch)

    def load(start):
        pixels = tf.numpy_function(
            lambda first: images.read(positions[first : first + batch], size), [start], tf.uint8
        )
        return tf.ensure_shape(pixels, [None, size, size, 3])

    return starts.map(load, num_parallel_calls=2, deterministic=True).prefetch(2)
