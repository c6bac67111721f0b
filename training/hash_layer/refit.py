"""The hash layer fitted once more, by all labels, on a backbone that is done."""

from typing import Literal

import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.models import HNet
from ssah_tf.system.errors import RecipeError
from ssah_tf.system.text import plain_console
from ssah_tf.training.hash_layer.frozen import fit_on_features
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.recipe_sections import AdversarySection, PseudoLabelsSection, Recipe
from ssah_tf.training.run import Run


def refit_hash_layer(hnet: HNet, run: Run, features: np.ndarray, images: ImageSet) -> None:
    """Train the hash layer of an encoder once more, on the features of its backbone.

    The validation images have done their work, so their labels count, too: the encoder is selected
    by them, and then refitted with them. The layer begins with PCA and a rotation of the features
    (ITQ), class targets with the mean codes of the classes. Unlabelled images take part by the
    consistency, unless the run is supervised only. Retraining the last layer of a network that is
    done: Kang et al., "Decoupling representation and classifier", ICLR 2020, arXiv 1910.09217.

    The result depends on the backbone, the labels and the seed of Keras alone: done twice, it is
    the same. With more bits than the features have directions the layer stays as it is, and a line
    says so.

    Args:
        hnet: The encoder.
        run: Its run.
        features: Of its backbone and the images of `training_positions`, float32 `(n, d)`.
        images: The images of the run.
    """
    recipe, split = refit_recipe(run.recipe), run.split
    known = images.positions(split.labelled + split.validation)
    try:
        fit_on_features(hnet, recipe, features, images.labels[known], "refit")
    except RecipeError as error:
        plain_console().print(f"refit: left out; {error}", soft_wrap=True)


def refit_recipe(recipe: Recipe) -> Recipe:
    """Losses, batches and joint steps of a recipe, on features, by the optimizer of `frozen`."""
    train = recipe.train
    steps = {"joint": train.joint or train.hnet_warmup, "hnet": load_recipe("frozen").train.hnet}
    kind: Literal["none", "plain"] = "none" if recipe.adversary.kind == "none" else "plain"
    return recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update={"hash_layer": "itq"}),
            "adversary": AdversarySection(kind=kind),
            "pseudo_labels": PseudoLabelsSection(),
            "train": train.model_copy(update=steps),
        }
    )
