"""What needs no training: a pretrained backbone, PCA, a rotation, and signs (ITQ)."""

import time

import numpy as np
import tensorflow as tf

from ssah_tf.data import ImageSet
from ssah_tf.data.pipeline import encoding_batches
from ssah_tf.errors import RecipeError
from ssah_tf.files import atomic_path
from ssah_tf.models import HNet
from ssah_tf.training.build import build_backbone
from ssah_tf.training.callbacks import Validate
from ssah_tf.training.run import Run

#: Images on which directions and rotation are fitted, at most.
SAMPLE = 20_000
ITERATIONS = 50
BATCH = 64


def fit(run: Run, images: ImageSet) -> None:
    """Make the encoder of a run from its backbone as it is; labels play no part.

    The hash layer of H-Net gets the directions of PCA, turned so that signs lose least, and its
    normalisation takes the mean off. So the result is an encoder like any other.

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
    positions = images.positions(split.labelled + split.unlabelled)
    positions = positions[:: max(1, len(positions) // SAMPLE)][:SAMPLE]
    batches = encoding_batches(images, positions, size=recipe.data.image_size, batch=BATCH)
    see = tf.function(lambda batch: hnet.backbone(batch, training=False), reduce_retracing=True)
    features = np.concatenate([see(batch).numpy() for batch in batches])
    try:
        directions, mean = itq(features, hnet.bits, recipe.seed)
    except ValueError as error:
        raise RecipeError(f"model.bits: {error}") from None
    hnet.hash_layer.set_weights([directions])
    spread = ((features - mean) @ directions).var(axis=0)
    hnet.hash_norm.set_weights([np.ones(hnet.bits), np.zeros(hnet.bits), mean @ directions, spread])
    with atomic_path(run.model_path) as path:
        hnet.save(path)
    found, error = Validate(run, images, range(1)).validation_map(hnet)
    entry = {"epoch": 0, "stage": "hnet_warmup", "seconds": round(time.monotonic() - began, 2)}
    run.save_history([{**entry, "rho": 0.0, "validation_map": found, "validation_error": error}])


def itq(features: np.ndarray, bits: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Iterative quantisation (Gong and Lazebnik, CVPR 2011).

    PCA to K directions, then a rotation R that minimises |sign(V R) - V R|, by turns of B =
    sign(V R) and the orthogonal R nearest to it (Procrustes).

    Args:
        features: float `(n, d)`.
        bits: Number of directions K.
        seed: Seed of the first rotation.

    Returns:
        Directions float32 `(d, K)` and the mean `(d,)`: a code is sign((f - mean) directions).

    Raises:
        ValueError: The features have fewer than K directions.
    """
    features = np.asarray(features, np.float64)
    mean = features.mean(axis=0)
    centred = features - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(features))
    known = int((values > 1e-9 * values[-1]).sum())
    if bits > known:
        raise ValueError(f"{bits} bits need as many directions; the features have {known}")
    principal = vectors[:, ::-1][:, :bits]
    projected = centred @ principal
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(bits, bits)))
    for _ in range(ITERATIONS):
        signs = np.where(projected @ rotation >= 0, 1.0, -1.0)
        left, _, right = np.linalg.svd(projected.T @ signs)
        rotation = left @ right
    return (principal @ rotation).astype(np.float32), mean.astype(np.float32)
