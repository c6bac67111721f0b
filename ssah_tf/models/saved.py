"""Saved encoders: read so that a hostile file can do no more than be refused."""

import json
import zipfile
from pathlib import Path

import keras

import ssah_tf.models  # noqa: F401  registers the classes that a saved encoder consists of
from ssah_tf.models.hnet import HNet
from ssah_tf.models.weights_file import check_weights
from ssah_tf.system.errors import RunError
from ssah_tf.system.text import first_line

#: What there is in a saved encoder besides classes of ours.
OTHERS = {("keras", "DTypePolicy")}


def load_hnet(path: Path) -> HNet:
    """Load an encoder that was saved as a `.keras` file.

    Keras' safe mode refuses code; beyond that, no class is made but ours, and the weights must lie
    in the file itself.

    Raises:
        RunError: Not such a file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_classes(json.loads(archive.read("config.json")))
            with archive.open("model.weights.h5") as weights:
                check_weights(weights)
        encoder = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # zip, HDF5, JSON and Keras each raise their own
        reason = first_line(error)
        raise RunError(f"{path}: not a saved encoder ({reason})") from None
    if not isinstance(encoder, HNet):
        raise RunError(f"{path}: holds a {type(encoder).__name__}, not an encoder")
    return encoder


def check_classes(config) -> None:
    """Refuse a configuration that names a class which is not of a saved encoder.

    Raises:
        ValueError: It does.
    """
    if isinstance(config, list):
        for part in config:
            check_classes(part)
    if not isinstance(config, dict):
        return
    if {"class_name", "module"} & set(config):
        name = config.get("registered_name")
        ours = str(name).startswith("ssah_tf>") and keras.saving.get_registered_object(name)
        if not ours and (config.get("module"), config.get("class_name")) not in OTHERS:
            raise ValueError(f"it names the class {config.get('class_name')!r}, which is not ours")
    for part in config.values():
        check_classes(part)
