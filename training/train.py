"""Trains a recipe: warm-up of H-Net, warm-up of A-Net, joint stage; then evaluates the result."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ssah_tf.data import ImageSet, Loaded, Split
from ssah_tf.data.pipeline import training_batches
from ssah_tf.models.game import SSAH
from ssah_tf.models.weights_file import check_weights
from ssah_tf.system.errors import RunError
from ssah_tf.training.album import draw_album
from ssah_tf.training.auto import settle
from ssah_tf.training.batch_statistics import settle_statistics
from ssah_tf.training.build import build_game, build_images, build_split
from ssah_tf.training.callbacks import HardSampleAlbum, Keep, Progress, Stop, StopOnNaN, Validate
from ssah_tf.training.collapse import WatchCollapse
from ssah_tf.training.devices import (
    adopt_chiefs,
    is_chief,
    make_strategy,
    refuse_workers,
    total_of_workers,
    workers_stay,
)
from ssah_tf.training.hash_layer.features import features_of, sample_of
from ssah_tf.training.hash_layer.frozen import fit_on_features
from ssah_tf.training.hash_layer.itq import begin_game_with_itq
from ssah_tf.training.hash_layer.refit import refit_hash_layer
from ssah_tf.training.memory import check_batch, enough_memory
from ssah_tf.training.recipe import Recipe
from ssah_tf.training.run import Run
from ssah_tf.training.self_training import check_teacher, give_labels, with_given_labels
from ssah_tf.training.signals import StopSignals


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


def start(recipe: Recipe, folder: Path) -> tuple[Run, Loaded]:
    """Scan the images, settle what the recipe leaves to them, draw the split, make the run folder.

    Of several workers the chief makes the folder; the others find it there when they train.

    Returns:
        The run, and its images with what was left out of them.
    """
    loaded = build_images(recipe)
    if not is_chief():
        return Run(folder), loaded
    recipe = settle(recipe, loaded.images)
    split = build_split(recipe, loaded.images)
    if recipe.pseudo_labels.self_train:
        check_teacher(Run.open(Path(recipe.pseudo_labels.self_train)), split)
    run = Run.create(folder)
    with run.alone():
        if run.recipe_path.exists():
            raise RunError(f"{folder} was just taken by another process: name another --output")
        split.save(run.split_path)
        recipe.save(run.recipe_path)  # last: a folder with a recipe can be resumed
    return run, loaded


def train(run: Run, images: ImageSet, devices: int | None = None) -> None:
    """Train a run from where it stands to its end.

    The selected encoder, `model.keras`, is the one with the best validation mAP among the epochs
    of the last stage; the queries are not looked at. Of several workers the chief alone validates
    and writes. No other process trains the run meanwhile.

    Args:
        run: A new run, or one that was interrupted.
        images: Its images.
        devices: See `make_strategy`.

    Raises:
        RecipeError: The recipe names something that is not there.
        RunError: The loss is not a number any more, the run cannot be resumed, another process
            trains it, or another worker has stopped.
        Stopped: Ctrl-C or SIGTERM; the run can be resumed.
    """
    strategy = make_strategy(devices)
    with run.alone() if is_chief() else nullcontext(), StopSignals() as signals:
        if is_chief():
            run.tidy()
        with workers_stay(f"ssah train --resume {run.folder}"), enough_memory(run):
            total_of_workers(strategy, 0)  # now the chief has made the run folder
            play(run, images, strategy, signals)


def play(
    run: Run, images: ImageSet, strategy: tf.distribute.Strategy, signals: StopSignals
) -> None:
    """Train the stages of a run to its end or a signal. See `train`."""
    recipe, split = run.recipe, run.split
    split.check(images)
    if recipe.train.cached_features:  # one device is enough, whatever there is
        refuse_workers("a recipe with train.cached_features")
        return fit_on_features(run, images, Stop(run, signals, None))
    check_batch(recipe)
    if recipe.pseudo_labels.self_train:
        if is_chief():
            give_labels(run)
        total_of_workers(strategy, 0)  # now the labels are there
        split, images = with_given_labels(run, images)
    images = images.hold(recipe.data.image_size, recipe.data.cache_mb)
    if recipe.train.batch % strategy.num_replicas_in_sync:
        raise RunError(
            f"train.batch {recipe.train.batch} cannot be shared evenly by "
            f"{strategy.num_replicas_in_sync} devices"
        )
    with strategy.scope():
        game = build_game(recipe, images, split)
    plan = stages(recipe, game.has_adversary)
    done = restore(run, game)
    if total_of_workers(strategy, done) != done * strategy.num_replicas_in_sync:
        raise RunError(f"{run.folder}: the workers see different checkpoints; it must be shared")
    if not done and recipe.model.hash_layer == "itq":
        begin_with_features(game, recipe, images, split)
        adopt_chiefs(strategy, game.variables)  # hosts may differ in how they round
    per_epoch = recipe.train.steps_per_epoch
    if done < plan[-1].last * per_epoch:
        with Progress(plan[-1].last, done, per_epoch) as progress:
            watchers: list[keras.callbacks.Callback] = [StopOnNaN()]
            keep = Keep(run) if is_chief() else None
            if is_chief():
                watchers += [
                    Validate(run, images, range(plan[-1].first, plan[-1].last)),
                    HardSampleAlbum(run, images),
                    WatchCollapse(run, images, progress.console),
                    keras.callbacks.TensorBoard(run.folder / "tensorboard", write_graph=False),
                    keep,
                    progress,
                ]
            watchers.append(Stop(run, signals, keep))
            for stage in plan:
                if done < stage.last * per_epoch:
                    first = max(done, stage.first * per_epoch)
                    game.begin(stage.name)
                    game.fit(
                        strategy.distribute_datasets_from_function(
                            partial(training_batches_of, recipe, images, split, first)
                        ),
                        initial_epoch=first // per_epoch,
                        first_batch=first % per_epoch,
                        epochs=stage.last,
                        steps_per_epoch=per_epoch,
                        callbacks=watchers,
                    )
    if is_chief():
        settle_statistics(run, images)
        if recipe.train.refit:
            refit_hash_layer(run, images, Stop(run, signals, None))
        draw_album(run)


def begin_with_features(game: SSAH, recipe: Recipe, images: ImageSet, split: Split) -> None:
    """Begin the hash layer with what PCA and ITQ make of the backbone's features."""
    labelled = images.positions(split.labelled)
    positions = np.concatenate([labelled, sample_of(images.positions(split.unlabelled))])
    features = features_of(game.hnet, images, positions, recipe.data.image_size)
    begin_game_with_itq(game, features, images.labels[labelled], recipe.seed)


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


def restore(run: Run, game: SSAH) -> int:
    """Load the newest whole checkpoint.

    Returns:
        Number of steps that are done, 0 without a checkpoint.

    Raises:
        RunError: There are checkpoints, but none of them can be read.
    """
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
