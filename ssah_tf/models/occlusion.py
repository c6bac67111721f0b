"""Multi-scale occlusion: exact numbers of cells, chosen with a straight-through gradient."""

import tensorflow as tf


def occlusion_grids(size: int) -> tuple[tuple[int, int], ...]:
    """Scales of the occlusion for images of a given side, finest first.

    A cell is a power of two wide, so that an encoder of stride two meets each scale; the finest is
    the smallest one, of 2 px or more, that needs at most 32 cells a side. 28 px: cells of 2, 4 and
    8 px; 224 px: of 8, 16 and 32 px (1/28, 1/14 and 1/7 of the side).

    Returns:
        Three pairs `(cell, cells a side)`; the last cell of a row may reach over the border.
    """
    cell = 2
    while -(-size // cell) > 32:
        cell *= 2
    return tuple((cell * 2**level, -(-size // (cell * 2**level))) for level in range(3))


def choose_cells(scores: tf.Tensor, count: int) -> tf.Tensor:
    """Mark the `count` cells with the highest scores, with a straight-through gradient.

    Forward: exactly `count` ones an image. Backward: as if the mark were
    sigmoid(score - threshold), threshold = midway between the last cell chosen and the first one
    left out. Equation ours.

    Args:
        scores: float `(batch, cells)`.
        count: Cells to choose an image, 1 to cells - 1.

    Returns:
        float `(batch, cells)` of zeros and ones.
    """
    best, index = tf.math.top_k(tf.stop_gradient(scores), k=count + 1)  # (B, count + 1)
    threshold = (best[:, count - 1 : count] + best[:, count:]) / 2  # (B, 1)
    # By index, not by score >= threshold: equal scores must not change the area.
    hard = tf.reduce_sum(tf.one_hot(index[:, :count], scores.shape[1], dtype=scores.dtype), axis=1)
    soft = tf.sigmoid(scores - threshold)
    return tf.stop_gradient(hard - soft) + soft


def cells_to_pixels(cells: tf.Tensor, cell: int, size: int) -> tf.Tensor:
    """Spread marks of cells over their pixels, `(batch, n, n) -> (batch, size, size, 1)`.

    By repetition, since the gradient of a nearest-neighbour resize does not compile under XLA.
    """
    pixels = tf.repeat(tf.repeat(cells, cell, axis=1), cell, axis=2)
    return pixels[:, :size, :size, None]


def occlude(images: tf.Tensor, mask: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """Replace the marked pixels by the fill colour.

    Args:
        images: float `(batch, height, width, channels)`.
        mask: float `(batch, height, width, 1)`, 1 where occluded.
        fill: float `(channels,)`.

    Returns:
        Tensor of the shape of `images`.
    """
    return images + mask * (fill - images)
