"""Trains a recipe: warm-up of H-Net, warm-up of A-Net, joint stage; then finishes the encoder."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ssah_tf.data import ImageSet, Split
from ssah_tf.data.pipeline import training_batches
from ssah_tf.models.game import SSAH
from ssah_tf.models.weights_file import check_weights
from ssah_tf.system.errors import RunError
from ssah_tf.system.signals import StopSignals
from ssah_tf.training.build import build_game
from ssah_tf.training.callbacks import HardSampleAlbum, Keep, Stop, StopOnNaN, Validate
from ssah_tf.training.collapse import WatchCollapse
from ssah_tf.training.devices import (
    adopt_chiefs,
    check_shares,
    is_chief,
    make_strategy,
    refuse_workers,
    total_of_workers,
    workers_stay,
)
from ssah_tf.training.finish import finish_encoder
from ssah_tf.training.hash_layer.bits import NO_DIRECTIONS, tell_fewer
from ssah_tf.training.hash_layer.features import Features, features_of, sample_of
from ssah_tf.training.hash_layer.frozen import train_on_frozen_backbone
from ssah_tf.training.hash_layer.itq import TooManyBits, begin_game_with_itq
from ssah_tf.training.memory import check_batch, enough_memory
from ssah_tf.training.progress import Progress
from ssah_tf.training.recipe import Recipe
from ssah_tf.training.run import LOST, Run
from ssah_tf.training.self_training import with_pseudo_labels, write_pseudo_labels


def train(
    run: Run,
    images: ImageSet,
    devices: int | None = None,
    *,
    features: Features = features_of,
    beside: tuple[keras.callbacks.Callback, ...] = (),
    kind: Callable[..., SSAH] = SSAH,
) -> None:
    """Train a run from where it stands to its end.

    The encoder, `model.keras`, is selected by validation among the epochs of the last stage (see
    `selected_epoch`), recalibrated and refitted; the queries are not looked at. Of several workers
    the chief alone validates and writes. No other process trains the run meanwhile.

    Args:
        run: A new run, or one that was interrupted.
        images: Its images.
        devices: See `make_strategy`.
        features: Gives the features of images where the backbone is frozen.
        beside: What else goes on beside the steps where it is not.
        kind: Makes the game where it is not; see `build_game`.

    Raises:
        RecipeError: The recipe names something that is not there.
        RunError: The loss is not a number any more, the run cannot be resumed, another process
            trains it, or another worker has stopped.
        Stopped: Ctrl-C or SIGTERM in the middle of an epoch; the run can be resumed.
    """
    strategy = make_strategy(devices)
    with run.alone() if is_chief() else nullcontext():
        if is_chief():
            run.tidy()
        with workers_stay(f"ssah train --resume {run.folder}"), enough_memory(run):
            total_of_workers(strategy, 0)  # now the chief has made the run folder
            run.split.check(images)
            if total_of_workers(strategy, len(run.split.ids)) != (
                len(run.split.ids) * strategy.num_replicas_in_sync
            ):
                raise RunError(f"{run.folder}: the workers see different images; share them")
            if run.recipe.train.cached_features:  # one device is enough, whatever there is
                refuse_workers("a recipe with train.cached_features")
                train_on_frozen_backbone(run, images, features)
            else:
                train_game(run, images, strategy, beside, kind)
            if run.missing and is_chief():  # numbers of this encoder say so
                *before, last = run.history
                run.save_history([*before, {**last, LOST: len(run.missing)}])


def train_game(
    run: Run,
    images: ImageSet,
    strategy: tf.distribute.Strategy,
    beside: tuple[keras.callbacks.Callback, ...] = (),
    kind: Callable[..., SSAH] = SSAH,
) -> None:
    """Train the stages of the game from where a run stands to their end, and finish the encoder.

    Args:
        run: The run.
        images: Its images.
        strategy: The devices.
        beside: See `train`; one that sets `stop_training` ends the training of the stages.
        kind: See `train`.

    Raises:
        RunError, Stopped: See `train`.
    """
    recipe = run.recipe
    per_epoch = recipe.train.steps_per_epoch
    check_batch(recipe)
    check_shares(strategy, recipe.train.batch)
    images = images.hold(recipe.data.image_size, recipe.data.cache_mb)
    split, images = training_part(run, images, strategy)
    with strategy.scope():
        game = build_game(recipe, images, split, kind)
    plan = stages(recipe, game.has_adversary)
    done = restore(run, game, strategy)
    if not done and recipe.model.hash_layer == "itq":
        game = begin_with_features(game, run, images, split, strategy, kind)
        adopt_chiefs(strategy, game.variables)  # hosts may differ in how they round
    if left := [stage for stage in plan if done < stage.last * per_epoch]:
        with (
            Progress(plan[-1].last, done, per_epoch) as progress,
            StopSignals("stopping after this batch, with a checkpoint") as signals,
        ):
            callbacks = [*make_callbacks(run, images, plan[-1], progress, signals), *beside]
            for stage in left:
                first = max(done, stage.first * per_epoch)
                batches = partial(training_batches_of, recipe, images, split, first)
                game.begin(stage.name)
                game.fit(
                    strategy.distribute_datasets_from_function(batches),
                    initial_epoch=first // per_epoch,
                    first_batch=first % per_epoch,
                    epochs=stage.last,
                    steps_per_epoch=per_epoch,
                    callbacks=callbacks,
                )
                if game.stop_training:
                    break
    if is_chief():
        finish_encoder(run, images)


def training_part(
    run: Run, images: ImageSet, strategy: tf.distribute.Strategy
) -> tuple[Split, ImageSet]:
    """Split and images as the game sees them: with the pseudo-labels of self-training, if any."""
    teacher = run.recipe.pseudo_labels.self_train
    if not teacher:
        return run.split, images
    if is_chief():
        write_pseudo_labels(run, Path(teacher), images)
    total_of_workers(strategy, 0)  # now the labels are there
    return with_pseudo_labels(run, images)


@dataclass(frozen=True)
class Stage:
    """A stretch of epochs in which one stage of the game is trained."""

    name: str
    first: int  # number of its first epoch, counted over the whole training
    last: int  # number of the epoch after its last


def stages(recipe: Recipe, has_adversary: bool) -> list[Stage]:
    """The stages of a training, those without an epoch left out."""
    train = recipe.train
    lengths = {
        "hnet_warmup": train.hnet_warmup,
        "anet_warmup": train.anet_warmup if has_adversary and train.joint else 0,
        "joint": train.joint,
    }
    plan, epoch = [], 0
    for name, length in lengths.items():
        if length:
            plan.append(Stage(name, epoch, epoch + length))
        epoch += length
    return plan


def make_callbacks(
    run: Run, images: ImageSet, last: Stage, progress: Progress, signals: StopSignals
) -> list[keras.callbacks.Callback]:
    """What goes on beside the steps; on workers other than the chief, little.

    Args:
        run: The run.
        images: Its images.
        last: The last stage, from which the encoder is selected.
        progress: The bar.
        signals: Where signals are noted.
    """
    if not is_chief():
        return [StopOnNaN(), Stop(run, signals)]
    keep = Keep(run)
    return [
        StopOnNaN(),
        Validate(run, images, range(last.first, last.last)),
        HardSampleAlbum(run, images),
        WatchCollapse(run, images, progress.console),
        keras.callbacks.TensorBoard(run.folder / "tensorboard", write_graph=False),
        keep,
        progress,
        Stop(run, signals, keep),
    ]


def begin_with_features(
    game: SSAH,
    run: Run,
    images: ImageSet,
    split: Split,
    strategy: tf.distribute.Strategy,
    kind: Callable[..., SSAH] = SSAH,
) -> SSAH:
    """Begin the hash layer with what PCA and ITQ make of the backbone's features.

    Returns:
        The game; with fewer bits, which the recipe then has, too, if features have fewer
        directions.
    """
    recipe, labelled = run.recipe, images.positions(split.labelled)
    rest = sample_of(images.positions(split.unlabelled), recipe.train.most_unlabelled)
    positions = np.concatenate([labelled, rest])
    features = features_of(game.hnet, images, positions, recipe.data.image_size)
    begin = partial(
        begin_game_with_itq, features=features, labels=images.labels[labelled], seed=recipe.seed
    )
    try:
        begin(game)
    except TooManyBits as error:
        if not error.directions:
            raise
        tell_fewer(error.directions, recipe.model.bits, NO_DIRECTIONS)
        run.take_bits(error.directions)
        with strategy.scope():
            game = build_game(run.recipe, images, split, kind)  # the same backbone
        begin(game)
    return game


def training_batches_of(
    recipe: Recipe,
    images: ImageSet,
    split: Split,
    first_step: int,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Batches of a recipe from a step on. See `training_batches`."""
    return training_batches(
        images,
        split,
        size=recipe.data.image_size,
        batch=recipe.train.batch,
        ratio=recipe.train.ratio,
        first_step=first_step,
        seed=recipe.seed,
        flip=recipe.data.flip,
        shift=recipe.data.shift,
        context=context,
    )


def restore(run: Run, game: SSAH, strategy: tf.distribute.Strategy) -> int:
    """Load the newest whole checkpoint, on all workers the same.

    Returns:
        Number of steps that are done, 0 without a checkpoint.

    Raises:
        RunError: There are checkpoints, but none of them can be read; or the workers see different
            ones.
    """
    done = load_checkpoint(run, game)
    if total_of_workers(strategy, done) != done * strategy.num_replicas_in_sync:
        raise RunError(f"{run.folder}: the workers see different checkpoints; it must be shared")
    return done


def load_checkpoint(run: Run, game: SSAH) -> int:
    """Load the newest whole checkpoint. See `restore`."""
    numbers = run.checkpoints()
    for steps in reversed(numbers):
        try:
            check_weights(run.checkpoint_path(steps))
            game.load_weights(run.checkpoint_path(steps))
        except (OSError, ValueError, KeyError):
            continue  # damaged: the one before it is kept for this
        if is_chief():
            run.save_history(run.history[: steps // run.recipe.train.steps_per_epoch])
        return steps
    if numbers:
        raise RunError(f"{run.folder}: none of its {len(numbers)} checkpoints can be read")
    return 0
