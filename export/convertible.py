"""Before a training: can what will be trained be exported at all?"""

import bisect
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf

from ssah_tf.export.made_up import made_up
from ssah_tf.export.onnx_model import OPSETS
from ssah_tf.models.backbones import BACKBONES, KerasApplication, KerasHub, with_file
from ssah_tf.models.conversion import to_onnx
from ssah_tf.system.errors import RecipeError
from ssah_tf.system.onnx_session import open_session
from ssah_tf.system.text import first_line, plain_console
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
#: How far features may be apart, relative to their largest; or else how many times as far as they
#: move when weights change in their last bit.
TOLERANCE, SPREAD = 1e-3, 10
#: Images that a conversion is tried with.
IMAGES = 3


def check_convertible(recipe: Recipe) -> None:
    """Convert a backbone of others to ONNX with random weights, and run it, unless it is known.

    A line says how long that took.

    Args:
        recipe: Any recipe, all its values known.

    Raises:
        RecipeError: It cannot be converted, or gives other features then. One line, which names
            the layer.
        SsahError: The backbone cannot be made.
    """
    kind, options = with_file(recipe.model.backbone, recipe.model.options)
    if BACKBONES.get(kind) not in (KerasApplication, KerasHub):
        return
    options = {**options, "weights": "none", "trainable": False}
    backbone = make("model.backbone", BACKBONES, kind, options)
    if isinstance(backbone, KerasHub) and backbone.network_name in KNOWN:
        return
    began = time.monotonic()
    try:
        try_conversion(backbone, recipe.data.image_size)
    except ValueError as error:
        raise RecipeError(
            f"model.backbone: {recipe.model.backbone} cannot be exported at "
            f"{recipe.data.image_size} px, so it is not trained ({first_line(error)}); choose "
            "another backbone"
        ) from None
    plain_console().print(
        f"model.backbone: {recipe.model.backbone} can be exported; tried in "
        f"{time.monotonic() - began:.0f} s",
        soft_wrap=True,
    )


def try_conversion(backbone: KerasApplication | KerasHub, size: int) -> None:
    """Convert a backbone that is not built yet, and hold its features against the converted ones.

    Args:
        backbone: The backbone.
        size: Side of the images in pixels.

    Raises:
        ValueError: It cannot be built or converted, or gives other features then. If it is a layer
            that cannot, it is named.
    """
    backbone.build((None, size, size, 3))
    images = made_up(IMAGES, size)
    kernel = first_kernel(backbone.network)
    reason = difference(lambda x: [backbone(x, training=False)], images, kernel)
    if reason:
        layer = first_different(backbone.network, images, kernel)
        raise ValueError(f"layer {layer}: {reason}" if layer else reason)


def first_kernel(network: keras.Model) -> keras.Variable:
    """The weights nearest to the images."""
    return next(v for v in network.variables if len(v.shape) > 1)


def difference(
    network: Callable[[tf.Tensor], list[Any]], images: np.ndarray, kernel: keras.Variable
) -> str:
    """What a network does not do in ONNX as it does it here; "" if all is the same.

    A deep network with random weights may amplify rounding as far as one likes: the features of
    `EfficientNetV2L` move by their own size when weights change in the last bit. Such features say
    nothing, and differ no more in ONNX than they move.

    Args:
        network: From uint8 images to tensors.
        images: uint8 `(n, size, size, 3)`.
        kernel: Weights whose last bit is changed.
    """
    shape = (None, *images.shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.uint8, "images")])
    def see(images):
        return {f"output_{i}": output for i, output in enumerate(network(images))}

    try:
        with quiet("tf2onnx"):
            model = to_onnx(see, OPSETS[-1])
        onnx.checker.check_model(model)
        session = open_session(model.SerializeToString())
        expected = see(tf.constant(images))
        found = session.run([*expected], {"images": images})
    except Exception as error:  # tf2onnx, ONNX and its runtime each raise their own
        return first_line(error)[:200]
    arrays = [tensor.numpy().astype(np.float64) for tensor in expected.values()]
    apart = [np.abs(one - other).max() for one, other in zip(found, arrays, strict=True)]
    allowed = [TOLERANCE * np.abs(array).max() for array in arrays]
    if not (np.array(apart) <= allowed).all():  # nor if it is NaN
        value = kernel.numpy()
        kernel.assign(np.nextafter(value, np.float32(np.inf)))
        moved = [tensor.numpy() for tensor in see(tf.constant(images)).values()]
        kernel.assign(value)
        spread = [SPREAD * np.abs(a - b).max() for a, b in zip(moved, arrays, strict=True)]
        allowed = [max(bounds) for bounds in zip(allowed, spread, strict=True)]
    return "" if (np.array(apart) <= allowed).all() else "its features are others in ONNX"


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """Nothing that a library logs is shown: what it logs here is found out anyway."""
    logger = logging.getLogger(library)
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(before)


def first_different(network: keras.Model, images: np.ndarray, kernel: keras.Variable) -> str | None:
    """Name of the first layer of a network that is not the same in ONNX, found by bisection.

    Args:
        network: Made of layers by Keras' functional interface.
        images: See `difference`.
        kernel: See `difference`.
    """
    layers = network.layers  # each after those that it needs

    def differs(count: int) -> bool:
        outputs = keras.tree.flatten([layer.output for layer in layers[:count]])
        part = keras.Model(network.input, outputs)

        def see(images):
            pixels = tf.cast(images, tf.float32) / 255
            given = network.input
            whole = {name: pixels for name in given} if isinstance(given, dict) else pixels
            return part(whole, training=False)

        return bool(difference(see, images, kernel))

    count = 1 + bisect.bisect_left(range(1, len(layers) + 1), True, key=differs)
    return layers[count - 1].name if count <= len(layers) else None
