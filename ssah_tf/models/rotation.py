"""Rotation of images by learnable angles, and the bilinear sampler that it needs."""

import tensorflow as tf


def rotate(images: tf.Tensor, angles: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Rotate images counter-clockwise about their centre, bilinear, differentiable in both inputs.

    An output pixel at offset (dx, dy) from the centre ((W-1)/2, (H-1)/2) is sampled at
    (cos a * dx - sin a * dy, sin a * dx + cos a * dy), as `tfa.image.rotate` does; samples outside
    of the image are blended with `fill`. `keras.ops.image.affine_transform` has no gradient to the
    transform, hence a sampler of our own.

    Args:
        images: float `(batch, height, width, channels)`.
        angles: float `(batch,)`, radians.
        fill: float `(channels,)`, the colour outside of the image.

    Returns:
        Tensor of the shape and type of `images`.
    """
    images = tf.convert_to_tensor(images)
    angles = tf.cast(angles, images.dtype)
    dx, dy = offsets(images)
    cos, sin = tf.cos(angles)[:, None, None], tf.sin(angles)[:, None, None]  # (B, 1, 1)
    return sampled(images, cos * dx - sin * dy, sin * dx + cos * dy, fill)


def offsets(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """How far the pixels of images are from their centre, `(1, 1, width)` and `(1, height, 1)`."""
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    centre_x = tf.cast(width - 1, images.dtype) / 2
    centre_y = tf.cast(height - 1, images.dtype) / 2
    dx = tf.cast(tf.range(width), images.dtype)[None, None, :] - centre_x
    dy = tf.cast(tf.range(height), images.dtype)[None, :, None] - centre_y
    return dx, dy


def sampled(images: tf.Tensor, dx: tf.Tensor, dy: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Images read at other places, bilinear, differentiable in the images and the places.

    Args:
        images: float `(batch, height, width, channels)`.
        dx: float `(batch, height, width)`, of what each pixel becomes: pixels right of the centre.
        dy: The same, down from the centre.
        fill: float `(channels,)`, the colour outside of the image.

    Returns:
        Tensor of the shape and type of `images`.
    """
    fill = tf.cast(fill, images.dtype)
    shape = tf.shape(images)
    batch, height, width, channels = shape[0], shape[1], shape[2], images.shape[3]
    x = dx + tf.cast(width - 1, images.dtype) / 2  # (B, H, W)
    y = dy + tf.cast(height - 1, images.dtype) / 2

    left, top = tf.floor(x), tf.floor(y)
    weight_x = (x - left)[..., None]  # (B, H, W, 1)
    weight_y = (y - top)[..., None]
    left, top = tf.cast(left, tf.int32), tf.cast(top, tf.int32)

    # A frame of `fill` one pixel wide stands for everything outside.
    frame = [[0, 0], [1, 1], [1, 1], [0, 0]]
    inside = tf.pad(tf.ones([1, height, width, 1], images.dtype), frame)
    framed = tf.pad(images, frame) + (1 - inside) * fill
    flat = tf.reshape(framed, [batch, (height + 2) * (width + 2), channels])

    def sample(column, row):
        column = tf.clip_by_value(column + 1, 0, width + 1)
        row = tf.clip_by_value(row + 1, 0, height + 1)
        index = tf.reshape(row * (width + 2) + column, [batch, height * width])
        return tf.reshape(tf.gather(flat, index, axis=1, batch_dims=1), shape)

    upper = sample(left, top) * (1 - weight_x) + sample(left + 1, top) * weight_x
    lower = sample(left, top + 1) * (1 - weight_x) + sample(left + 1, top + 1) * weight_x
    return upper * (1 - weight_y) + lower * weight_y
