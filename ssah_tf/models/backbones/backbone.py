"""What all backbones share: the preprocessing that travels with the model."""

import keras


class Backbone(keras.layers.Layer):
    """Normalises pixels, then computes features.

    A subclass builds its layers in `__init__` and writes `features`.

    Args:
        mean: Mean of the red, green and blue channel over the training images, 0 to 255.
        std: Their standard deviation.

    Input shape: `(batch, height, width, 3)`, RGB, 0 to 255, uint8 or float.
    Output shape: `(batch, features)`.
    """

    #: Smallest side of an image that the network can take.
    min_size = 16
    #: What the preprocessing that came with it asks for beyond scale, mean, deviation, order of
    #: channels and size; our one rule of crop and resize stands in its place.
    asks: tuple[str, ...] = ()
    #: Side in pixels that this preprocessing names, `None` if it names none.
    made_for: int | None = None

    def __init__(
        self,
        mean: tuple[float, float, float] = (127.5, 127.5, 127.5),
        std: tuple[float, float, float] = (64.0, 64.0, 64.0),
        **kwargs,
    ):
        super().__init__(**kwargs)
        if min(std) <= 0:
            raise ValueError(f"std must be positive. Received: std={std}")
        self.mean = tuple(float(value) for value in mean)
        self.std = tuple(float(value) for value in std)

    def call(self, images, training=False):
        """Features of the images."""
        x = keras.ops.cast(images, self.compute_dtype)
        x = (x - keras.ops.cast(self.mean, x.dtype)) / keras.ops.cast(self.std, x.dtype)
        return self.features(x, training)

    def features(self, x, training):
        """Features of normalised images."""
        raise NotImplementedError

    def build(self, input_shape):
        """Create the weights by one symbolic pass."""
        if min(input_shape[1:3]) < self.min_size:
            raise ValueError(
                f"{type(self).__name__} takes images of {self.min_size} px or more. "
                f"Received: {input_shape[1]} x {input_shape[2]} px"
            )
        if getattr(self, "width", 9) <= 8 and max(input_shape[1:3]) > 64:
            raise ValueError(
                f"{type(self).__name__} needs a width above 8 for images above 64 px: narrow "
                "convolutions corrupt memory there in TensorFlow 2.21 on a CPU. "
                f"Received: width={self.width}, {input_shape[1]} x {input_shape[2]} px"
            )
        x = keras.KerasTensor((None, *input_shape[1:]), self.compute_dtype)
        output = self.features(x, False)
        self.feature_size = output.shape[-1]

    def identity(self) -> dict:
        """What makes two backbones the same, beside their variables."""
        return {"backbone": type(self).__name__, "mean": self.mean, "std": self.std}

    def compute_output_shape(self, input_shape):
        """`(batch, features)`."""
        return (input_shape[0], self.feature_size)

    def get_config(self):
        """Arguments that make an equal backbone.

        Without the precision, which is a matter of training: a saved encoder computes in float32.
        """
        config = {**super().get_config(), "mean": self.mean, "std": self.std}
        del config["dtype"]
        return config
