"""How an image network of others wants its pixels: `preprocessor_config.json`, or options.

Taken are scale, mean, deviation, channel order and size. Crop and resize stay the one rule of
`ssah_tf.data.decode`; where a file asks for something else, `asks` says so for the model card.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssah_tf.system.errors import SsahError
from ssah_tf.system.reading import parse_json

#: The file that Hugging Face's image processors write beside a network.
NAME = "preprocessor_config.json"
#: Filters of Pillow by the numbers that such a file has; ours is the bilinear one.
FILTERS = {0: "nearest", 1: "Lanczos", 3: "bicubic", 4: "box", 5: "Hamming"}
ORDERS = ("rgb", "bgr")


@dataclass(frozen=True)
class Preprocessing:
    """From pixels of 0 to 255 to what a network takes: `(pixel * scale - mean) / std`.

    Attributes:
        rescale_factor: The scale.
        image_mean: Mean of each channel after scaling, in the order of the network.
        image_std: Deviation of each channel after scaling.
        channel_order: One of `ORDERS`.
        size: Side of the images in pixels, if the file names one.
        asks: What it asks for and does not get, one phrase each.
    """

    rescale_factor: float
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]
    channel_order: str
    size: int | None = None
    asks: tuple[str, ...] = ()


def read_preprocessing(folder: Path, options: dict[str, Any]) -> Preprocessing:
    """The preprocessing of the network in a folder.

    Args:
        folder: Where `preprocessor_config.json` may lie.
        options: `rescale_factor`, `image_mean`, `image_std` and `channel_order`, `None` for those
            that the file is to say; they win over it.

    Raises:
        SsahError: Neither says how, or a value is none.
    """
    path = folder / NAME
    given = {key: value for key, value in options.items() if value is not None}
    found: dict[str, Any] = {}
    if path.is_file():
        try:
            found = values_of(parse_json(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise SsahError(
                f"{path}: the preprocessing cannot be read ({error}); name it with "
                "model.options.rescale_factor, image_mean, image_std and channel_order"
            ) from None
    elif not {"image_mean", "image_std"} <= set(given):
        raise SsahError(
            f"{folder}: no {NAME} says how the network wants its pixels: put it there, or set "
            "model.options.image_mean and image_std (and rescale_factor, 1/255 by default)"
        )
    merged = {"rescale_factor": 1 / 255, "channel_order": "rgb", **found, **given}
    try:
        return Preprocessing(
            rescale_factor=number(merged["rescale_factor"], "rescale_factor", above_zero=True),
            image_mean=three(merged["image_mean"], "image_mean"),
            image_std=three(merged["image_std"], "image_std", above_zero=True),
            channel_order=order(merged["channel_order"]),
            size=merged.get("size"),
            asks=merged.get("asks", ()),
        )
    except ValueError as error:
        raise SsahError(f"{path if found else 'model.options'}: {error}") from None


def values_of(config: object) -> dict[str, Any]:
    """What a `preprocessor_config.json` says, as arguments of `Preprocessing`.

    Raises:
        ValueError: It does not say how to normalise, or a value is none.
    """
    if not isinstance(config, dict):
        raise ValueError("not a mapping")
    scale, mean, std = 1.0, [0.0] * 3, [1.0] * 3
    if config.get("do_rescale", True):
        scale = number(config.get("rescale_factor", 1 / 255), "rescale_factor", above_zero=True)
    if config.get("do_normalize", True):
        missing = [key for key in ("image_mean", "image_std") if key not in config]
        if missing:
            raise ValueError(f"{missing[0]} is missing")
        mean, std = list(three(config["image_mean"], "image_mean")), config["image_std"]
    if config.get("rescale_offset"):  # pixel * scale - 1
        mean = [value + 1 for value in mean]
    bgr = config.get("do_flip_channel_order", False)
    return {
        "rescale_factor": scale,
        "image_mean": mean,
        "image_std": std,
        "channel_order": "bgr" if bgr else "rgb",
        "size": side(config),
        "asks": tuple(asked(config)),
    }


def side(config: dict[str, Any]) -> int | None:
    """Side of the square that a network is to see, `None` if the file names no square."""
    height, width = sides(config.get("crop_size" if config.get("do_center_crop") else "size"))
    return height if height == width else None


def sides(size: object) -> tuple[int | None, int | None]:
    """Height and width of a size in any of its forms.

    Raises:
        ValueError: It has none of them.
    """
    if size is None:
        return None, None
    if isinstance(size, dict):
        short = size.get("shortest_edge")
        size = [size.get("height", short), size.get("width", short)]
    pair: list[Any] = size if isinstance(size, list) else [size, size]
    if len(pair) != 2 or not all(isinstance(n, int) and 0 < n < 2**16 for n in pair):
        raise ValueError("size is neither a number of pixels nor height and width")
    return pair[0], pair[1]


def asked(config: dict[str, Any]) -> list[str]:
    """What a file asks for beyond our one rule of crop and resize."""
    found = []
    height, width = sides(config.get("size"))
    if config.get("do_center_crop"):
        cut = sides(config.get("crop_size"))
        if cut != (height, width):
            found.append(f"the shorter side resized to {height} px, then {cut[0]} px cut out")
    elif isinstance(config.get("size"), dict) and "height" in config["size"]:
        found.append(f"the whole photo resized to {height} x {width} px, whatever its shape")
    if config.get("crop_pct"):
        found.append(f"a crop of {config['crop_pct']} of the resized photo")
    if config.get("resample") in FILTERS:
        found.append(f"a {FILTERS[config['resample']]} filter instead of a bilinear one")
    return found


def number(value: object, name: str, above_zero: bool = False) -> float:
    """A finite number.

    Raises:
        ValueError: It is none.
    """
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not math.isfinite(value) or (above_zero and value <= 0):  # type: ignore[arg-type, operator]
        kind = "a number above 0" if above_zero else "a number"
        raise ValueError(f"{name} must be {kind}. Received: {value!r}")
    return float(value)  # type: ignore[arg-type]


def three(values: object, name: str, above_zero: bool = False) -> tuple[float, ...]:
    """A number for each channel; one number stands for all.

    Raises:
        ValueError: They are not one or three numbers.
    """
    listed = list(values) if isinstance(values, list | tuple) else [values]
    if len(listed) not in (1, 3):
        raise ValueError(f"{name} must have 3 numbers. Received: {values!r}")
    listed = listed * (3 // len(listed))
    return tuple(number(value, name, above_zero) for value in listed)


def order(value: object) -> str:
    """An order of channels.

    Raises:
        ValueError: It is none.
    """
    if value not in ORDERS:
        raise ValueError(f"channel_order must be one of {', '.join(ORDERS)}. Received: {value!r}")
    return str(value)
