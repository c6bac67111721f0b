"""The control for A-Net: deformations of equal area and angle, drawn at random."""

import keras
import tensorflow as tf

from ssah_tf.losses.global_batch import random_uniform
from ssah_tf.models.deformation import Deformer
from ssah_tf.models.occlusion import choose_cells


@keras.saving.register_keras_serializable(package="ssah_tf")
class RandomDeformation(Deformer):
    """Cells uniformly at random, angles uniformly within `max_angle`; nothing is learnt.

    Without this row beside it, a gain of A-Net may be plain augmentation.
    """

    def choose(self, images, seed, training):
        """Draw cells and angles; without a seed always the same ones."""
        batch = tf.shape(images)[0]
        seeds = tf.random.split(tf.zeros(2, tf.int32) if seed is None else seed, 4)
        marks = []
        if self.occlusion:
            for number, ((_, n), count) in enumerate(
                zip(self.grids, self.cell_counts, strict=True)
            ):
                scores = random_uniform(seeds[number], (batch, n * n), dtype=images.dtype)
                marks.append(tf.reshape(choose_cells(scores, count), [batch, n, n]))
        angles = None
        if self.rotation:
            angles = random_uniform(
                seeds[3], (batch,), -self.max_radians, self.max_radians, images.dtype
            )
        return marks, angles
