"""A frozen backbone: its features are computed once, and codes made from them."""

import time
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from ssah_tf.data import ImageSet
from ssah_tf.data.pipeline import not_tuned
from ssah_tf.data.sampling import BatchPlan
from ssah_tf.models import HNet, SchedulePace
from ssah_tf.system.files import atomic_path
from ssah_tf.training.build import assemble_game, build_hnet, build_optimizer
from ssah_tf.training.callbacks import StopOnNaN, Validate
from ssah_tf.training.hash_layer.appearance import with_appearance
from ssah_tf.training.hash_layer.bits import NO_DIRECTIONS, as_many_as_fit, tell_fewer
from ssah_tf.training.hash_layer.features import Features, features_of, training_positions
from ssah_tf.training.hash_layer.itq import begin_game_with_itq, begin_with_itq
from ssah_tf.training.hash_layer.label_propagation import propagate_labels
from ssah_tf.training.progress import Progress
from ssah_tf.training.recipe import Recipe
from ssah_tf.training.run import Run

#: Share of the features that are dropped in training.
DROPOUT = 0.3


def train_on_frozen_backbone(
    run: Run, images: ImageSet, features_of: Features = features_of
) -> None:
    """Make the encoder of a run on a frozen backbone.

    The hash layer of H-Net gets the directions of PCA, turned so that signs lose least (ITQ), in
    which labels play no part. Where the features have fewer directions than codes were to have
    bits, there are as many bits as directions. If the recipe has joint epochs, the layer is then
    trained on the features of labelled and unlabelled images. Nothing is chosen by the validation
    images, so once they have measured a first training, the layer is trained again with their
    labels, too. The result is an encoder like any other.

    Args:
        run: A new run.
        images: Its images.
        features_of: Gives the features of images; others may be known already.

    Raises:
        RecipeError: All features are equal, or the images are too small.
    """
    began = time.monotonic()
    recipe, split = run.recipe, run.split
    keras.utils.set_random_seed(recipe.seed)
    hnet = build_hnet(recipe, images, split)
    labelled, validation = map(images.positions, (split.labelled, split.validation))
    positions = training_positions(split, images, recipe.train.most_unlabelled)
    features = features_of(hnet, images, positions, recipe.data.image_size)
    validate = Validate(run, images, range(1), (positions, features))
    held_out = np.isin(positions, validation)

    def fit(hnet: HNet) -> tuple[float | None, float | None]:
        """Fit the hash layer; validation mAP and its error."""
        if not recipe.train.joint:
            begin_with_itq(hnet, features, recipe.seed)
            return validate.validation_map(hnet)
        train_on_features(hnet, recipe, features[~held_out], images.labels[labelled])
        measured = validate.validation_map(hnet)
        known = np.concatenate([labelled, validation])
        train_on_features(hnet, recipe, features, images.labels[known])
        return measured

    hnet, (score, deviation) = as_many_as_fit(fit, hnet)
    if hnet.bits < recipe.model.bits:
        tell_fewer(hnet.bits, recipe.model.bits, NO_DIRECTIONS)
        run.take_bits(hnet.bits)
    with atomic_path(run.model_path) as path:
        with_appearance(hnet, features, recipe.seed).save(path)
    stage = "joint" if recipe.train.joint else "hnet_warmup"
    entry = {"epoch": 0, "stage": stage, "seconds": round(time.monotonic() - began, 2)}
    run.save_history([{**entry, "validation_map": score, "validation_error": deviation}])


def train_on_features(
    hnet: HNet,
    recipe: Recipe,
    features: np.ndarray,
    labels: np.ndarray,
    beside: tuple[keras.callbacks.Callback, ...] = (),
) -> None:
    """Train the hash layer of H-Net: the game without an adversary, on features for images.

    Unlabelled images are given the classes that are probable enough
    (`pseudo_labels.label_propagation`), and train as if these were known. All images, with a label
    or without, take part in the consistency: what a moving average of the layer makes of all
    features of an image, the layer learns to make of a part of them. So where few images are
    without a label, these few are not seen again and again.

    Args:
        hnet: H-Net; its hash layer is set.
        recipe: Losses, batches and steps.
        features: float32 `(n, d)`, of the labelled images first.
        labels: Of the labelled images, uint8 `(labelled, classes)`.
        beside: What else goes on beside the steps.
    """
    known, threshold = len(labels), recipe.pseudo_labels.label_propagation
    if threshold and recipe.adversary.kind != "none" and len(features) > known:
        rows, given = propagate_labels(features, labels, threshold)
        rest = np.setdiff1d(np.arange(known, len(features)), rows)
        features = features[np.concatenate([np.arange(known), rows, rest])]
        labels = np.concatenate([labels, given])
    fit_on_features(hnet, recipe, features, labels, beside=beside)


def fit_on_features(
    hnet: HNet,
    recipe: Recipe,
    features: np.ndarray,
    labels: np.ndarray,
    title: str = "joint",
    beside: tuple[keras.callbacks.Callback, ...] = (),
) -> None:
    """One training of the hash layer, shown under a title. See `train_on_features`."""
    spec = recipe.train
    game = assemble_game(
        recipe,
        HNet(CachedFeatures(features.shape[1]), hnet.bits),
        NoDeformation() if recipe.adversary.kind == "plain" else None,
        SchedulePace(0),
        labels,
    )
    game.build(((None, features.shape[1]), (None, labels.shape[1])))
    if recipe.model.hash_layer == "itq":
        begin_game_with_itq(game, features, labels, recipe.seed)
    game.compile(build_optimizer(spec.hnet, spec.joint * spec.steps_per_epoch))
    everything = np.arange(len(features))
    plan = BatchPlan(
        labels,
        everything[: len(labels)],
        everything,
        batch=spec.batch,
        ratio=spec.ratio,
        seed=recipe.seed,
    )

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for step in range(spec.joint * spec.steps_per_epoch):
            rows = plan.labelled_rows(step)
            chosen = np.column_stack([rows, plan.unlabelled_positions(step)])
            yield {"images": features[chosen], "labels": labels[rows].astype(np.float32)}

    shape = (spec.batch, 1 + spec.ratio, features.shape[1])
    signature = {
        "images": tf.TensorSpec(shape, tf.float32),
        "labels": tf.TensorSpec((spec.batch, labels.shape[1]), tf.float32),
    }
    data = tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(2)
    with Progress(spec.joint, 0, spec.steps_per_epoch, title) as progress:
        game.fit(
            not_tuned(data),
            epochs=spec.joint,
            steps_per_epoch=spec.steps_per_epoch,
            callbacks=[StopOnNaN(), progress, *beside],
        )
    with game.averaged_weights() as trained:
        for mine, theirs in (
            (hnet.hash_layer, trained.hash_layer),
            (hnet.hash_norm, trained.hash_norm),
        ):
            mine.set_weights(theirs.get_weights())


class CachedFeatures(layers.Layer):
    """Stands for a backbone whose features are the input; in training, some are dropped."""

    def __init__(self, size: int, **kwargs):
        super().__init__(**kwargs)
        self.feature_size = size
        self.dropout = layers.Dropout(DROPOUT)

    def call(self, features: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The features, or a part of them."""
        return self.dropout(features, training=training)


class NoDeformation(keras.Model):
    """Stands for a deformer: hard samples are the images themselves, seen a second time."""

    def build(self, input_shape: tuple) -> None:
        """Nothing to make."""
        self.built = True

    def deform(
        self, images: tf.Tensor, seed: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        """The images as they are."""
        return images
