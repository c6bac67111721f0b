"""Presets of KerasHub: found, checked, and read so that a hostile one can only be refused."""

import difflib
import importlib.metadata
import importlib.util
import re
import socket
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from ssah_tf.models.backbones.keras_hub_converter import read_converter
from ssah_tf.models.backbones.preprocessing import Preprocessing
from ssah_tf.models.class_names import check_classes, is_backbone_of_keras_hub
from ssah_tf.models.precision import default_policy
from ssah_tf.models.weights_file import check_weights
from ssah_tf.system.errors import SsahError
from ssah_tf.system.reading import parse_json
from ssah_tf.system.text import first_line

#: The oldest KerasHub that this was written for.
OLDEST = (0, 32)
#: Files of a preset: the network, its weights in one file or a list of several.
CONFIG, WEIGHTS, SHARDS = "config.json", "model.weights.h5", "model.weights.json"
#: Arguments by which a backbone is told the shape of its images.
SHAPES = ("image_shape", "input_shape")
#: The part of a model of images and texts that sees the images.
TOWER = "vision_encoder"
#: Host of `hf://`, whose client tries for half a minute where there is no network.
HUGGING_FACE = "huggingface.co"


@dataclass(frozen=True)
class Preset:
    """A preset in a folder.

    Attributes:
        name: How it was asked for.
        folder: Where its files lie.
        config: Class and arguments of the backbone, as Keras serialises them; of a model of images
            and texts those of the whole.
        preprocessing: How it wants its pixels.
    """

    name: str
    folder: Path
    config: dict[str, Any] = field(repr=False)
    preprocessing: Preprocessing

    @property
    def size(self) -> int | None:
        """Side in pixels that it was made for, `None` if it names none."""
        return self.preprocessing.size or fixed_side(tower_of(self.config))


def need_keras_hub(what: str) -> None:
    """Import KerasHub, which registers its classes.

    Args:
        what: What needs it.

    Raises:
        SsahError: It is not installed, or too old.
    """
    if importlib.util.find_spec("keras_hub") is None:
        raise SsahError(f"{what} needs KerasHub: pip install 'ssah-tf[hub]'")
    version = importlib.metadata.version("keras-hub")
    found = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if found < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise SsahError(
            f"{what} needs KerasHub {oldest} or newer, found {version}: "
            "pip install --upgrade 'ssah-tf[hub]'"
        )
    import keras_hub  # noqa: F401


def open_preset(name: str) -> Preset:
    """Find a preset and read all of it but the weights.

    Args:
        name: A folder, or what KerasHub calls a preset: a name of its own, or kaggle://..., hf://...

    Raises:
        SsahError: There is none, it cannot be downloaded, or it is no image backbone.
    """
    if not name:
        raise SsahError("model.backbone: name the preset, keras_hub:PRESET or keras_hub:FOLDER")
    need_keras_hub(f"model.backbone keras_hub:{name}")
    folder = find_preset(name)
    config = read_config(folder / CONFIG)
    backbone = tower_of(config)
    arguments = backbone["config"]
    if not any(key in arguments for key in SHAPES):
        raise SsahError(f"{folder}: a {backbone['class_name']} is no backbone for images")
    return Preset(name, folder, config, read_converter(folder))


def find_preset(name: str) -> Path:
    """The folder of a preset; downloaded, if need be, but for its weights.

    Raises:
        SsahError: There is no such preset, or it cannot be downloaded.
    """
    if Path(name).is_dir():
        return Path(name)
    import keras_hub

    known = keras_hub.models.Backbone.presets
    if name not in known and "://" not in name:
        near = difflib.get_close_matches(name, known, n=3)
        hint = (
            f"did you mean {', '.join(near)}?" if near else "see https://keras.io/keras_hub/presets"
        )
        raise SsahError(
            f"model.backbone: KerasHub has no preset {name!r}, and there is no such folder; {hint}"
        )
    return fetch(name, CONFIG).parent


def fetch(name: str, file: str, missing_ok: bool = False) -> Path:
    """A file of a preset that KerasHub downloads, or has downloaded before.

    Args:
        name: Its preset.
        file: Its name.
        missing_ok: Whether a path to nothing is returned if the preset has no such file.

    Raises:
        SsahError: It cannot be had.
    """
    from keras_hub.src.utils.preset_utils import get_file

    if name.startswith("hf://") and not urllib.request.getproxies():
        try:
            socket.getaddrinfo(HUGGING_FACE, 443)
        except OSError as error:
            raise SsahError(unavailable(name, first_line(error))) from None
    try:
        return Path(get_file(name, file))
    except FileNotFoundError:
        if missing_ok:
            return Path(file)
        raise SsahError(unavailable(name, f"it has no {file}")) from None
    except Exception as error:  # of the clients of several hubs
        reason = f"{type(error).__name__}: {first_line(error)[:120]}"
        raise SsahError(unavailable(name, reason)) from None


def unavailable(name: str, reason: str) -> str:
    """A preset that cannot be downloaded, in a line."""
    return (
        f"model.backbone: preset {name} cannot be downloaded ({reason}); "
        "give the folder of one: keras_hub:FOLDER"
    )


def read_config(path: Path) -> dict[str, Any]:
    """Class and arguments of the backbone of a preset, with no foreign class in it.

    Raises:
        SsahError: The file cannot be read, or is of something else.
    """
    try:
        config = parse_json(path.read_bytes())
        if not isinstance(config, dict):
            raise ValueError("not a mapping")
        if "registered_name" not in config and {"model_type", "architecture"} & set(config):
            raise SsahError(
                f"{path}: of another library; write it anew with KerasHub: "
                "Backbone.from_preset(FOLDER).save_to_preset(OTHER)"
            )
        check_classes(config)
        if not is_backbone_of_keras_hub(config.get("registered_name")):
            raise ValueError("it names no backbone of KerasHub")
        if not isinstance(config.get("config"), dict):
            raise ValueError("the backbone has no arguments")
        tower = config["config"].get(TOWER)
        if tower is not None and not is_backbone_of_keras_hub(
            isinstance(tower, dict) and tower.get("registered_name")
        ):
            raise ValueError(f"its {TOWER} is no backbone of KerasHub")
    except (OSError, ValueError) as error:
        raise SsahError(f"{path}: not a preset of KerasHub ({first_line(error)})") from None
    return config


def tower_of(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a serialised backbone that sees the images."""
    return config["config"].get(TOWER) or config


def fixed_side(config: dict[str, Any]) -> int | None:
    """Side of the images that a serialised backbone was made for, `None` if it takes any."""
    for key in SHAPES:
        sides = [n for n in config["config"].get(key) or () if isinstance(n, int) and n != 3]
        if sides and len(set(sides)) == 1:
            return sides[0]
    return None


def build_network(config: dict[str, Any], side: int, policy: Any) -> Any:
    """A backbone of KerasHub for images of a side, with random weights.

    Args:
        config: As Keras serialises it, checked; of a model of images and texts the whole.
        side: In pixels.
        policy: What it computes by.

    Raises:
        ValueError: It does not take such images.
    """
    config = {**config, "config": dict(config["config"])}
    config["config"].pop("dtype", None)
    config.pop("build_config", None)
    if TOWER in config["config"]:
        parts = {key: part for key, part in config["config"].items() if isinstance(part, dict)}
        for key, part in parts.items():
            config["config"][key] = at_side(part, side if key == TOWER else None)
    else:
        config = at_side(config, side)
    with default_policy(policy):
        try:
            return keras.saving.deserialize_keras_object(config)
        except Exception as error:  # KerasHub checks little: a wrong argument raises anything
            name = config["class_name"]
            raise ValueError(f"{name} cannot be made for {side} px ({first_line(error)})") from None


def at_side(config: dict[str, Any], side: int | None) -> dict[str, Any]:
    """A serialised backbone for images of another side, and of no precision of its own."""
    arguments = dict(config.get("config", {}))
    arguments.pop("dtype", None)
    if side is not None:
        arguments |= {key: [side, side, 3] for key in SHAPES if key in arguments}
    return {**config, "config": arguments}


def load_network(preset: Preset, side: int, policy: Any, weights: bool) -> Any:
    """The image backbone of a preset for images of a side.

    Args:
        preset: The preset.
        side: In pixels.
        policy: What the network computes by.
        weights: Whether to load its weights, too.

    Raises:
        ValueError: It does not take such images.
        SsahError: The weights are missing, damaged, or of another network.
    """
    own = fixed_side(tower_of(preset.config))
    whole = build_network(preset.config, side, policy)
    if weights:
        path = weights_of(preset)
        try:
            whole.load_weights(path)
        except Exception as error:  # HDF5, JSON and Keras each raise their own
            if own not in (None, side) and isinstance(error, ValueError):
                raise ValueError(
                    f"{preset.name} takes images of {own} px alone; set data.image_size={own}"
                ) from None
            raise SsahError(
                f"{path}: not the weights of its network ({first_line(error)})"
            ) from None
    return getattr(whole, TOWER, whole)


def weights_of(preset: Preset) -> Path:
    """The checked file of weights of a preset, or the list of several; downloaded if need be.

    Raises:
        SsahError: One is missing, damaged, or takes values from elsewhere.
    """
    local = Path(preset.name).is_dir()

    def part(file: str) -> Path:
        path = preset.folder / file
        return path if local else fetch(preset.name, file, missing_ok=True)

    path = part(WEIGHTS)
    files = [path]
    try:
        if not path.is_file():
            path = part(SHARDS)
            if not path.is_file():
                raise ValueError(f"it has neither {WEIGHTS} nor {SHARDS}")
            files = [part(name) for name in shards(parse_json(path.read_bytes()))]
        for file in files:
            check_weights(file)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SsahError(f"{path}: weights that cannot be used ({first_line(error)})") from None
    return path


def shards(listing: Any) -> list[str]:
    """The files that a list of weights in several files names.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: It is no such list, or names a file outside
            of its folder.
    """
    named: set[str] = set()
    for files in listing["weight_map"].values():  # one file or several
        named.update([files] if isinstance(files, str) else files)
    if any(name != Path(name).name for name in named):
        raise ValueError("it names a file outside of its folder")
    return sorted(named)
