"""What every layer, loss, backbone and model of ours owes to Keras.

Made, built, called, described, made again from its description, saved and loaded. A class that is
registered for saving is checked here, or the first test fails.
"""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import ssah_tf.losses
import ssah_tf.models

RNG = np.random.default_rng(0)
MAP = RNG.normal(size=(6, 8, 8, 4)).astype(np.float32)
FEATURES = RNG.normal(size=(6, 10)).astype(np.float32)
CODES = np.tanh(RNG.normal(size=(6, 12))).astype(np.float32)
LABELS = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]]
POSTERIOR = np.float32([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.97, 0.02, 0.01]])


def pixels(size):
    return np.random.default_rng(1).integers(0, 256, (6, size, size, 3)).astype(np.uint8)


@dataclass
class Case:
    """How to make an object with arguments that are not the defaults, and what it comes to.

    Attributes:
        given: Arguments, none of them the default.
        inputs: Call arguments, the batch first.
        shapes: Of the outputs.
        by_training: Whether `training=True` changes the outputs.
        run: Call it, for what is not called with its inputs alone.
    """

    given: dict[str, Any]
    inputs: tuple
    shapes: list[tuple]
    by_training: bool = False
    run: Callable = field(default=lambda layer, *inputs, **kwargs: layer(*inputs, **kwargs))


def backbone(features, size, **given):
    given |= {"mean": (70.0, 80.0, 90.0), "std": (50.0, 60.0, 70.0)}
    return Case(given, (pixels(size),), [(6, features)], True)


def loss(**given):
    return Case(given, (CODES, LABELS, CODES[::-1], LABELS[::-1]), [()])


def pace(**given):
    def run(layer):
        found = []
        for value in (3.0, 1.0, 0.5, 0.2):
            layer.step(tf.constant(value))
            found.append(tf.convert_to_tensor(layer.rho))
        return found

    return Case({**given, "start": 0.2, "end": 0.6}, (), [()] * 4, run=run)


def pseudo_labels(**given):
    return Case({**given, "align": True, "momentum": 0.5}, (POSTERIOR, LABELS), [(3, 3), (3,)])


def deformer(by_training, **given):
    given |= {"image_size": 32, "fill": (10.0, 20.0, 30.0), "area": 0.2}
    given |= {"scales": (2, 0), "max_angle": 20.0}
    return Case(given, (pixels(32),), [(6, 32, 32, 3)], by_training)


def made(name, **given):
    return keras.saving.get_registered_object(f"ssah_tf>{name}")(**given)


def game():
    return {
        "hnet": made("HNet", backbone=made("ConvNet", width=8), bits=12),
        "deformer": made("ANet", image_size=32, width=4),
        "supervised_loss": made("OrthoHash", scale=4.0),
        "pace": made("SchedulePace", steps=3),
        "hard_weight": 0.9,
        "consistency_weight": 0.8,
        "quantisation_weight": 0.7,
        "balance_weight": 0.6,
        "contrast": 0.5,
        "brightness": 0.4,
        "pseudo_labels": made("FixedThreshold", threshold=0.7),
        "strong_view": made("StrongView", groups=2),
        "ramp_steps": 3,
        "update_every": 2,
        "seed": 2,
    }


def hub_network():
    """A small ResNet of KerasHub, as a saved encoder describes it."""
    keras_hub = pytest.importorskip("keras_hub")
    network = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(network)))
    return {"network": config, "order": "bgr", "made_for": 40, "asks": ("a crop",)}


def convolution():
    return keras.layers.Conv2D(5, 3, padding="same", use_bias=False)


def run_game(layer, images, **kwargs):
    if not layer.built:
        layer.build((images.shape, (None, 3)))
    return layer(images, **kwargs)


#: Class -> its case, or what makes it where there are layers among the arguments.
CASES = {
    "ANet": lambda: deformer(True, width=4, angles=3, score_scale=0.5),
    "AdaptiveThreshold": pseudo_labels,
    "AlexNet": lambda: backbone(32, 64, units=32, dropout=0.4, seed=3),
    "BatchNorm": lambda: Case({"momentum": 0.7, "synchronized": False}, (MAP,), [MAP.shape], True),
    "CSQ": lambda: loss(scale=4.0, seed=2),
    "CompetencePace": lambda: pace(increment=0.1, mastery=0.9, wait=1, momentum=0.5),
    "Contrastive": lambda: loss(margin=0.4),
    "ConvNet": lambda: backbone(16, 28, width=8),
    "ConvNorm": lambda: Case(
        {"conv": convolution(), "activation": False}, (MAP,), [(6, 8, 8, 5)], True
    ),
    "EfficientNetLite0": lambda: backbone(1280, 32, weights="none", frozen_stages=2),
    "EfficientNetLite1": lambda: backbone(1280, 32, weights="none", frozen_stages=1),
    "EfficientNetLite2": lambda: backbone(1280, 32, weights="none"),
    "FixedThreshold": lambda: pseudo_labels(threshold=0.6),
    "HNet": lambda: Case(
        {"backbone": made("ConvNet", width=8), "bits": 12}, (pixels(28),), [(6, 12)], True
    ),
    "InvertedResidual": lambda: Case(
        {"channels": 4, "filters": 6, "kernel": 5, "stride": 2, "expansion": 3},
        (MAP,),
        [(6, 4, 4, 6)],
        True,
    ),
    "KerasApplication": lambda: backbone(1280, 64, network="MobileNetV2", weights="none"),
    "KerasHub": lambda: backbone(64, 32, saved=hub_network(), preset="small", pool="mean"),
    "Likelihood": loss,
    "OrthoHash": lambda: loss(scale=4.0, margin=0.1, seed=2),
    "PseudoLabels": pseudo_labels,
    "RandomDeformation": lambda: deformer(False),
    "ReplicaDropout": lambda: Case({"rate": 0.4, "seed": 3}, (FEATURES,), [FEATURES.shape], True),
    "ResNet20": lambda: backbone(16, 32, width=4, blocks=1),
    "ResidualBlock": lambda: Case({"filters": 6, "stride": 2}, (MAP,), [(6, 4, 4, 6)], True),
    "SSAH": lambda: Case(game(), (pixels(32),), [(6, 12)], True, run_game),
    "SchedulePace": lambda: pace(steps=3),
    "StrongView": lambda: Case(
        {"strength": 0.3, "groups": 2, "seed": 5},
        (pixels(32).astype(np.float32),),
        [(6, 32, 32, 3)],
    ),
}


#: Classes that compute in bfloat16 where a recipe says so.
MIXED = [
    "AlexNet",
    "BatchNorm",
    "ConvNet",
    "ConvNorm",
    "EfficientNetLite0",
    "EfficientNetLite1",
    "EfficientNetLite2",
    "InvertedResidual",
    "KerasApplication",
    "KerasHub",
    "ReplicaDropout",
    "ResNet20",
    "ResidualBlock",
]


#: Classes that no description alone can make; the module that checks them.
BY_FILE = {"OnnxBackbone": "tests/models/test_onnx_backbone.py"}


#: Networks whose kind, or blocks, are checked in any run of the tests.
LARGE = ("EfficientNetLite0", "EfficientNetLite1", "EfficientNetLite2", "KerasApplication")


def cases(names):
    """Names as parameters, those of large networks as slow ones."""
    return [pytest.param(n, marks=pytest.mark.slow) if n in LARGE else n for n in names]


@pytest.fixture(params=cases(CASES))
def name(request):
    return request.param


@pytest.fixture
def case(name):
    return CASES[name]()


def called(case, layer, **kwargs):
    return tf.nest.flatten(case.run(layer, *case.inputs, **kwargs))


def built(name, case, moved=True):
    """A layer with weights; unless told otherwise they are moved from where they begin."""
    layer = made(name, **case.given)
    called(case, layer)
    if not moved:
        return layer
    rng = np.random.default_rng(2)
    for variable in layer.variables:
        if variable.dtype == "float32":
            variable.assign_add(rng.uniform(0.01, 0.1, variable.shape))
    return layer


def assert_equal(some, others):
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@keras.saving.register_keras_serializable(package="life_cycle")
class Holder(keras.Model):
    """A model of one layer, so that the layer can be saved alone."""

    def __init__(self, layer, shapes):
        super().__init__()
        self.layer, self.shapes = layer, shapes
        self.built = True

    def get_config(self):
        return {"layer": keras.saving.serialize_keras_object(self.layer), "shapes": self.shapes}

    @classmethod
    def from_config(cls, config):
        layer = keras.saving.deserialize_keras_object(config["layer"])
        if not layer.built:
            layer.build(*(tuple(shape) for shape in config["shapes"]))
        return cls(layer, config["shapes"])


def classes_of(package):
    """All classes of layers in the modules of a package."""
    found = set()
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for _, one in inspect.getmembers(importlib.import_module(info.name), inspect.isclass):
            if issubclass(one, keras.layers.Layer) and one.__module__.startswith(package.__name__):
                found.add(one)
    return found


def test_every_class_is_registered_and_checked():
    """All but those that others are derived from, and that cannot be called themselves."""
    classes = classes_of(ssah_tf.models) | classes_of(ssah_tf.losses)
    names = {
        one.__name__ for one in classes if keras.saving.get_registered_name(one) != one.__name__
    }
    assert names == {*CASES, *BY_FILE}
    bases = {"Backbone", "Deformer", "EfficientNetLite", "Pace", "StagedModel"}
    bases |= {"PairLoss", "SupervisedLoss", "TargetLoss"}
    assert {one.__name__ for one in classes} - names == bases


def test_shapes_and_types(name, case):
    layer = built(name, case)
    outputs = called(case, layer)
    assert [tuple(x.shape) for x in outputs] == case.shapes
    assert {x.dtype for x in outputs} == {tf.float32}
    assert all(np.isfinite(x).all() for x in outputs)
    assert {v.dtype for v in layer.variables} <= {"float32", "int32", "int64"}
    if len(case.inputs) == 1:  # any number of rows
        first = tf.nest.flatten(case.run(layer, case.inputs[0][:2]))
        assert tuple(first[0].shape) == (2, *case.shapes[0][1:])


@pytest.mark.parametrize("name", cases(MIXED))
def test_mixed_precision(name, case):
    """Computes in bfloat16, keeps its weights in float32, and is near the same layer in float32."""
    exact = built(name, case)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        again = CASES[name]()
        mixed = built(name, again)
    finally:
        keras.config.set_dtype_policy(before)
    assert {v.dtype for v in mixed.variables} <= {"float32", "int32", "int64"}
    mixed.set_weights(exact.get_weights())
    (found,), (expected,) = called(again, mixed), called(case, exact)
    assert found.dtype == tf.bfloat16
    scale = np.abs(expected).max()
    np.testing.assert_allclose(tf.cast(found, tf.float32) / scale, expected / scale, atol=0.05)


def test_description_has_every_argument_and_makes_an_equal_one(name, case):
    layer = made(name, **case.given)
    config = layer.get_config()
    parameters = inspect.signature(type(layer).__init__).parameters.values()
    own = {x.name for x in parameters if x.kind not in (x.VAR_KEYWORD, x.VAR_POSITIONAL)}
    assert own - {"self"} <= set(config)
    for argument, value in case.given.items():
        if not isinstance(value, keras.layers.Layer):
            assert config[argument] == value, argument
    stored = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    again = keras.saving.deserialize_keras_object(stored)
    assert type(again) is type(layer)
    assert again.get_config() == config
    assert type(layer).from_config(deepcopy(config)).get_config() == config


def test_saved_and_loaded_it_goes_on_alike(name, case, tmp_path):
    layer = built(name, case)
    path = tmp_path / "it.keras"
    if isinstance(layer, keras.Model):
        layer.save(path)
        loaded = keras.saving.load_model(path)
    else:
        Holder(layer, [list(np.shape(x)) for x in case.inputs]).save(path)
        loaded = keras.saving.load_model(path).layer
    assert [(v.name, v.trainable) for v in loaded.variables] == [
        (v.name, v.trainable) for v in layer.variables
    ]
    assert_equal([v.numpy() for v in loaded.variables], [v.numpy() for v in layer.variables])
    assert_equal(called(case, loaded), called(case, layer))
    assert_equal([v.numpy() for v in loaded.variables], [v.numpy() for v in layer.variables])


def test_training(name, case):
    """It differs from inference where it should, and a gradient reaches every trained weight."""
    layer = built(name, case, moved=False)
    if "training" not in inspect.signature(layer.call).parameters:
        assert not layer.trainable_variables
        return
    before = called(case, layer)
    assert_equal(called(case, layer, training=False), before)
    with tf.GradientTape() as tape:
        outputs = called(case, layer, training=True)
        weights = np.random.default_rng(3).normal(size=outputs[0].shape)
        total = tf.reduce_sum(outputs[0] * weights)
    assert np.any(outputs[0] != before[0]) == case.by_training
    variables = getattr(layer, "hnet", layer).trainable_variables  # a game calls its H-Net
    for variable, gradient in zip(variables, tape.gradient(total, variables), strict=True):
        assert np.any(gradient), variable.path
