"""The networks of `keras.applications`, by name."""

import inspect
import sys
import warnings
from pathlib import Path
from typing import Any

import keras

from ssah_tf.models.backbones.backbone import Backbone
from ssah_tf.models.precision import default_policy
from ssah_tf.models.weights_file import check_weights
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import first_line


@keras.saving.register_keras_serializable(package="ssah_tf")
class KerasApplication(Backbone):
    """A network of `keras.applications` without its classifier, its last features averaged.

    The preprocessing is the network's own, whatever `mean` and `std` are.

    Args:
        network: Name of its class, for example "MobileNetV3Small" or "ResNet50".
        weights: "imagenet" for those that Keras downloads, "none" to begin at random, or a weights
            file of Keras, HDF5, of the network without its classifier.
        trainable: Whether the network is trained; otherwise its weights and statistics stay.
        frozen_norm: Whether batch normalisation keeps the statistics it came with.
        **kwargs: Arguments of `Backbone`.

    Raises:
        ValueError: There is no such network, or `trainable` is neither true nor false.
    """

    min_size = 32

    def __init__(
        self,
        network: str = "MobileNetV3Small",
        weights: str = "imagenet",
        trainable: bool = True,
        frozen_norm: bool = False,
        **kwargs,
    ):
        if not isinstance(trainable, bool):
            raise ValueError(f"trainable must be true or false. Received: trainable={trainable!r}")
        super().__init__(trainable=trainable, **kwargs)
        if network not in APPLICATIONS:
            raise ValueError(
                f"network must be one of keras.applications: {', '.join(sorted(APPLICATIONS))}. "
                f"Received: network={network!r}"
            )
        self.network_name, self.weights_from = network, weights
        self.frozen_norm = frozen_norm
        self.preprocess = APPLICATIONS[network][1]
        self.network: Any = None

    def build(self, input_shape):
        """Make the network for images of this size, and load its weights if it has any.

        Raises:
            ValueError: The images are too small for it.
            SsahError: The weights cannot be had, or are of another network.
        """
        if self.network is None:  # Keras builds a layer of a saved network twice
            self.network = self.make_network(tuple(input_shape[1:]))
        super().build(input_shape)

    def make_network(self, shape: tuple[int, int, int]) -> keras.Model:
        """The network for images `(height, width, 3)`. See `build`."""
        with default_policy(self.dtype_policy):
            network = construct(self.network_name, self.weights_from, shape)
        for layer in network.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True
                layer.trainable = not self.frozen_norm
        if not self.trainable:
            network.trainable = False
        return network

    def call(self, images, training=False):
        """Features of the images, `(batch, features)`."""
        x = self.preprocess(keras.ops.cast(images, self.compute_dtype))
        return self.features(x, training)

    def features(self, x, training):
        """Features of preprocessed images."""
        return self.network(x, training=training and self.trainable and not self.frozen_norm)

    def get_config(self):
        """Arguments that make an equal backbone; its weights are then set, not loaded again."""
        own = {"network": self.network_name, "weights": "none", "frozen_norm": self.frozen_norm}
        return {**super().get_config(), **own}


def construct(name: str, weights: str, shape: tuple[int, int, int]) -> keras.Model:
    """The network for images of one shape, with its first weights.

    Strided convolutions are padded by whether a side is even, which a network for any size guesses.

    Raises:
        ValueError: The images are too small for it.
        SsahError: The weights cannot be had, or are of another network.
    """
    make, _ = APPLICATIONS[name]
    first = weights if weights == "imagenet" else None
    try:
        with warnings.catch_warnings():
            # Some have weights for a few sizes; others take those of 224 px, which is right.
            warnings.filterwarnings("ignore", "`input_shape` is undefined")
            network = make(include_top=False, pooling="avg", input_shape=shape, weights=first)
    except ValueError:  # of the size
        raise
    except Exception as error:  # of the download, of a machine without a network
        raise SsahError(
            f"weights imagenet of {name} cannot be downloaded ({first_line(error)}); give a file: "
            "model.options.weights=FILE"
        ) from None
    if weights in ("imagenet", "none"):
        return network
    try:
        check_weights(Path(weights))
        network.load_weights(weights)
    except (OSError, ValueError, KeyError) as error:
        reason = first_line(error)
        raise SsahError(f"{weights}: not the weights of {name} ({reason})") from None
    return network


def applications() -> dict:
    """Name -> what makes the network, and its preprocessing, for all of `keras.applications`."""
    networks = inspect.getmembers(keras.applications, inspect.isfunction)
    # The preprocessing of a network stands in the module that makes it.
    return {name: (make, sys.modules[make.__module__].preprocess_input) for name, make in networks}


APPLICATIONS = applications()
