"""A-Net, the adversary: an encoder-decoder that learns where to occlude and how far to rotate."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from ssah_tf.losses.global_batch import random_gumbel, random_uniform
from ssah_tf.models.batch_norm import BatchNorm
from ssah_tf.models.deformation import Deformer
from ssah_tf.models.occlusion import choose_cells


@keras.saving.register_keras_serializable(package="ssah_tf")
class ANet(Deformer):
    """Encoder-decoder over the grids of the occlusion, with one head a scale and several angles.

    A stem brings the image to the finest grid (at most 32 x 32 cells whatever its size, so that
    the cost hardly depends on it); two strided convolutions reach the coarser grids, and a decoder
    with skips comes back. Each scale has a 1-channel head whose highest scores are occluded; the
    coarsest features give a score to each of `angles` equal ranges of angles, of which the highest
    is taken, and a uniform angle within it. Gumbel noise on the scores makes the choice a draw
    without replacement from their softmax. The scores of an image have mean 0 and standard
    deviation `score_scale`, whatever the network gives, so that hard samples stay varied and the
    gradient never vanishes.

    Args:
        width: Channels of the stem; the coarser levels have twice as many.
        angles: Number of ranges that the angle is chosen from, 2 or more.
        score_scale: Standard deviation of the scores over the cells of an image, and over its
            angles; 0 would be random deformation.
        **kwargs: Arguments of `Deformer`.

    Input shape: `(batch, size, size, 3)`, 0 to 255.
    Output shape: the same, float32.
    """

    def __init__(
        self,
        image_size: int,
        *args,
        width: int = 16,
        angles: int = 8,
        score_scale: float = 1.0,
        **kwargs,
    ):
        super().__init__(image_size, *args, **kwargs)
        self.width = width
        if angles < 2:
            raise ValueError(f"angles must be 2 or more. Received: angles={angles}")
        self.angles = angles
        self.score_scale = score_scale

        def conv(name, filters, kernel=3, stride=1):
            return keras.Sequential(
                [
                    layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False),
                    BatchNorm(),
                    layers.ReLU(),
                ],
                name=name,
            )

        cell = self.finest_cell
        self.encoder = [
            conv("stem", width, kernel=max(3, cell), stride=cell),
            conv("down_1", 2 * width, stride=2),
            conv("down_2", 2 * width, stride=2),
        ]
        if self.occlusion:
            levels = range(self.finest, 2)  # up to the finest grid that a head reads
            self.decoder = [conv(f"up_{level}", width * 2**level) for level in levels]
            self.score_heads = [
                layers.Conv2D(1, 1, use_bias=False, name=f"scores_{s}") for s in self.scales
            ]
        if self.rotation:
            self.angle_head = layers.Dense(angles, use_bias=False, name="angles")

    @property
    def finest(self) -> int:
        """The finest scale that is occluded."""
        return min(self.scales)

    @property
    def finest_cell(self) -> int:
        """Width in pixels of the cells of scale 0."""
        return self.grids[0][0] >> self.scales[0]

    def build(self, input_shape):
        """Create the weights by one symbolic pass."""
        if not self.built:
            self.features(keras.KerasTensor((None, *input_shape[1:])))
        self.built = True

    def features(self, images, training=False):
        """Scores of the cells, `(batch, n, n)` for each of `grids`, and of the ranges of angles.

        Either is `None` if that part is switched off.
        """
        x = (images - keras.ops.convert_to_tensor(self.fill, images.dtype)) / 64.0
        levels = []
        for block in self.encoder:
            x = block(x, training=training)
            levels.append(x)
        angles = scores = None
        if self.rotation:
            angles = self.angle_head(keras.ops.mean(x, axis=(1, 2)))  # (B, angles)
        if self.occlusion:
            decoded = [x]  # coarsest first
            for level in range(1, self.finest - 1, -1):
                n = levels[level].shape[1]
                x = keras.ops.repeat(keras.ops.repeat(x, 2, axis=1), 2, axis=2)[:, :n, :n]
                x = keras.ops.concatenate([x, levels[level]], axis=-1)
                x = self.decoder[level - self.finest](x, training=training)
                decoded.append(x)
            scores = [
                keras.ops.squeeze(head(decoded[2 - scale]), -1)
                for scale, head in zip(self.scales, self.score_heads, strict=True)
            ]
        return scores, angles

    def choose(self, images, seed, training):
        """Cells and a range of angles by score plus noise. See `Deformer.choose`."""
        scores, of_angles = self.features(images, training=training)
        batch = tf.shape(images)[0]
        seeds = None if seed is None else tf.random.split(seed, 5)

        def marked(score, number, count):
            """The highest of the standardised scores, `(batch, options)`."""
            flat = self.score_scale * standardised(score)
            if seeds is not None:
                flat += random_gumbel(seeds[number], (batch, flat.shape[1]), flat.dtype)
            return choose_cells(flat, count)

        marks = []
        if self.occlusion:
            for i, (score, (_, n)) in enumerate(zip(scores, self.grids, strict=True)):
                cells = marked(tf.reshape(score, [batch, n * n]), i, self.cell_counts[i])
                marks.append(tf.reshape(cells, [batch, n, n]))
        if not self.rotation:
            return marks, None
        ends = np.linspace(-self.max_radians, self.max_radians, self.angles + 1)
        centres = tf.constant((ends[:-1] + ends[1:]) / 2, of_angles.dtype)
        angles = tf.linalg.matvec(marked(of_angles, 3, 1), centres)  # (B,)
        if seeds is not None:
            reach = self.max_radians / self.angles
            angles += random_uniform(seeds[4], (batch,), -reach, reach, angles.dtype)
        return marks, angles

    def get_config(self):
        """Arguments that make an equal A-Net."""
        return {
            **super().get_config(),
            "width": self.width,
            "angles": self.angles,
            "score_scale": self.score_scale,
        }


def standardised(scores: tf.Tensor) -> tf.Tensor:
    """Scores of each image with mean 0 and standard deviation 1, `(batch, options)`."""
    mean, variance = tf.nn.moments(scores, axes=[1], keepdims=True)
    return (scores - mean) * tf.math.rsqrt(variance + 1e-6)
