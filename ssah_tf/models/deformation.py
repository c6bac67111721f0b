"""What A-Net and its random counterpart share: the deformation of images into hard samples."""

import math

import keras
import tensorflow as tf

from ssah_tf.models.occlusion import cells_to_pixels, occlude, occlusion_grids
from ssah_tf.models.rotation import rotate


class Deformer(keras.Model):
    """Makes hard samples: rotation first, then multi-scale occlusion of an exact area.

    A subclass says which cells and which angle, in `choose`.

    Args:
        image_size: Side of the images in pixels, 28 to 512.
        fill: Colour of occluded pixels and of what rotation brings in, usually the data mean.
        occlusion: Whether images are occluded.
        rotation: Whether images are rotated.
        area: Share of the image that the union of all scales occludes, if cells fall independently.
        scales: Which of the three scales are used, 0 the finest.
        max_angle: Largest rotation in degrees, in either direction.
    """

    def __init__(
        self,
        image_size: int,
        fill: tuple[float, float, float] = (127.5, 127.5, 127.5),
        *,
        occlusion: bool = True,
        rotation: bool = True,
        area: float = 1 / 3,
        scales: tuple[int, ...] = (0, 1, 2),
        max_angle: float = 10.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not 28 <= image_size <= 512:
            raise ValueError(f"image_size must be 28 to 512 px. Received: image_size={image_size}")
        if not 0 < area < 1:
            raise ValueError(f"area must be between 0 and 1. Received: area={area}")
        if not scales or not set(scales) <= {0, 1, 2}:
            raise ValueError(f"scales must be some of 0, 1, 2. Received: scales={scales}")
        self.image_size = image_size
        self.fill = tuple(float(value) for value in fill)
        self.occlusion = occlusion
        self.rotation = rotation
        self.area = area
        self.scales = tuple(scales)
        self.max_angle = max_angle
        self.grids = [occlusion_grids(image_size)[scale] for scale in self.scales]
        # The scales fall on each other: with s of them, each takes 1 - (1 - area)^(1/s).
        share = 1 - (1 - area) ** (1 / len(self.scales))
        self.cell_counts = [max(1, round(share * n * n)) for _, n in self.grids]

    @property
    def max_radians(self) -> float:
        """Largest rotation in radians."""
        return math.radians(self.max_angle)

    def build(self, input_shape):
        """Create the weights, if a subclass has any."""
        self.built = True

    def choose(self, images: tf.Tensor, seed: tf.Tensor | None, training: bool):
        """Choose cells and angles.

        Returns:
            A list with float `(batch, n, n)` marks for each of `grids`, empty without occlusion,
            and float `(batch,)` angles in radians, counter-clockwise, or `None` without rotation.
        """
        raise NotImplementedError

    def deform(
        self, images: tf.Tensor, seed: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        """Deform images.

        Args:
            images: `(batch, size, size, 3)`, 0 to 255, any type.
            seed: int32 `(2,)`, source of variety; `None` for none.
            training: Whether batch statistics are taken from this batch.

        Returns:
            Hard samples, float32 `(batch, size, size, 3)`, 0 to 255; gradients reach what `choose`
            computed.
        """
        images = tf.cast(images, self.compute_dtype)
        if not self.built:
            self.build(images.shape)
        marks, angles = self.choose(images, seed, training)
        fill = tf.constant(self.fill, images.dtype)
        visible = tf.ones_like(images[..., :1])  # (B, S, S, 1)
        if angles is not None:
            images = rotate(images, angles, fill)
        for (cell, _), cells in zip(self.grids, marks, strict=False):
            visible *= 1 - cells_to_pixels(cells, cell, self.image_size)
        return occlude(images, 1 - visible, fill)

    def call(self, images, training=False):
        """Deformed images without noise, float32 `(batch, size, size, 3)`."""
        return self.deform(images, None, training)

    def get_config(self):
        """Arguments that make an equal deformer."""
        return {
            **super().get_config(),
            "image_size": self.image_size,
            "fill": self.fill,
            "occlusion": self.occlusion,
            "rotation": self.rotation,
            "area": self.area,
            "scales": self.scales,
            "max_angle": self.max_angle,
        }
