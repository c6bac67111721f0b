"""Random exposure of the images that H-Net studies."""

import tensorflow as tf

from ssah_tf.losses.global_batch import random_uniform


def expose(images: tf.Tensor, seed: tf.Tensor, gain: float, offset: float) -> tf.Tensor:
    """Change the exposure of each image.

    Args:
        images: float32 `(batch, height, width, 3)`, 0 to 255.
        seed: int32 `(2,)`.
        gain: Pixels are multiplied by a factor from 1 - gain to 1 + gain.
        offset: Then up to this share of 255 is added or subtracted.

    Returns:
        float32 of the same shape, 0 to 255.
    """
    if not gain and not offset:
        return images
    of_gain, of_offset = tf.unstack(tf.random.split(seed, 2))
    one_each = (tf.shape(images)[0], 1, 1, 1)
    factor = random_uniform(of_gain, one_each, 1 - gain, 1 + gain, images.dtype)
    added = 255 * random_uniform(of_offset, one_each, -offset, offset, images.dtype)
    return tf.clip_by_value(images * factor + added, 0, 255)
