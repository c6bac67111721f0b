"""CroVCA beside the recipe `frozen`, written from its description, in both of its forms.

Moummad et al., "Image Hashing via Cross-View Code Alignment in the Age of Foundation Models", 2026,
arXiv 2510.27584: an MLP that ends in batch normalisation, on a frozen backbone; a binary
cross-entropy that aligns the codes of two views, less a coding rate that keeps codes apart; five
epochs. Views are two augmentations of an image, or two images of a class. Rate, batch, width,
least crop, weights of the losses and the epsilon of the coding rate are the authors' published
defaults. What the description leaves open is ours, and the docstrings below say so; it was chosen
on training images (docs/notebook/label_efficiency.md). One thing differs: features are computed
once, so the first view is the image as it is, and the second is drawn once, not in each epoch.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from ssah_tf.models import HNet
from ssah_tf.models.batch_norm import BatchNorm
from ssah_tf.training.build import build_optimizer
from ssah_tf.training.recipe import Recipe

#: The methods of the grid.
VIEWS = "CroVCA, two views"
CLASS = "CroVCA, two images of a class"
#: Weight of the coding rate, and its epsilon.
WEIGHT, EPSILON = 0.1, 0.05
#: Widths of the MLP below the hash layer; that there is but one is ours.
HIDDEN = (2048,)
#: Least share of an image that a random crop keeps.
LEAST_AREA = 0.4


class SecondView(layers.Layer):
    """A backbone that sees a random crop of each image, perhaps mirrored, in other colours (ours).

    Args:
        backbone: Layer from pixels to features. Its draws are those of seed 0.

    Input shape: `(batch, size, size, 3)`, RGB, 0 to 255.
    Output shape: `(batch, features)`.
    """

    def __init__(self, backbone: layers.Layer):
        super().__init__()
        self.backbone = backbone
        self.draws = keras.random.SeedGenerator(0)
        self.flip = layers.RandomFlip("horizontal", seed=0)
        self.colours = layers.RandomColorJitter(
            (0, 255),
            brightness_factor=0.2,
            contrast_factor=0.4,
            saturation_factor=(0.4, 0.6),  # times 2/3 to 3/2
            hue_factor=0.1,
            seed=0,
        )

    def build(self, input_shape: tuple) -> None:
        """Create the weights of the backbone."""
        self.backbone.build(input_shape)
        self.feature_size = self.backbone.feature_size
        self.built = True

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Features of one augmentation of each image, whether training or not."""
        count, size = ops.shape(images)[0], images.shape[1]
        boxes = self.random_boxes(count)
        views = tf.image.crop_and_resize(images, boxes, ops.arange(count), (size, size))
        views = self.colours(self.flip(views, training=True), training=True)
        return self.backbone(views, training=False)

    def random_boxes(self, count: int) -> tf.Tensor:
        """Corners y0, x0, y1, x1 in [0, 1] of crops, aspect 3:4 to 4:3, float32 `(count, 4)`."""
        area, stretch, y, x = ops.unstack(keras.random.uniform((4, count), seed=self.draws))
        area = LEAST_AREA + (1 - LEAST_AREA) * area
        aspect = ops.exp((2 * stretch - 1) * np.log(4 / 3))
        height = ops.minimum(ops.sqrt(area / aspect), 1.0)
        width = ops.minimum(ops.sqrt(area * aspect), 1.0)
        y, x = y * (1 - height), x * (1 - width)
        return ops.stack([y, x, y + height, x + width], axis=1)


class HashCoder(layers.Layer):
    """The MLP below the hash layer of H-Net: dense, batch normalisation, ReLU (ours) each.

    Input shape: `(batch, size)`.
    Output shape: `(batch, HIDDEN[-1])`.
    """

    def __init__(self, size: int):
        super().__init__()
        self.feature_size = HIDDEN[-1]
        stages = [(layers.Dense(n, use_bias=False), BatchNorm(), layers.ReLU()) for n in HIDDEN]
        self.mlp = keras.Sequential([layer for stage in stages for layer in stage])
        self.mlp.build((None, size))

    def call(self, features: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Hidden features."""
        return self.mlp(features, training=training)


def alignment_loss(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy of each view's logits and the other's code, float32 `()`.

    (BCE(sigma(z1), [z2 >= 0]) + BCE(sigma(z2), [z1 >= 0])) / 2, summed over bits, the mean over
    images. That it is a sum, is taken both ways, and has no gradient through codes is ours.

    Args:
        first: Logits z1 of a view, float32 `(batch, bits)`.
        second: Logits z2 of the other view, likewise.
    """
    codes = [ops.cast(ops.stop_gradient(z) >= 0, z.dtype) for z in (first, second)]
    both = [
        ops.binary_crossentropy(code, logits, from_logits=True)
        for code, logits in zip(codes, (second, first), strict=True)
    ]
    return first.shape[1] * ops.mean(both)


def coding_rate(logits: tf.Tensor) -> tf.Tensor:
    """Coding rate log det(I + K / (n eps^2) Z^T Z) / 2 of rows of unit length, float32 `()`.

    Yu et al., "Learning Diverse and Discriminative Representations via the Principle of Maximal
    Coding Rate Reduction", NeurIPS 2020. That Z are logits of unit length is ours.

    Args:
        logits: float32 `(n, K)`.
    """
    n, bits = ops.shape(logits)[0], logits.shape[1]
    z = ops.normalize(logits, axis=1)
    scale = bits / (ops.cast(n, z.dtype) * EPSILON**2)
    return ops.slogdet(ops.eye(bits) + scale * ops.matmul(ops.transpose(z), z))[1] / 2


def train_crovca(
    recipe: Recipe, features: np.ndarray, draw: Callable[[np.random.Generator], np.ndarray]
) -> HNet:
    """Train an MLP and hash layer on features.

    Args:
        recipe: Seed, bits, `train.batch`, optimizer, and epochs `train.joint`: each a pass over the
            images, and `train.steps_per_epoch` at least.
        features: Of the first views, float32 `(n, d)`.
        draw: Gives the features of the second views for a pass, in the same order and shape.

    Returns:
        H-Net that takes features for images.
    """
    spec = recipe.train
    size = features.shape[1]
    hnet = HNet(HashCoder(size), recipe.model.bits)
    hnet.build((None, size))
    hnet.hash_norm.gamma.trainable = hnet.hash_norm.beta.trainable = False  # even bits; ours
    batches = -(-len(features) // spec.batch)
    steps = spec.joint * max(batches, spec.steps_per_epoch)
    optimizer = build_optimizer(spec.hnet, steps)
    optimizer.build(hnet.trainable_variables)

    @tf.function(input_signature=[tf.TensorSpec((None, size), tf.float32)] * 2)
    def step(first, second):
        with tf.GradientTape() as tape:
            views = [hnet.logits(view, training=True) for view in (first, second)]
            rate = (coding_rate(views[0]) + coding_rate(views[1])) / 2
            loss = alignment_loss(*views) - WEIGHT * rate
        optimizer.apply(tape.gradient(loss, hnet.trainable_variables), hnet.trainable_variables)

    rng = np.random.default_rng(recipe.seed)
    for start in range(0, steps, batches):
        second = draw(rng)
        shuffled = np.array_split(rng.permutation(len(features)), batches)
        for rows in shuffled[: steps - start]:
            step(features[rows], second[rows])
    return hnet


def of_its_class(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each image another one that shares a label, int64 `(n,)`; itself if there is none.

    Args:
        labels: uint8 `(n, classes)`.
        rng: Draws evenly among the others.
    """
    partners = np.arange(len(labels))
    for image, row in enumerate(labels):
        sharing = np.flatnonzero((labels & row).any(axis=1))
        others = sharing[sharing != image]
        if len(others):
            partners[image] = rng.choice(others)
    return partners
