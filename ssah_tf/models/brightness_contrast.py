"""Random contrast and brightness of the images that H-Net is trained on."""

import tensorflow as tf

from ssah_tf.losses.global_batch import random_uniform


def random_brightness_contrast(
    images: tf.Tensor, seed: tf.Tensor, contrast: float, brightness: float
) -> tf.Tensor:
    """Change contrast and brightness of each image.

    Args:
        images: float32 `(batch, height, width, 3)`, 0 to 255.
        seed: int32 `(2,)`.
        contrast: Pixels are multiplied by a factor from 1 - contrast to 1 + contrast.
        brightness: Then up to this share of 255 is added or subtracted.

    Returns:
        float32 of the same shape, 0 to 255.
    """
    if not contrast and not brightness:
        return images
    of_contrast, of_brightness = tf.unstack(tf.random.split(seed, 2))
    one_each = (tf.shape(images)[0], 1, 1, 1)
    factor = random_uniform(of_contrast, one_each, 1 - contrast, 1 + contrast, images.dtype)
    added = 255 * random_uniform(of_brightness, one_each, -brightness, brightness, images.dtype)
    return tf.clip_by_value(images * factor + added, 0, 255)
