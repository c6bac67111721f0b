"""What needs no training: a pretrained backbone, PCA, a rotation, and signs (ITQ)."""

import time

from ssah_tf.data import ImageSet
from ssah_tf.errors import RecipeError
from ssah_tf.files import atomic_path
from ssah_tf.models import HNet
from ssah_tf.training.build import build_backbone
from ssah_tf.training.callbacks import Validate
from ssah_tf.training.itq import begin_with_itq
from ssah_tf.training.run import Run


def fit(run: Run, images: ImageSet) -> None:
    """Make the encoder of a run from its backbone as it is; labels play no part.

    The hash layer of H-Net gets the directions of PCA, turned so that signs lose least. So the
    result is an encoder like any other.

    Args:
        run: A new run.
        images: Its images.

    Raises:
        RecipeError: There are more bits than directions, or the images are too small.
    """
    began = time.monotonic()
    recipe, split = run.recipe, run.split
    split.check(images)
    images = images.hold(recipe.data.image_size, recipe.data.cache_mb)
    hnet = HNet(build_backbone(recipe, images, split), recipe.model.bits)
    try:
        hnet.build((None, recipe.data.image_size, recipe.data.image_size, 3))
    except ValueError as error:
        raise RecipeError(f"data.image_size, model.backbone: {error}") from None
    begin_with_itq(hnet, images, split, recipe.data.image_size, recipe.seed)
    with atomic_path(run.model_path) as path:
        hnet.save(path)
    found, error = Validate(run, images, range(1)).validation_map(hnet)
    entry = {"epoch": 0, "stage": "hnet_warmup", "seconds": round(time.monotonic() - began, 2)}
    run.save_history([{**entry, "rho": 0.0, "validation_map": found, "validation_error": error}])
