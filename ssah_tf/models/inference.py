"""Features of a backbone that is not trained any more, by a program that only runs networks.

TensorFlow takes about twice the time of ONNX Runtime for a convolutional network on a CPU, since it
computes each batch normalisation and activation apart. A conversion takes some seconds, so that it
is worth it for many images alone.
"""

import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ssah_tf.models.backbones import OnnxBackbone
from ssah_tf.models.backbones.backbone import Backbone
from ssah_tf.system.onnx_session import in_parts, open_session
from ssah_tf.system.openvino_network import compile_network

#: Features float32 `(batch, features)` of images uint8 `(batch, side, side, 3)`.
See = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]

#: Pixels of all images from which on a conversion is worth it; some 400 images of 224 px.
WORTH = 20_000_000
#: Version of ONNX's operations.
OPSET = 18
#: Images of a slice of OpenVINO, whose networks are quickest with a fixed shape; slices at once.
SLICE, STREAMS = 16, 2
#: How far features may be apart, relative to their largest; and the images that this is tried on.
TOLERANCE, TRIED = 1e-4, 2


def quick_backbone(backbone: Backbone, side: int, images: int) -> See | None:
    """What `quick_backbones` gives for images of one side."""
    return quick_backbones(backbone, (side,), images).get(side)


def quick_backbones(backbone: Backbone, sides: Sequence[int], images: int) -> dict[int, See]:
    """The backbone in OpenVINO, if that is installed, else in ONNX Runtime.

    Whether it is converted depends on nothing but the arguments and the machine's packages, so that
    the same command gives the same features again.

    Args:
        backbone: It is built, and its weights do not change.
        sides: Sides of the images in pixels.
        images: How many it will see.

    Returns:
        What computes features, by side. Without those for which TensorFlow is as well: for few or
        small images, on a GPU, for a network that is in ONNX already or does not compute in
        float32, and where the converted one gives other features.
    """
    worth = [side for side in sides if images * side**2 >= WORTH]
    if (
        not worth
        or isinstance(backbone, OnnxBackbone)
        or backbone.compute_dtype != "float32"
        or tf.config.list_logical_devices("GPU")
    ):
        return {}
    try:
        model = converted(backbone, worth[0] if len(worth) == 1 else None)
        found = {side: opened(model, side) for side in worth}
    except Exception:  # tf2onnx, ONNX and the runtimes each raise their own: TensorFlow can do it
        return {}
    return {side: see for side, see in found.items() if equals(see, backbone, side)}


def equals(see: See, backbone: Backbone, side: int) -> bool:
    """Whether a converted backbone gives the same features, but for rounding."""
    images = np.random.default_rng(0).integers(0, 256, (TRIED, side, side, 3), dtype=np.uint8)
    expected = np.asarray(backbone(images, training=False))
    return bool(np.abs(see(images) - expected).max() <= TOLERANCE * np.abs(expected).max())


def converted(backbone: Backbone, side: int | None) -> bytes:
    """A backbone as a file of ONNX: `images` in, `features` out.

    Args:
        backbone: It is built.
        side: Side of the images in pixels, `None` for any that the network takes.
    """
    from ssah_tf.models.conversion import to_onnx  # takes a second to import

    @tf.function(input_signature=[tf.TensorSpec((None, side, side, 3), tf.uint8, "images")])
    def see(images):
        return {"features": backbone(images, training=False)}

    return to_onnx(see, OPSET).SerializeToString()


def opened(model: bytes, side: int) -> See:
    """A file of `converted`, in the quickest program that is installed."""
    if importlib.util.find_spec("openvino") is not None:
        return in_openvino(model, side)
    return in_onnx_runtime(model)


def in_onnx_runtime(model: bytes) -> See:
    """ONNX Runtime, with its usual threads."""
    session = open_session(model)

    def see(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        parts = [session.run(["features"], {"images": part})[0] for part in in_parts(images)]
        return np.concatenate(parts)

    return see


def in_openvino(model: bytes, side: int) -> See:
    """OpenVINO with a fixed shape: some slices of a batch at once."""
    import openvino as ov

    with tempfile.TemporaryDirectory() as folder:  # from memory it takes no names of files
        path = Path(folder) / "backbone.onnx"
        path.write_bytes(model)
        network = ov.Core().read_model(str(path))
    network.reshape({0: [SLICE, side, side, 3]})
    options = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": STREAMS}
    queue = ov.AsyncInferQueue(compile_network(network, options))

    def see(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        parts: dict[int, npt.NDArray[np.float32]] = {}

        def take(request: ov.InferRequest, start: int) -> None:
            parts[start] = request.get_output_tensor(0).data.copy()

        queue.set_callback(take)
        for start in range(0, len(images), SLICE):
            part = images[start : start + SLICE]
            short = SLICE - len(part)
            part = np.pad(part, ((0, short), (0, 0), (0, 0), (0, 0))) if short else part
            queue.start_async({0: part}, start)
        queue.wait_all()
        return np.concatenate([parts[start] for start in sorted(parts)])[: len(images)]

    return see
