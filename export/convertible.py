"""Before a training: can what will be trained be exported at all?"""

import numpy as np
import onnx
import tensorflow as tf

from ssah_tf.export.made_up import made_up
from ssah_tf.export.onnx_model import OPSETS
from ssah_tf.models.backbones import BACKBONES, KerasApplication, KerasHub, with_file
from ssah_tf.models.backbones.backbone import Backbone
from ssah_tf.models.conversion import to_onnx
from ssah_tf.system.errors import RecipeError
from ssah_tf.system.onnx_session import open_session
from ssah_tf.system.text import first_line
from ssah_tf.training.build import make
from ssah_tf.training.recipe import Recipe

#: Networks of KerasHub that are known to convert; `tests/export/test_keras_hub.py` proves it.
KNOWN = {
    "CLIPVisionEncoder",
    "DINOV2Backbone",
    "DINOV3Backbone",
    "DeiTBackbone",
    "DenseNetBackbone",
    "EfficientNetBackbone",
    "HGNetV2Backbone",
    "MobileNetBackbone",
    "ResNetBackbone",
    "SigLIPVisionEncoder",
    "VGGBackbone",
    "ViTBackbone",
}
#: How far features may be apart, relative to their largest.
TOLERANCE = 1e-3
#: Images that a conversion is tried with.
IMAGES = 3


def check_convertible(recipe: Recipe) -> None:
    """Convert a backbone of others to ONNX with random weights, and run it, unless it is known.

    Args:
        recipe: Any recipe, all its values known.

    Raises:
        RecipeError: It cannot be converted, or gives other features then. One line.
        SsahError: The backbone cannot be made.
    """
    kind, options = with_file(recipe.model.backbone, recipe.model.options)
    if BACKBONES.get(kind) not in (KerasApplication, KerasHub):
        return
    options = {**options, "weights": "none", "trainable": False}
    backbone = make("model.backbone", BACKBONES, kind, options)
    if isinstance(backbone, KerasHub) and backbone.network_name in KNOWN:
        return
    try:
        try_conversion(backbone, recipe.data.image_size)
    except ValueError as error:
        raise RecipeError(
            f"model.backbone: {recipe.model.backbone} cannot be exported at "
            f"{recipe.data.image_size} px, so it is not trained ({first_line(error)}); choose "
            "another backbone"
        ) from None


def try_conversion(backbone: Backbone, size: int) -> None:
    """Convert a backbone that is not built yet, and hold its features against the converted ones.

    Args:
        backbone: The backbone.
        size: Side of the images in pixels.

    Raises:
        ValueError: It cannot be converted, or gives other features then.
    """
    backbone.build((None, size, size, 3))

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8, "images")])
    def see(images):
        return {"features": backbone(images, training=False)}

    images = made_up(IMAGES, size)
    try:
        model = to_onnx(see, OPSETS[-1])
        onnx.checker.check_model(model)
        session = open_session(model.SerializeToString())
        found = session.run(["features"], {"images": images})[0]
    except Exception as error:  # tf2onnx, ONNX and its runtime each raise their own
        raise ValueError(first_line(error)[:200]) from None
    expected = see(tf.constant(images))["features"].numpy()
    if np.abs(found - expected).max() > TOLERANCE * np.abs(expected).max():
        raise ValueError("its features are others in ONNX")
