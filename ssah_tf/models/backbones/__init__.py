"""Backbones of H-Net by name; each takes RGB pixels of 0 to 255 and gives a feature vector."""

import inspect
from collections.abc import Callable
from typing import Any

from ssah_tf.models.backbones.alexnet import AlexNet
from ssah_tf.models.backbones.convnet import ConvNet
from ssah_tf.models.backbones.efficientnet_lite import (
    EfficientNetLite0,
    EfficientNetLite1,
    EfficientNetLite2,
)
from ssah_tf.models.backbones.keras_application import KerasApplication
from ssah_tf.models.backbones.keras_hub import KerasHub
from ssah_tf.models.backbones.onnx_backbone import OnnxBackbone, onnx_backbone
from ssah_tf.models.backbones.resnet20 import ResNet20

#: Every backbone that a recipe can name.
BACKBONES: dict[str, Callable[..., Any]] = {
    "convnet": ConvNet,
    "resnet20": ResNet20,
    "alexnet": AlexNet,
    "efficientnet_lite0": EfficientNetLite0,
    "efficientnet_lite1": EfficientNetLite1,
    "efficientnet_lite2": EfficientNetLite2,
    "keras": KerasApplication,
    "keras_hub": KerasHub,
    "onnx": onnx_backbone,
}
#: Those whose name in a recipe goes on with an argument: kind -> what that is.
NAMED = {"keras_hub": "preset", "onnx": "file"}


def with_file(name: str, options: dict) -> tuple[str, dict]:
    """One of `BACKBONES` and its arguments, out of the two of a recipe: "onnx:FILE" is of onnx."""
    kind, colon, what = name.partition(":")
    if not colon or kind not in NAMED:
        return name, options
    return kind, {**options, NAMED[kind]: what}


def first_weights(name: str, options: dict) -> str:
    """What a backbone begins with: "imagenet", "preset", "none" for chance, or a path of a file.

    Args:
        name: One of `BACKBONES`, onnx:FILE or keras_hub:PRESET.
        options: Its arguments, as a recipe names them.
    """
    name, options = with_file(name, options)
    if "file" in options:
        return options["file"]
    parameter = inspect.signature(BACKBONES[name]).parameters.get("weights")
    return options.get("weights", "none" if parameter is None else parameter.default)


__all__ = [
    "BACKBONES",
    "AlexNet",
    "ConvNet",
    "EfficientNetLite0",
    "EfficientNetLite1",
    "EfficientNetLite2",
    "KerasApplication",
    "KerasHub",
    "OnnxBackbone",
    "ResNet20",
    "first_weights",
    "onnx_backbone",
    "with_file",
]
