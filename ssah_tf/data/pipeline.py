"""`tf.data` batches for the game: a labelled and an unlabelled half, deterministic by seed."""

import numpy as np
import tensorflow as tf

from ssah_tf.data.augment import moved, weak_moves
from ssah_tf.data.image_set import ImageSet
from ssah_tf.data.sampling import BatchPlan
from ssah_tf.data.split import Split

#: Side in pixels up to which a batch may have as many images as it is said to.
USUAL = 224


def training_batches(
    images: ImageSet,
    split: Split,
    *,
    size: int,
    batch: int,
    ratio: int,
    first_step: int = 0,
    seed: int = 0,
    flip: bool = True,
    shift: float = 0.08,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Batches of the steps from `first_step` on, without end; the same step has the same batch.

    A worker of several reads its own rows of each batch and no others.

    Args:
        images: The image set.
        split: Its parts; only `labelled` and `unlabelled` are read.
        size: Side of the images in pixels.
        batch: Labelled images a step, over all replicas.
        ratio: Unlabelled images for each labelled one.
        first_step: Number of the first step.
        seed: Seed of order and augmentation.
        flip: Weak augmentation: mirror.
        shift: Weak augmentation: largest shift as a share of the side.
        context: Which worker this is and how many replicas share a batch, as
            `Strategy.distribute_datasets_from_function` tells it; by default one has it all.

    Returns:
        A dataset of dictionaries: `images` uint8 `(rows, 1 + ratio, size, size, 3)`, in each row
        a labelled image and its share of the unlabelled ones; `labels` float32 `(rows, classes)`
        of the labelled ones. There are `batch / replicas` rows; the replicas of this worker take
        turns, so that a step of `n` of them takes `n` elements.

    Raises:
        ValueError: The replicas cannot share the batch evenly.
    """
    context = context or tf.distribute.InputContext()
    rows_each = context.get_per_replica_batch_size(batch)
    replicas = context.num_replicas_in_sync // context.num_input_pipelines  # of this worker
    labelled = images.positions(split.labelled)
    unlabelled = images.positions(split.unlabelled)
    labels = images.labels[labelled]
    plan = BatchPlan(labels, labelled, unlabelled, batch=batch, ratio=ratio, seed=seed)

    def fetch(step, replica, mirrored, offsets):
        mine = slice(replica * rows_each, (replica + 1) * rows_each)
        rows = plan.labelled_rows(step)[mine]
        others = plan.unlabelled_positions(step)[mine]
        positions = np.column_stack([labelled[rows], others]).reshape(-1)
        pixels = images.read(
            positions, size, lambda row, image: moved(image, mirrored[row], offsets[row])
        )
        return pixels, labels[rows].astype(np.float32)

    def load(turn):
        step, replica = turn // replicas, turn % replicas
        replica += context.input_pipeline_id * replicas
        step_seed = tf.stack([tf.cast(seed, tf.int64), step])
        moves = weak_moves(step_seed, batch * (1 + ratio), side=size, flip=flip, shift=shift)
        count = rows_each * (1 + ratio)
        mine = [move[replica * count : (replica + 1) * count] for move in moves]
        pixels, target = tf.numpy_function(fetch, [step, replica, *mine], (tf.uint8, tf.float32))
        pixels = tf.ensure_shape(pixels, [count, size, size, 3])
        return {
            "images": tf.reshape(pixels, [rows_each, 1 + ratio, size, size, 3]),
            "labels": tf.ensure_shape(target, [rows_each, labels.shape[1]]),
        }

    # Endless, or several workers would ask each other before each step whether all have a batch.
    data = tf.data.Dataset.counter(first_step * replicas)
    # Two batches at once keep all cores busy: the decoder threads are shared.
    data = data.map(load, num_parallel_calls=2, deterministic=True)
    return not_tuned(data.prefetch(2))


def encoding_batches(
    images: ImageSet, positions: np.ndarray, *, size: int, batch: int
) -> tf.data.Dataset:
    """The images at `positions` in order, in batches of `fitting(batch, size)`, or a rest of it.

    Returns:
        A dataset of uint8 `(<= batch, size, size, 3)`.
    """
    batch = fitting(batch, size)
    starts = tf.data.Dataset.range(0, len(positions), batch)

    def load(start):
        pixels = tf.numpy_function(
            lambda first: images.read(positions[first : first + batch], size), [start], tf.uint8
        )
        return tf.ensure_shape(pixels, [None, size, size, 3])

    data = starts.map(load, num_parallel_calls=2, deterministic=True)
    return not_tuned(data.prefetch(2))


def fitting(batch: int, size: int) -> int:
    """A batch in images of a side of `size` px, smaller where they are larger than `USUAL`.

    In a transformer every part of an image looks at every other, so that the memory of an image
    grows with the fourth power of its side.
    """
    return max(1, batch * USUAL**4 // max(size, USUAL) ** 4)


def not_tuned(data: tf.data.Dataset) -> tf.data.Dataset:
    """A dataset without the loop that tunes its parallelism as it runs.

    An iterator that is dropped in the middle, as at the end of each stage, waits for the next look
    of that loop: looks are up to a minute apart, and the longer it has run the longer.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)
