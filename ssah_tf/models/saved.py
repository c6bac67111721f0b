"""Saved encoders: read so that a hostile file can do no more than be refused."""

import json
import zipfile
from pathlib import Path

import keras

import ssah_tf.models  # noqa: F401  registers the classes that a saved encoder consists of
from ssah_tf.models.backbones.keras_hub import need_keras_hub
from ssah_tf.models.class_names import check_classes, classes_of_keras_hub, mappings
from ssah_tf.models.hnet import HNet
from ssah_tf.models.weights_file import check_weights
from ssah_tf.system.errors import RunError, SsahError
from ssah_tf.system.renamed import renamed_option
from ssah_tf.system.text import first_line


def load_hnet(path: Path) -> HNet:
    """Load an encoder that was saved as a `.keras` file.

    Keras' safe mode refuses code; beyond that, no class is made but ours and backbones of KerasHub,
    and the weights must lie in the file itself.

    Raises:
        RunError: Not such a file, or one of an older version.
        SsahError: Its backbone is of KerasHub, which is not installed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
            if classes_of_keras_hub(config):
                need_keras_hub(str(path))
            check_classes(config)
            renamed = renamed_options(config)
            with archive.open("model.weights.h5") as weights:
                check_weights(weights)
        encoder = None if renamed else keras.saving.load_model(path, compile=False, safe_mode=True)
    except SsahError:
        raise
    except Exception as error:  # zip, HDF5, JSON and Keras each raise their own
        reason = first_line(error)
        raise RunError(f"{path}: not a saved encoder ({reason})") from None
    if renamed:
        raise RunError(f"{path}: of an older version ({'; '.join(renamed)}); train it again")
    if not isinstance(encoder, HNet):
        raise RunError(f"{path}: holds a {type(encoder).__name__}, not an encoder")
    return encoder


def renamed_options(config: object) -> list[str]:
    """One sentence for each option in a configuration that has another name now."""
    found: list[str] = []
    for part in mappings(config):
        of, options = part.get("class_name"), part.get("config")
        if isinstance(of, str) and isinstance(options, dict):
            found += filter(None, (renamed_option(of, option) for option in options))
    return found
