"""AlexNet (Krizhevsky et al., NIPS 2012), the backbone of the SSAH paper."""

import keras
from keras import layers

from ssah_tf.models.backbones.backbone import Backbone
from ssah_tf.models.backbones.torch_file import read_torch_file
from ssah_tf.models.replica_dropout import ReplicaDropout
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import first_line


@keras.saving.register_keras_serializable(package="ssah_tf")
class AlexNet(Backbone):
    """Five convolutions and two fully connected layers with dropout, one tower, no LRN.

    The layer sizes are those of the one-tower variant (Krizhevsky 2014). An adaptive average
    pooling to 6 x 6 cells lets it take any image of 63 px or more; 224 px is its own size.

    Args:
        weights: "none" to begin at random, or a checkpoint file of torchvision's `alexnet`, which
            brings ImageNet's mean and deviation with it.
        units: Size of the two fully connected layers, 4096 in the paper.
        dropout: Share of their inputs that is dropped in training.
        seed: Seed of the dropout.
        **kwargs: Arguments of `Backbone`.

    Raises:
        SsahError: The weights are not there, or are of another network.
    """

    min_size = 63

    def __init__(
        self,
        weights: str = "none",
        units: int = 4096,
        dropout: float = 0.5,
        seed: int = 0,
        **kwargs,
    ):
        if weights != "none":
            kwargs |= {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)}
        super().__init__(**kwargs)
        self.weights_from = weights
        self.units = units
        self.dropout = dropout
        self.seed = seed
        relu = {"activation": "relu", "padding": "same"}
        self.convolutions = [
            layers.ZeroPadding2D(2),
            layers.Conv2D(64, 11, 4, activation="relu"),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(192, 5, **relu),
            layers.MaxPooling2D(3, 2),
            layers.Conv2D(384, 3, **relu),
            layers.Conv2D(256, 3, **relu),
            layers.Conv2D(256, 3, **relu),
            layers.MaxPooling2D(3, 2),
        ]
        self.drops = [ReplicaDropout(dropout, seed=seed + i) for i in range(2)]
        self.dense = [layers.Dense(units, activation="relu") for _ in range(2)]

    def features(self, x, training):
        """Features of normalised images, `(batch, units)`."""
        for layer in self.convolutions:
            x = layer(x)
        x = adaptive_average_pool(x, 6)  # (B, 6, 6, 256)
        x = keras.ops.reshape(x, (-1, 6 * 6 * 256))
        for drop, dense in zip(self.drops, self.dense, strict=True):
            x = dense(drop(x, training=training))
        return x

    def build(self, input_shape):
        """Create the weights, and load them if they come from a file."""
        super().build(input_shape)
        if self.weights_from != "none":
            self.load_arrays(read_torch_file(self.weights_from), self.weights_from)

    def load_arrays(self, arrays: dict, path) -> None:
        """Take over the weights of torchvision's `alexnet`, its last layer left out.

        Raises:
            SsahError: One is missing or has another shape.
        """
        convolutions = [layer for layer in self.convolutions if layer.weights]
        names = [f"features.{number}" for number in (0, 3, 6, 8, 10)]
        try:
            for name, layer in zip(names, convolutions, strict=True):
                kernel = arrays[f"{name}.weight"].transpose(2, 3, 1, 0)
                layer.set_weights([kernel, arrays[f"{name}.bias"]])
            for name, layer in zip(("classifier.1", "classifier.4"), self.dense, strict=True):
                kernel = arrays[f"{name}.weight"]
                if layer is self.dense[0]:  # there channels come before the cells, here after
                    cells = kernel.reshape(-1, 256, 6, 6).transpose(0, 2, 3, 1)
                    kernel = cells.reshape(len(kernel), -1)
                layer.set_weights([kernel.T, arrays[f"{name}.bias"]])
        except (KeyError, ValueError) as error:
            reason = first_line(error)
            raise SsahError(f"{path}: not the weights of AlexNet ({reason})") from None

    def get_config(self):
        """Arguments that make an equal backbone; its weights are then set, not loaded again."""
        own = {"weights": "none", "units": self.units, "dropout": self.dropout, "seed": self.seed}
        return {**super().get_config(), **own}


def adaptive_average_pool(x, cells: int):
    """Mean over `cells` x `cells` areas, `(batch, h, w, c) -> (batch, cells, cells, c)`.

    Area i of n covers the rows floor(i h / n) to ceil((i + 1) h / n), as in PyTorch; areas overlap
    where h is not a multiple of n. Written as two products with small constant matrices.
    """

    def weights(length):
        rows = [[0.0] * length for _ in range(cells)]
        for i in range(cells):
            first, last = i * length // cells, -(-(i + 1) * length // cells)
            for j in range(first, last):
                rows[i][j] = 1.0 / (last - first)
        return keras.ops.convert_to_tensor(rows, dtype=x.dtype)

    if x.shape[1:3] == (cells, cells):
        return x
    x = keras.ops.einsum("ih,bhwc->biwc", weights(x.shape[1]), x)
    return keras.ops.einsum("jw,biwc->bijc", weights(x.shape[2]), x)
