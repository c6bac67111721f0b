"""Weak augmentation: what every image, labelled or not, goes through before anything else."""

import tensorflow as tf


def weak_augment(images: tf.Tensor, seed: tf.Tensor, *, flip: bool, shift: float) -> tf.Tensor:
    """Mirror half of the images and shift each by up to a share of its side, edges reflected.

    Args:
        images: uint8 `(batch, side, side, 3)`.
        seed: int32 `(2,)`, stateless.
        flip: Whether to mirror images left to right, each with probability 1/2.
        shift: Largest shift as a share of the side, in either direction.

    Returns:
        uint8 `(batch, side, side, 3)`.
    """
    count = tf.shape(images)[0]
    seeds = tf.random.split(seed, 2)
    side = images.shape[1]
    reach = round(shift * side)
    span = tf.range(side)[None]  # (1, side)
    offsets = tf.random.stateless_uniform(
        [count, 2], seeds[1], minval=-reach, maxval=reach + 1, dtype=tf.int32
    )
    columns = reflect(span + offsets[:, 1:], side)  # (batch, side)
    if flip:  # by index, too: one pass over the pixels instead of three
        mirrored = tf.random.stateless_uniform([count, 1, 1, 1], seeds[0]) < 0.5
        columns = tf.where(mirrored[:, :, 0, 0], side - 1 - columns, columns)
    if reach:
        rows = reflect(span + offsets[:, :1], side) + side * tf.range(count)[:, None]
        images = tf.gather(tf.reshape(images, [-1, side, 3]), tf.reshape(rows, [-1]))
        images = tf.reshape(images, [-1, side, side, 3])
    if flip or reach:
        images = tf.gather(images, columns, axis=2, batch_dims=1)
    return images


def reflect(index: tf.Tensor, side: int) -> tf.Tensor:
    """Bring indices outside `[0, side)` back by reflection at the border pixels."""
    index = tf.abs(index)
    return (side - 1) - tf.abs((side - 1) - index)
