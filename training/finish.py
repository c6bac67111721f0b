"""The last step of a training: the selected encoder becomes the one that is kept."""

import keras

from ssah_tf.data import ImageSet
from ssah_tf.system.files import atomic_path
from ssah_tf.training.batch_statistics import recalibrate
from ssah_tf.training.hash_layer.appearance import with_appearance
from ssah_tf.training.hash_layer.features import features_of, training_positions
from ssah_tf.training.hash_layer.refit import refit_hash_layer
from ssah_tf.training.run import Run


def finish_encoder(run: Run, images: ImageSet) -> None:
    """Recalibrate the selected encoder of a run, refit its hash layer, give it an appearance layer.

    Done twice, the result is the same, so it can be killed at any moment: `model.keras` is the
    encoder before or after all of it.

    Args:
        run: A run with a selected encoder.
        images: Its images.
    """
    keras.utils.set_random_seed(run.recipe.seed)  # first: layers draw seeds when they are loaded
    encoder = run.encoder()
    recalibrate(encoder, run, images)
    positions = training_positions(run.split, images, run.recipe.train.most_unlabelled)
    features = features_of(encoder, images, positions, run.recipe.data.image_size)
    if run.recipe.train.refit:
        refit_hash_layer(encoder, run, features, images)
    encoder = with_appearance(encoder, features, run.recipe.seed)
    with atomic_path(run.model_path) as path:
        encoder.save(path)
