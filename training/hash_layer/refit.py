"""The last step of a training: the hash layer anew, by all labels, on a backbone that is done."""

import keras
import numpy as np
from rich.console import Console

from ssah_tf.data import ImageSet
from ssah_tf.models.saved import load_hnet
from ssah_tf.system.errors import RecipeError
from ssah_tf.system.files import atomic_path
from ssah_tf.training.callbacks import Stop
from ssah_tf.training.hash_layer.features import features_of, sample_of
from ssah_tf.training.hash_layer.frozen import play_on_features
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.recipe_sections import AdversarySection, PseudoLabelsSection, Recipe
from ssah_tf.training.run import Run


def refit_hash_layer(run: Run, images: ImageSet, stop: Stop) -> None:
    """Train the hash layer of the selected encoder once more, on the features of its backbone.

    The validation images have done their work, so their labels count, too: the encoder is selected
    by them, and then refitted with them. The layer begins with PCA and a rotation of the features
    (ITQ), class targets with the mean codes of the classes. Unlabelled images take part by the
    consistency, unless the run is supervised only. Retraining the last layer of a network that is
    done: Kang et al., "Decoupling representation and classifier", ICLR 2020, arXiv 1910.09217.

    The result depends on the backbone, the labels and the seed alone: done twice, it is the same.
    With more bits than the features have directions the layer stays as it is, and a line says so.

    Args:
        run: A run with a selected encoder, which is replaced.
        images: Its images.
        stop: Ends the training after a signal.
    """
    recipe, split = refit_recipe(run.recipe), run.split
    keras.utils.set_random_seed(recipe.seed)
    known = images.positions(split.labelled + split.validation)
    positions = np.concatenate([known, sample_of(images.positions(split.unlabelled))])
    encoder = load_hnet(run.model_path)
    features = features_of(encoder, images, positions, recipe.data.image_size)
    try:
        play_on_features(encoder, recipe, features, images.labels[known], (stop,), "refit")
    except RecipeError as error:
        Console(highlight=False).print(f"refit: left out; {error}", soft_wrap=True)
        return
    with atomic_path(run.model_path) as path:
        encoder.save(path)


def refit_recipe(recipe: Recipe) -> Recipe:
    """Losses, batches and joint steps of a recipe, on features, by the optimizer of `frozen`."""
    train = recipe.train
    steps = {"joint": train.joint or train.hnet_warmup, "hnet": load_recipe("frozen").train.hnet}
    kind = "none" if recipe.adversary.kind == "none" else "plain"
    return recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update={"hash_layer": "itq"}),
            "adversary": AdversarySection(kind=kind),
            "pseudo_labels": PseudoLabelsSection(),
            "train": train.model_copy(update=steps),
        }
    )
