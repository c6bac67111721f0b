"""Saved encoders: read so that a hostile file can do no more than be refused."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import keras

import ssah_tf.models  # noqa: F401  registers the classes that a saved encoder consists of
from ssah_tf.models.hnet import HNet
from ssah_tf.models.weights_file import check_weights
from ssah_tf.system.errors import RunError
from ssah_tf.system.renamed import renamed_option
from ssah_tf.system.text import first_line

#: What there is in a saved encoder besides classes of ours.
OTHERS = {("keras", "DTypePolicy")}


def load_hnet(path: Path) -> HNet:
    """Load an encoder that was saved as a `.keras` file.

    Keras' safe mode refuses code; beyond that, no class is made but ours, and the weights must lie
    in the file itself.

    Raises:
        RunError: Not such a file, or one of an older version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            check_classes(config)
            renamed = renamed_options(config)
            with archive.open("model.weights.h5") as weights:
                check_weights(weights)
        encoder = None if renamed else keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # zip, HDF5, JSON and Keras each raise their own
        reason = first_line(error)
        raise RunError(f"{path}: not a saved encoder ({reason})") from None
    if renamed:
        raise RunError(f"{path}: of an older version ({'; '.join(renamed)}); train it again")
    if not isinstance(encoder, HNet):
        raise RunError(f"{path}: holds a {type(encoder).__name__}, not an encoder")
    return encoder


def check_classes(config: object) -> None:
    """Refuse a configuration that names a class which is not of a saved encoder.

    Raises:
        ValueError: It does.
    """
    for part in mappings(config):
        if not {"class_name", "module"} & set(part):
            continue
        name = part.get("registered_name")
        ours = str(name).startswith("ssah_tf>") and keras.saving.get_registered_object(name)
        if not ours and (part.get("module"), part.get("class_name")) not in OTHERS:
            raise ValueError(f"it names the class {part.get('class_name')!r}, which is not ours")


def renamed_options(config: object) -> list[str]:
    """One sentence for each option in a configuration that has another name now."""
    found: list[str] = []
    for part in mappings(config):
        of, options = part.get("class_name"), part.get("config")
        if isinstance(of, str) and isinstance(options, dict):
            found += filter(None, (renamed_option(of, option) for option in options))
    return found


def mappings(config: object) -> Iterator[dict]:
    """Every mapping of a nested configuration, the outer before the inner."""
    if isinstance(config, dict):
        yield config
        config = list(config.values())
    for part in config if isinstance(config, list) else ():
        yield from mappings(part)
