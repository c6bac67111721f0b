"""How a preset of KerasHub wants its pixels: measured at its image converter."""

from pathlib import Path
from typing import Any

import keras
import numpy as np

from ssah_tf.models.backbones.preprocessing import Preprocessing
from ssah_tf.models.class_names import check_classes
from ssah_tf.system.errors import SsahError
from ssah_tf.system.reading import parse_json
from ssah_tf.system.text import first_line

#: The file of a preset that says it.
CONVERTER = "image_converter.json"
#: Side in pixels of what a converter is tried out on that names no size.
PROBE = 8


def read_converter(folder: Path) -> Preprocessing:
    """How a preset wants its pixels.

    Its converter is shown plain images, which tell what it does to each channel; so it does not
    matter how it is written.

    Raises:
        SsahError: It has none, or one whose work is not scale, mean, deviation and order.
    """
    path = folder / CONVERTER
    if not path.is_file():
        raise SsahError(
            f"{folder}: no {CONVERTER} says how the network wants its pixels; save it beside the "
            "network: ImageConverter.save_to_preset"
        )
    try:
        config = parse_json(path.read_bytes())
        converter = make_converter(config)
        return tried_out(converter)
    except Exception as error:  # a converter can raise anything
        raise SsahError(f"{path}: the preprocessing cannot be read ({first_line(error)})") from None


def make_converter(config: Any) -> keras.layers.Layer:
    """An image converter of KerasHub.

    Raises:
        ValueError: The configuration is of something else, or names a foreign class.
    """
    import keras_hub

    name = config.get("registered_name") if isinstance(config, dict) else None
    found = keras.saving.get_registered_object(name) if isinstance(name, str) else None
    if not (isinstance(found, type) and issubclass(found, keras_hub.layers.ImageConverter)):
        raise ValueError("it names no image converter of KerasHub")
    arguments = config.get("config")
    if not isinstance(arguments, dict):
        raise ValueError("the converter has no arguments")
    check_classes(arguments)
    kind: Any = found
    return kind.from_config({**arguments, "dtype": "float32"})


def tried_out(converter: Any) -> Preprocessing:
    """What a converter does to pixels, measured.

    With x in [0, 255]^3 it must give A x + b in each place, where A has one value above 0 in each
    row and column: the order of the channels, and 1 / deviation of each.

    Raises:
        ValueError: It does something else.
    """
    size = converter.image_size
    height, width = size or (PROBE, PROBE)
    plain = np.zeros((5, height, width, 3), np.float32)
    for channel in range(3):
        plain[1 + channel, ..., channel] = 255
    plain[4] = np.random.default_rng(0).integers(0, 256, plain.shape[1:])
    found = np.asarray(keras.ops.convert_to_numpy(converter(plain)), np.float64)
    if found.shape != plain.shape:
        raise ValueError(f"images of shape {plain.shape[1:]} become {found.shape[1:]}")
    offset = found[0, 0, 0]  # (3,)
    slopes = (found[1:4, 0, 0] - offset) / 255  # (channel of the image, channel of the network)
    order = next((o for o in (slice(None), slice(None, None, -1)) if is_scale(slopes[:, o])), None)
    if order is None:
        raise ValueError("it mixes channels")
    scale = slopes[:, order].diagonal()  # in the order of the image
    mean = -offset[order] / scale
    expected = ((plain - mean) * scale)[..., order]
    if np.abs(found - expected).max() > 1e-4 * np.abs(expected).max():
        raise ValueError("it does more than scale and shift each channel")
    return Preprocessing(
        rescale_factor=1.0,
        image_mean=tuple(mean.tolist()),
        image_std=tuple((1 / scale).tolist()),
        channel_order="rgb" if order == slice(None) else "bgr",
        size=height if size and height == width else None,
        asks=tuple(asked(converter)),
    )


def is_scale(slopes: np.ndarray) -> bool:
    """Whether a matrix has values above 0 on its diagonal and nothing beside it."""
    diagonal = slopes.diagonal()
    beside = np.abs(slopes - np.diag(diagonal)).max()
    return bool(diagonal.min() > 0 and beside <= 1e-6 * diagonal.max())


def asked(converter: Any) -> list[str]:
    """What a converter asks for beyond our one rule of crop and resize, one phrase each."""
    if converter.image_size is None:
        return []
    height, width = converter.image_size
    found = []
    if converter.pad_to_aspect_ratio:
        found.append(f"the whole photo within {height} x {width} px, with borders")
    elif not converter.crop_to_aspect_ratio:
        found.append(f"the whole photo resized to {height} x {width} px, whatever its shape")
    elif height != width:
        found.append(f"a crop of {height} x {width} px")
    if converter.interpolation != "bilinear":
        found.append(f"a {converter.interpolation} filter instead of a bilinear one")
    if not converter.antialias:
        found.append("no smoothing where photos are made smaller")
    return found
