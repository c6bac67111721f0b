"""What a recipe leaves to the images: every value `auto`, resolved before a training starts."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from ssah_tf.data import ImageSet
from ssah_tf.models.backbones import with_file
from ssah_tf.models.backbones.keras_hub_preset import open_preset
from ssah_tf.models.backbones.onnx_network import read_network
from ssah_tf.system.durations import in_words
from ssah_tf.system.errors import RecipeError
from ssah_tf.system.text import plain_console
from ssah_tf.training.build import make
from ssah_tf.training.hash_layer.calibration import seconds_a_megapixel
from ssah_tf.training.recipe import Recipe

#: Sides that are chosen from, in pixels; the largest that the photos fill.
SIZES = (32, 48)
#: With a GPU also these; a step at 64 px takes a CPU five times as long as one at 28 px.
GPU_SIZES = (64, 96, 128)
#: Sides for a frozen backbone, which looks at each image once or twice: the first at least. It was
#: pretrained at 224 px, and sees more in small images, too, if they are enlarged to that.
FROZEN_SIZES = (96, 128, 160, 224)
#: For where no side plays a part, so that none is chosen by a look at images and machine.
ANY_SIDE = f"data.image_size={FROZEN_SIZES[-1]}"
#: Images for which such a backbone takes the largest side without a look at its speed.
FEW = 2_000
#: Seconds that it may take for all images that it looks at, without a GPU; decoding comes on top.
FROZEN_SECONDS = 300.0
#: Sides that a recipe can have.
SMALLEST, LARGEST = 28, 1024
#: Images whose size is looked at.
SAMPLE = 200


def resolve(recipe: Recipe, images: ImageSet) -> Recipe:
    """The recipe with a value for every `auto`.

    - `data.image_size`: the largest of 32 and 48 px (with a GPU also 64, 96, 128) that at least
      half of the photos fill with their shorter side; 32 if none. With `train.cached_features` of
      96, 128, 160 and 224 px the largest with which the backbone is done in five minutes, by its
      speed on this machine; a line says so. With a GPU, and for few images, it is 224 px. An ONNX
      file and a preset of KerasHub take the side that they were made for, if that is known.
    - `model.bits`: 48 for up to 20 classes, else 64; 64 without classes.
    - `train.batch`: 64 labelled images, 32 if fewer than 100 images have a label.
    - `train.joint`: epochs in which every image is seen twice, at least 40, at most 60.

    An ONNX file is named by its absolute path, its SHA-256 and all that was found out about it; the
    folder of a preset by its absolute path.

    Args:
        recipe: Any recipe.
        images: Its images.

    Raises:
        SsahError: The ONNX file or the preset of the recipe cannot be used.
    """
    values = recipe.model_dump()
    data, model, train = values["data"], values["model"], values["train"]
    made_for = resolve_onnx(model, train["cached_features"]) or resolve_preset(model)
    if data["image_size"] == "auto" and made_for in range(SMALLEST, LARGEST + 1):
        data["image_size"] = made_for
    if data["image_size"] == "auto":
        if train["cached_features"]:
            data["image_size"] = frozen_size(Recipe.model_validate(values), images)
        else:
            sizes = SIZES + (GPU_SIZES if has_gpu() else ())
            largest = np.median(short_sides(images))
            data["image_size"] = max((size for size in sizes if size <= largest), default=sizes[0])
    if model["bits"] == "auto":
        model["bits"] = 48 if 0 < len(images.classes) <= 20 else 64
    if train["batch"] == "auto":
        train["batch"] = 64 if images.labels.any(axis=1).sum() >= 100 else 32
    if train["joint"] == "auto":
        a_pass = len(images) / (train["batch"] * max(1, train["ratio"]) * train["steps_per_epoch"])
        train["joint"] = int(np.clip(np.ceil(2 * a_pass), 40, 60))
    return Recipe.model_validate(values)


def frozen_size(recipe: Recipe, images: ImageSet) -> int:
    """Side in pixels at which a frozen backbone looks at images. See `resolve`.

    Args:
        recipe: What its backbone is, is known.
        images: The images.
    """
    labelled = int(images.labels.any(axis=1).sum())
    seen = min(len(images), labelled + recipe.train.most_unlabelled)
    if seen <= FEW or has_gpu():
        return FROZEN_SIZES[-1]
    megapixels = {side: seen * side**2 / 1e6 for side in FROZEN_SIZES}
    speed = seconds_a_megapixel(recipe, images)
    in_time = [side for side in FROZEN_SIZES if megapixels[side] * speed <= FROZEN_SECONDS]
    size = max(in_time, default=FROZEN_SIZES[0])
    plain_console().print(
        f"data.image_size: {size} px; the backbone takes about "
        f"{in_words(megapixels[size] * speed)} for {seen:,} images on this machine",
        soft_wrap=True,
    )
    return size


def resolve_onnx(model: dict, cached_features: bool) -> int | None:
    """Pin the ONNX file of a recipe, if it has one, in place.

    Args:
        model: The section `model` of the recipe.
        cached_features: Whether the backbone is frozen.

    Returns:
        The side in pixels that the network is made for, if that is known.

    Raises:
        RecipeError: The backbone is to be trained, or an option does not fit.
        SsahError: The file cannot be used.
    """
    if not model["backbone"].startswith("onnx:"):
        return None
    if not cached_features:
        raise RecipeError(
            "model.backbone: an ONNX file is not trained: take the recipe frozen or baseline, or "
            "set train.cached_features"
        )
    kind, options = with_file(model["backbone"], model["options"])
    network = make("model.backbone", {kind: read_network}, kind, options)
    model["backbone"] = f"{kind}:{Path(options['file']).resolve()}"
    model["options"] = {**model["options"], **network.options()}
    return network.side or network.preprocessing.size


def resolve_preset(model: dict) -> int | None:
    """Pin the preset of KerasHub of a recipe, if it has one, in place. See `resolve_onnx`."""
    kind, options = with_file(model["backbone"], model["options"])
    if kind != "keras_hub":
        return None
    preset = open_preset(options.get("preset", ""))
    if Path(preset.name).is_dir():
        model["backbone"] = f"{kind}:{Path(preset.name).resolve()}"
    return preset.size


def short_sides(images: ImageSet) -> list[int]:
    """Shorter side in pixels of some of the images, from their headers."""
    if images.pixels is not None:
        return [images.pixels.shape[1]]
    sides = []
    for name in images.ids[:: max(1, len(images) // SAMPLE)]:
        with Image.open(os.path.join(images.root or "", name)) as image:
            sides.append(min(image.size))
    return sides


def has_gpu() -> bool:
    """Whether TensorFlow finds a GPU."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))
