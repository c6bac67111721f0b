"""The image backbones of KerasHub, by the name of a preset or from its folder."""

import math
from pathlib import Path
from typing import Any

import keras

from ssah_tf.models.backbones.backbone import Backbone
from ssah_tf.models.backbones.keras_hub_preset import (
    Preset,
    build_network,
    load_network,
    need_keras_hub,
    open_preset,
    tower_of,
)

#: How tokens become a feature vector: the class token, the mean of the others, both one after the
#: other; "auto" is "class" where there is such a token.
POOLS = ("auto", "class", "mean", "both")
#: Class -> how many of its tokens stand for no part of the image; the first is the class token.
EXTRA_TOKENS = {
    "CLIPVisionEncoder": lambda network: 1,
    "DINOV2Backbone": lambda network: 1 + network.num_register_tokens,
    "DINOV3Backbone": lambda network: 1 + network.num_register_tokens,
    "DeiTBackbone": lambda network: 2,
    "MetaCLIP2VisionEncoder": lambda network: 1,
    "ViTBackbone": lambda network: int(network.use_class_token),
}
#: Bytes of weights in float32 that an ONNX file can hold, a message of Protocol Buffers.
LARGEST = 2_000_000_000


@keras.saving.register_keras_serializable(package="ssah_tf")
class KerasHub(Backbone):
    """An image backbone of KerasHub, its output pooled to a feature vector.

    The preset says how pixels are normalised, whatever `mean` and `std` are. Of a model of images
    and texts the part is taken that sees the images. Weights are read when the size of the images
    is known; a saved encoder holds network and weights, and needs no preset.

    Args:
        preset: Name of a preset of KerasHub, or its folder.
        weights: "preset" for those of the preset, "none" to begin at random.
        pool: One of `POOLS`, for a network that gives tokens. Maps are averaged.
        trainable: Whether the network is trained; otherwise its weights and statistics stay.
        frozen_norm: Whether batch normalisation keeps the statistics it came with.
        **kwargs: Arguments of `Backbone`.

    Raises:
        ValueError: An option is none.
        SsahError: The preset cannot be used, or KerasHub is not installed.
    """

    def __init__(
        self,
        preset: str = "",
        weights: str = "preset",
        pool: str = "auto",
        trainable: bool = True,
        frozen_norm: bool = False,
        **kwargs,
    ):
        if not isinstance(trainable, bool):
            raise ValueError(f"trainable must be true or false. Received: trainable={trainable!r}")
        for name, value, known in (("weights", weights, ("preset", "none")), ("pool", pool, POOLS)):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}. Received: {value!r}")
        saved = kwargs.pop("saved", None)
        opened: Preset | None = None
        if saved is None:
            opened = open_preset(preset)
            how = opened.preprocessing
            kwargs |= {"mean": how.image_mean, "std": how.image_std}
            saved = {"order": how.channel_order, "made_for": opened.size, "asks": how.asks}
        super().__init__(trainable=trainable, **kwargs)
        self.preset, self.opened = preset, opened
        self.pool, self.frozen_norm, self.weights_from = pool, frozen_norm, weights
        self.order, self.made_for = saved["order"], saved["made_for"]
        self.asks = tuple(saved["asks"])
        self.network_config = saved.get("network")
        self.network: Any = None

    @property
    def network_name(self) -> str:
        """Name of the class of KerasHub that sees the images."""
        config = tower_of(self.opened.config) if self.opened else self.network_config
        return config["class_name"]

    def build(self, input_shape):
        """Make the network for images of this size, and load its weights if it has any.

        Raises:
            ValueError: It does not take such images, or gives no feature vector.
            SsahError: See `load_network`.
        """
        if self.network is None:  # Keras builds a layer of a saved network twice
            self.network = self.make_network(input_shape[1])
        super().build(input_shape)

    def make_network(self, side: int) -> Any:
        """The network for images of a side in pixels. See `build`."""
        if self.opened is not None:
            weights = self.weights_from == "preset"
            network = load_network(self.opened, side, self.dtype_policy, weights)
            network = at_own_positions(network, self.dtype_policy)
        else:
            network = build_network(self.network_config, side, self.dtype_policy)
        check_network(network)
        for layer in network._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True
                layer.trainable = not self.frozen_norm
            if getattr(layer, "mask_token", None) is not None:
                layer.mask_token.trainable = False  # of the network's own training: no gradient
        if not self.trainable:
            network.trainable = False
        return network

    def features(self, x, training):
        """Features of normalised images."""
        if self.order == "bgr":
            x = x[..., ::-1]
        names = self.network.input
        inputs = {name: x for name in names} if isinstance(names, dict) else x
        training = training and self.trainable and not self.frozen_norm
        return self.vector(self.network(inputs, training=training))

    def vector(self, output):
        """The feature vector `(batch, features)` out of what the network gives.

        Raises:
            ValueError: It gives nothing that a vector can be made of.
        """
        name = type(self.network).__name__
        if isinstance(output, dict):  # maps of several levels, the deepest last
            output = list(output.values())[-1]
        rank = len(getattr(output, "shape", ()))
        if rank not in (2, 3, 4):
            raise ValueError(f"{name} gives no feature vector, map or tokens of an image")
        if rank != 3 and self.pool in ("class", "both"):
            raise ValueError(f"pool: {name} gives no tokens. Received: pool={self.pool!r}")
        if rank == 2:
            return output
        if rank == 4:
            return keras.ops.mean(output, axis=(1, 2))
        extra = EXTRA_TOKENS.get(name, lambda network: 0)(self.network)
        if not extra and self.pool in ("class", "both"):
            raise ValueError(f"pool: {name} has no class token. Received: pool={self.pool!r}")
        mean = keras.ops.mean(output[:, extra:], axis=1)
        if self.pool == "mean" or not extra:
            return mean
        if self.pool == "both":
            return keras.ops.concatenate([output[:, 0], mean], axis=-1)
        return output[:, 0]

    def save_own_variables(self, store):
        """Before the network is saved, see that its positions are.

        DINOv2 keeps two tables of positions, saves one and makes the other of it. Here both are for
        images of the same size, so the one that is saved has to be the one that is trained.
        """
        embeddings = getattr(self.network, "embeddings", None)
        if hasattr(embeddings, "interpolated_position_embeddings"):
            trained = embeddings.interpolated_position_embeddings
            embeddings.position_embeddings.assign(trained)
        super().save_own_variables(store)

    def identity(self) -> dict:
        """With the order of the channels and how tokens are pooled."""
        network = type(self.network).__name__
        own = {"network": network, "order": self.order, "pool": self.pool}
        return {**super().identity(), **own}

    def get_config(self):
        """Arguments that make an equal backbone; its weights are then set, not loaded again."""
        network = self.network_config
        if self.network is not None:
            network = keras.saving.serialize_keras_object(self.network)
            network.pop("build_config", None)
            network.pop("compile_config", None)
            network["config"].pop("dtype", None)
        return {
            **super().get_config(),
            "preset": Path(self.preset).name,
            "weights": "none",
            "pool": self.pool,
            "trainable": self.trainable,
            "frozen_norm": self.frozen_norm,
            "saved": {
                "network": network,
                "order": self.order,
                "made_for": self.made_for,
                "asks": self.asks,
            },
        }

    @classmethod
    def from_config(cls, config):
        """Make a backbone from `get_config`; no preset is read.

        Raises:
            ValueError: The configuration has no network.
        """
        if not (config.get("saved") or {}).get("network"):
            raise ValueError("the backbone of KerasHub has no network")
        need_keras_hub("the backbone")
        return cls(**config)


def check_network(network: Any) -> None:
    """Refuse a network that cannot be a backbone.

    Raises:
        ValueError: It takes something else than images of three channels, channels last; or it is
            too large for an export.
    """
    inputs = keras.tree.flatten(network.input)
    shapes = [tuple(tensor.shape) for tensor in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][-1] != 3:
        raise ValueError(
            f"{type(network).__name__} takes {', '.join(map(str, shapes))}, not images of three "
            "channels, channels last"
        )
    size = sum(4 * math.prod(variable.shape) for variable in network.variables)
    if size > LARGEST:
        raise ValueError(
            f"{type(network).__name__} has {size / 1e9:.1f} GB of weights, more than the "
            f"{LARGEST / 1e9:.1f} GB that an ONNX file holds; take a smaller preset"
        )


def at_own_positions(network: Any, policy: Any) -> Any:
    """A network whose table of positions is for the size of its images, with equal weights.

    DINOv2 interpolates a table for another size whenever its weights are loaded.
    """
    config = keras.saving.serialize_keras_object(network)
    if "position_embedding_shape" not in config["config"]:
        return network
    side = network.image_shape[0]
    config["config"]["position_embedding_shape"] = [side, side, 3]
    same = build_network(config, side, policy)
    for new, old in zip(same.variables, network.variables, strict=True):
        if new.path.endswith("/position_embeddings"):
            continue
        new.assign(old)
    embeddings = same.embeddings
    embeddings.position_embeddings.assign(embeddings.interpolated_position_embeddings)
    return same
