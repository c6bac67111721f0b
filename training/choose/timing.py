"""How long the parts of a training take on this machine: each is run for a moment."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from ssah_tf.data import ImageSet, Split
from ssah_tf.data.sampling import evenly
from ssah_tf.models import SSAH, HNet, SchedulePace
from ssah_tf.models.inference import quick_backbones
from ssah_tf.system.errors import SsahError
from ssah_tf.system.signals import raise_if_ending
from ssah_tf.training.build import assemble_game, build_backbone, build_game, build_optimizer
from ssah_tf.training.hash_layer.feature_store import feature_key
from ssah_tf.training.hash_layer.frozen import CachedFeatures, NoDeformation
from ssah_tf.training.recipe import Recipe
from ssah_tf.training.train import stages

#: Images of a timing, and steps: of a game, and of a hash layer on features.
IMAGES, STEPS, HASH_STEPS = 32, 3, 20
#: Features of a small network.
NARROW = 128


@dataclass(frozen=True)
class FrozenTiming:
    """Of a frozen backbone and a hash layer on it, in seconds.

    Attributes:
        start: To build the backbone and trace it.
        decode: Of an image, at the largest side.
        forward: Of the backbone for an image, by side; none if there are no weights.
        fit: To begin a training of the hash layer.
        step: Of that training.
        no_weights: Why there is no backbone; `None` if there is one.
        keys: What names its features, by side; see `feature_key`.
    """

    start: float
    decode: float
    forward: dict[int, float]
    fit: float
    step: float
    no_weights: str | None = None
    keys: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GameTiming:
    """Of a training of the backbone, in seconds.

    Attributes:
        size: Side of the images in pixels.
        start: To build the networks and trace all steps.
        steps: Of a step, by stage.
        forward: To encode an image.
    """

    size: int
    start: float
    steps: dict[str, float]
    forward: float

    def at(self, size: int) -> "GameTiming":
        """The same at another side: what is computed grows with its square."""
        factor = (size / self.size) ** 2
        steps = {stage: factor * seconds for stage, seconds in self.steps.items()}
        return GameTiming(size, self.start, steps, factor * self.forward)


def time_frozen(
    recipe: Recipe, images: ImageSet, split: Split, sizes: tuple[int, ...]
) -> FrozenTiming:
    """Time a frozen backbone on some of the images, and a hash layer on made-up features.

    Args:
        recipe: A recipe with `train.cached_features` and joint epochs; its image size is one of
            `sizes`.
        images: The images.
        split: Its parts.
        sizes: Sides to time, in pixels.

    Returns:
        The timing; without a backbone, if its weights are not there.
    """
    some, classes = evenly(np.arange(len(images)), IMAGES), len(images.classes)
    began = time.monotonic()
    try:
        hnet = HNet(build_backbone(recipe, images, few_of(split)), recipe.model.bits)
    except SsahError as error:
        decode = timed(lambda: images.read(some, min(sizes)))[1] / len(some)
        fit, step = time_hash_layer(recipe, NARROW, classes)
        return FrozenTiming(0.0, decode, {}, fit, step, str(error))
    hnet.build((None, max(sizes), max(sizes), 3))
    see = tf.function(
        lambda batch: hnet.backbone(batch, training=False),
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)],
    )
    see(np.zeros((1, min(sizes), min(sizes), 3), np.uint8))
    quick = quick_backbones(hnet.backbone, sizes, len(images))
    start = time.monotonic() - began
    largest, seconds = timed(lambda: images.read(some, max(sizes)))
    decode, forward = seconds / len(some), {}
    for size in sizes:
        raise_if_ending()
        pixels = largest[:, :size, :size]
        network = quick.get(size, see)
        network(pixels[: len(pixels) // 4])
        forward[size] = timed(partial(network, pixels))[1] / len(some)
    fit, step = time_hash_layer(recipe, hnet.backbone.feature_size, classes)
    keys = {size: feature_key(hnet, size) for size in sizes}
    return FrozenTiming(start, decode, forward, fit, step, keys=keys)


def time_hash_layer(recipe: Recipe, width: int, classes: int) -> tuple[float, float]:
    """Seconds to begin a training of the hash layer, and those of a step.

    Args:
        recipe: Its batches and losses.
        width: Number of features.
        classes: Number of classes; without one no hash layer is trained.
    """
    if not classes:
        return 0.0, 0.0
    labels = np.eye(classes, dtype=np.uint8)
    batch, seen = recipe.train.batch, 1 + recipe.train.ratio
    began = time.monotonic()
    game = assemble_game(
        recipe,
        HNet(CachedFeatures(width), recipe.model.bits),
        NoDeformation() if recipe.adversary.kind == "plain" else None,
        SchedulePace(0),
        labels,
    )
    game.build(((None, width), (None, classes)))
    game.compile(build_optimizer(recipe.train.hnet, 1))
    features = np.random.default_rng(recipe.seed).normal(size=(batch, seen, width))
    batches = repeated(features.astype(np.float32), classes)
    start = time.monotonic() - began
    first, step = time_steps(game, batches, HASH_STEPS)
    return start + first, step


def time_game(recipe: Recipe, images: ImageSet, split: Split) -> GameTiming:
    """Time some steps of each stage of a training, on made-up pixels.

    Args:
        recipe: A recipe that trains a backbone.
        images: Its images.
        split: Its parts.

    Raises:
        SsahError: The weights of the backbone are not there, or it does not take such images.
    """
    size, batch = recipe.data.image_size, recipe.train.batch
    began = time.monotonic()
    game = build_game(recipe, images, few_of(split))
    rng = np.random.default_rng(recipe.seed)
    shape = (batch, 1 + recipe.train.ratio, size, size, 3)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    batches = repeated(pixels, len(images.classes))
    start, steps = time.monotonic() - began, {}
    for stage in stages(recipe, game.has_adversary):
        raise_if_ending()
        game.begin(stage.name)
        first, steps[stage.name] = time_steps(game, batches, STEPS)
        start += first
    pixels = pixels[:, 0]
    start += timed(lambda: game.hnet.encode([pixels]))[1]
    forward = timed(lambda: game.hnet.encode([pixels]))[1] / batch
    return GameTiming(size, start, steps, forward)


def repeated(images: np.ndarray, classes: int) -> tf.data.Dataset:
    """The same batch again and again, with labels that take turns.

    Args:
        images: `(batch, 1 + ratio, ...)`, pixels or features.
        classes: Number of classes.
    """
    labels = np.eye(classes, dtype=np.float32)[np.arange(len(images)) % classes]
    return tf.data.Dataset.from_tensors({"images": images, "labels": labels}).repeat()


def time_steps(game: SSAH, batches: tf.data.Dataset, steps: int) -> tuple[float, float]:
    """Seconds to trace the present stage of a game, and those of a step, the median of some."""
    watch = Watch()
    spent = timed(lambda: game.fit(batches, steps_per_epoch=steps + 1, callbacks=[watch]))[1]
    step = float(np.median(np.diff(watch.ends)))
    return max(0.0, spent - (steps + 1) * step), step


class Watch(keras.callbacks.Callback):
    """Notes when each step ends."""

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Nothing has ended."""
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """A step has."""
        self.ends.append(time.monotonic())


def timed(work: Callable) -> tuple:
    """What some work gives, and the seconds that it took."""
    began = time.monotonic()
    result = work()
    return result, time.monotonic() - began


def few_of(split: Split) -> Split:
    """A split whose mean colours are soon known."""
    few = (split.labelled + split.unlabelled)[:IMAGES]
    return replace(split, labelled=(), unlabelled=few)
