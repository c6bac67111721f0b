"""What cannot be exported is refused before a training, in a line that names the layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssah_tf.export.convertible import check_convertible, difference, try_conversion
from ssah_tf.models.backbones.keras_application import APPLICATIONS, KerasApplication
from ssah_tf.system.errors import RecipeError
from ssah_tf.training.recipe import load_recipe


class Resized(keras.layers.Layer):
    """Half or twice the size, by a method of TensorFlow."""

    def __init__(self, method, antialias=False, size=16, **kwargs):
        super().__init__(**kwargs)
        self.how = {"size": (size, size), "method": method, "antialias": antialias}

    def call(self, x):
        return tf.image.resize(x, **self.how)


def network_with(*odd):
    """Makes a network of 32 px with these layers between two convolutions."""

    def make(input_shape, **given):
        inputs = keras.Input(input_shape)
        x = keras.layers.Conv2D(4, 3, padding="same", name="first")(inputs)
        side = keras.layers.Conv2D(4, 1, name="side")(x)
        for layer in odd:
            x = layer(x)
        x = keras.layers.Conv2D(4, 3, padding="same", name="last")(x)
        vectors = [keras.layers.GlobalAveragePooling2D()(part) for part in (x, side)]
        return keras.Model(inputs, keras.layers.Concatenate()(vectors))

    return make


def recipe_of(monkeypatch, *odd):
    """A recipe whose backbone is such a network."""
    monkeypatch.setitem(APPLICATIONS, "Odd", (network_with(*odd), lambda x: x - 127.5))
    changes = ("model.backbone=keras", "model.options.network=Odd", "data.image_size=32")
    return load_recipe("frozen", changes)


@pytest.mark.parametrize(
    "how",
    [
        {"method": "area"},
        {"method": "bilinear", "antialias": True},
        {"method": "lanczos3", "size": 64},
        {"method": "gaussian", "size": 64},
        {"method": "mitchellcubic", "size": 64},
    ],
    ids=str,
)
def test_a_layer_that_does_not_convert_is_named(how, monkeypatch, caplog, capfd):
    recipe = recipe_of(monkeypatch, Resized(**how, name="odd_one"))
    with pytest.raises(RecipeError) as caught:
        check_convertible(recipe)
    assert "keras cannot be exported at 32 px, so it is not trained (layer odd_one: " in str(
        caught.value
    )
    assert "\n" not in str(caught.value)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_what_converts_says_how_long_the_try_took(monkeypatch, capfd):
    odd = [
        Resized("bilinear"),
        Resized("nearest", size=32),
        Resized("bicubic", size=64),
        Resized("bicubic", size=20),
        keras.layers.Conv2D(8, 3, groups=4),
        keras.layers.Normalization(mean=1.0, variance=2.0),
        keras.layers.Activation(lambda x: keras.ops.gelu(x, approximate=False)),
    ]
    check_convertible(recipe_of(monkeypatch, *odd))
    out = capfd.readouterr().out
    line, seconds = out.rsplit(maxsplit=2)[0], out.split()[-2]
    assert line == "model.backbone: keras can be exported; tried in"
    assert seconds.isdigit()


def test_an_operation_that_fails_without_a_layer_is_refused(monkeypatch):
    monkeypatch.setitem(APPLICATIONS, "Odd", (network_with(), lambda x: tf.math.zeta(2.0, x)))
    with pytest.raises(ValueError, match=r"^(?!layer).*Zeta"):
        try_conversion(KerasApplication("Odd", weights="none"), 32)


def test_too_small_images_are_refused_with_the_smallest_size():
    changes = ("model.backbone=keras", "model.options.network=Xception", "data.image_size=64")
    with pytest.raises(RecipeError, match=r"at 64 px.*Input size must be at least 71x71"):
        check_convertible(load_recipe("frozen", changes))


def test_a_network_that_amplifies_rounding_is_not_refused(monkeypatch):
    """The same features but for rounding, times so much that rounding is all there is to see."""

    class Amplified(keras.layers.Layer):
        def call(self, x):
            return tf.sin(1e7 * x)

    check_convertible(recipe_of(monkeypatch, Amplified(name="amplified")))


def test_rounding_of_what_does_not_amplify_is_allowed_beside_what_does(rng):
    """The weights that are changed move the second output alone."""
    kernel = keras.Variable(np.ones((1, 1), np.float32))
    images = rng.integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)

    def network(images):
        x = tf.cast(images, tf.float32)
        return [tf.exp(x / 50), tf.sin(1e7 * tf.tanh(x / 100) * kernel.value)]

    assert difference(network, images, kernel) == ""
