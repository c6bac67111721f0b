"""How quick a frozen backbone is: timed once on a machine, and kept."""

import hashlib
import json
import math
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.models.inference import quick_backbone
from ssah_tf.system.errors import RunError
from ssah_tf.system.files import cache_folder, make_folder, write_atomically
from ssah_tf.system.parallel import cores
from ssah_tf.system.reading import parse_json
from ssah_tf.training.build import build_frozen
from ssah_tf.training.hash_layer.features import in_tensorflow
from ssah_tf.training.machine import machine
from ssah_tf.training.recipe import Recipe
from ssah_tf.version import __version__

#: Side of the images that are timed, in pixels, and how many there are at once.
SIDE, BATCH = 160, 8
#: Seconds of all cores that are enough to time.
ENOUGH = 1.0
#: Packages that compute features, each in its way.
PROGRAMS = ("tensorflow", "onnxruntime", "openvino")


def seconds_a_megapixel(recipe: Recipe, images: ImageSet) -> float:
    """Seconds that the frozen backbone of a recipe takes for a million pixels, on all cores.

    It is the time of the processor, so that other programs do not count, and in coarse steps, each
    1.4 times the one before, so that chance does not. The network is timed once; what was found is
    kept for this machine, this version, and the programs that are installed.

    Args:
        recipe: What its backbone is, is known.
        images: Some of them are looked at by a backbone that begins by chance.

    Raises:
        RecipeError: The backbone is not there, or does not take such images.
    """
    path = kept_at(recipe)
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = float(parse_json(path.read_bytes())["seconds_a_megapixel"])
        if found > 0 and math.isfinite(found):
            return found
    found = coarse(time_backbone(recipe, images))
    with suppress(RunError):  # it is timed again, then
        make_folder(path.parent)
        write_atomically(path, json.dumps({"seconds_a_megapixel": found}).encode())
    return found


def kept_at(recipe: Recipe) -> Path:
    """Where it is kept how quick the backbone of a recipe is."""
    versions = {}
    for program in PROGRAMS:
        with suppress(metadata.PackageNotFoundError):
            versions[program] = metadata.version(program)
    what = {
        "version": __version__,
        "programs": versions,
        "machine": machine(),
        "cores": cores(),
        "precision": recipe.train.precision,
        **recipe.model.model_dump(include={"backbone", "options"}),
    }
    name = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
    return cache_folder() / "calibration" / f"{name}.json"


def time_backbone(recipe: Recipe, images: ImageSet) -> float:
    """Seconds of the processor for a million pixels, divided by the cores. See
    `seconds_a_megapixel`."""
    hnet = build_frozen(recipe.with_image_size(SIDE), images)
    see = quick_backbone(hnet.backbone, SIDE, len(images)) or in_tensorflow(hnet)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype=np.uint8)
    see(pixels)  # what the first call alone does
    began, batches = time.process_time(), 0
    while not batches or time.process_time() - began < ENOUGH * cores():
        see(pixels)
        batches += 1
    spent = (time.process_time() - began) / cores()
    return spent / (batches * pixels[..., 0].size / 1e6)


def coarse(seconds: float) -> float:
    """The nearest power of the root of two."""
    return float(2 ** (round(2 * math.log2(seconds)) / 2))
