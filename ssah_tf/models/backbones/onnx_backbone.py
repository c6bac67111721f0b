"""An image network in ONNX as a frozen backbone; ONNX Runtime computes its features."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from ssah_tf.models.backbones.backbone import Backbone
from ssah_tf.models.backbones.onnx_file import self_contained
from ssah_tf.models.backbones.onnx_graph import FEATURES, IMAGES
from ssah_tf.models.backbones.onnx_network import PROVIDERS, random_images, read_network
from ssah_tf.system.onnx_session import in_parts, open_session
from ssah_tf.system.text import first_line

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

#: The network in a saved encoder.
ASSET = "network.onnx"


@keras.saving.register_keras_serializable(package="ssah_tf")
class OnnxBackbone(Backbone):
    """A network in the normal form of `onnx_graph`. It is never trained, and has no variables.

    A saved encoder holds the whole network, so that it does not depend on any other file.

    Args:
        features: Number of features.
        sha256: Of the network in its normal form.
        side: Side in pixels of the only images that it takes, `None` if it takes any.
        made_for: Side in pixels that its preprocessing names, `None` if it names none.
        asks: What its preprocessing asks for beyond scale, mean, deviation, order and size.
        graph: The network; a saved encoder brings it.
        **kwargs: Arguments of `Backbone`. The preprocessing is in the network, whatever `mean` and
            `std` are.
    """

    def __init__(
        self,
        features: int,
        sha256: str,
        side: int | None = None,
        made_for: int | None = None,
        asks: tuple[str, ...] = (),
        graph: bytes | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs | {"trainable": False})
        self.feature_size = features
        self.sha256 = sha256
        self.side = side
        self.made_for, self.asks = made_for, tuple(asks)
        self.graph = b""
        self.session: InferenceSession | None = None
        if graph is not None:
            self.take(graph)

    def take(self, graph: bytes) -> None:
        """Take over the network.

        Raises:
            ValueError: It is another one, needs other files, or ONNX Runtime does not take it.
        """
        self_contained(graph)
        if digest_of(graph) != self.sha256:
            raise ValueError("its network is not the one that it was saved with")
        self.graph, self.session = graph, open_session(graph, providers=PROVIDERS)

    def build(self, input_shape):
        """See whether the network takes images of this size.

        Raises:
            ValueError: It does not.
        """
        size = input_shape[1]
        if self.side not in (None, size):
            raise ValueError(
                f"the network takes images of {self.side} px alone. Received: {size} px"
            )
        if self.session is not None:
            try:
                found = self.see(random_images(size)[:1])
            except Exception as error:  # ONNX Runtime's own classes derive from Exception alone
                reason = first_line(error)
                raise ValueError(
                    f"the network does not take images of {size} px ({reason})"
                ) from None
            if found.shape != (1, self.feature_size):
                raise ValueError(
                    f"images of {size} px give features of shape {found.shape}, not "
                    f"(1, {self.feature_size})"
                )
        self.built = True

    def see(self, images: np.ndarray) -> np.ndarray:
        """Features of images, uint8 `(batch, size, size, 3)`, as float32 `(batch, features)`."""
        if self.session is None:
            raise ValueError("this backbone was made of a description, without its network")
        parts = [self.session.run([FEATURES], {IMAGES: part})[0] for part in in_parts(images)]
        return np.concatenate(parts)

    def call(self, images, training=False):
        """Features of the images, `(batch, features)`."""
        pixels = keras.ops.cast(images, "uint8")
        features = tf.numpy_function(self.see, [pixels], tf.float32, stateful=False)
        return tf.ensure_shape(features, (pixels.shape[0], self.feature_size))

    def identity(self) -> dict[str, Any]:
        """The network stands for what other backbones have as variables."""
        return {**super().identity(), "network": self.sha256}

    def save_assets(self, dir_path: str) -> None:
        """Put the network into a saved encoder."""
        Path(dir_path, ASSET).write_bytes(self.graph)

    def load_assets(self, dir_path: str) -> None:
        """Take the network out of a saved encoder. See `take`."""
        self.take(Path(dir_path, ASSET).read_bytes())

    def get_config(self):
        """Arguments that make an equal backbone, but for the network itself."""
        config = super().get_config()
        del config["trainable"]
        return {
            **config,
            "features": self.feature_size,
            "sha256": self.sha256,
            "side": self.side,
            "made_for": self.made_for,
            "asks": self.asks,
        }


def digest_of(graph: bytes) -> str:
    """SHA-256 of a network."""
    return hashlib.sha256(graph).hexdigest()


def onnx_backbone(
    file: str = "",
    rescale_factor: float | None = None,
    image_mean: list[float] | float | None = None,
    image_std: list[float] | float | None = None,
    channel_order: str | None = None,
    layout: str = "auto",
    output: str = "",
    pool: str = "auto",
    sha256: str = "",
    **kwargs: Any,
) -> OnnxBackbone:
    """The backbone of an ONNX file. Its arguments are those of `read_network`.

    Raises:
        SsahError: The file cannot be used.
    """
    network = read_network(
        file, rescale_factor, image_mean, image_std, channel_order, layout, output, pool, sha256
    )
    how = network.preprocessing
    channels = np.array([how.image_mean, how.image_std]) / how.rescale_factor
    if how.channel_order == "bgr":
        channels = channels[:, ::-1]
    mean, std = channels.tolist()
    return OnnxBackbone(
        network.features,
        digest_of(network.graph),
        network.side,
        how.size,
        how.asks,
        network.graph,
        **kwargs | {"mean": mean, "std": std},
    )
