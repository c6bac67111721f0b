"""Which classes a file of strangers may name: none is made before its name was looked at."""

import sys
from collections.abc import Iterator

import keras

#: What there is in a saved encoder or a preset besides classes of ours and of KerasHub.
OTHERS = {("keras", "DTypePolicy")}
#: Beginning of the registered names of KerasHub.
KERAS_HUB = "keras_hub>"


def check_classes(config: object) -> None:
    """Refuse a configuration that names another class than ours, or than a backbone of KerasHub.

    Keras makes a class by its registered name, whatever module stands beside it.

    Raises:
        ValueError: It does.
    """
    for part in mappings(config):
        if not {"class_name", "module", "registered_name"} & set(part):
            continue
        name = part.get("registered_name")
        ours = str(name).startswith("ssah_tf>") and keras.saving.get_registered_object(name)
        ours = ours or is_backbone_of_keras_hub(name)
        if not ours and (part.get("module"), part.get("class_name")) not in OTHERS:
            raise ValueError(f"it names the class {part.get('class_name')!r}, which is not ours")


def is_backbone_of_keras_hub(name: object) -> bool:
    """Whether a registered name is that of a backbone of KerasHub, which has been imported.

    Its other classes are none of a saved encoder: tokenizers, for example, read files.
    """
    hub = sys.modules.get("keras_hub")
    if hub is None or not isinstance(name, str) or not name.startswith(KERAS_HUB):
        return False
    found = keras.saving.get_registered_object(name)
    return isinstance(found, type) and issubclass(found, hub.models.Backbone)


def classes_of_keras_hub(config: object) -> list[str]:
    """The registered names of KerasHub in a configuration."""
    names = (str(part.get("registered_name")) for part in mappings(config))
    return [name for name in names if name.startswith(KERAS_HUB)]


def mappings(config: object) -> Iterator[dict]:
    """Every mapping of a nested configuration, the outer before the inner."""
    if isinstance(config, dict):
        yield config
        config = list(config.values())
    for part in config if isinstance(config, list) else ():
        yield from mappings(part)
