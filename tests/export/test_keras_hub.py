"""What tf2onnx lacks for the networks of others: each operation alone, then the networks."""

import importlib.util
import logging
import math
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf

from ssah_tf import Encoder
from ssah_tf.data.decode import RULE
from ssah_tf.encoding.encoder import KEYS
from ssah_tf.export import convertible
from ssah_tf.export.convertible import KNOWN, check_convertible
from ssah_tf.export.graph import encoder_function
from ssah_tf.export.made_up import made_up
from ssah_tf.export.onnx_model import OPSETS, write_onnx
from ssah_tf.export.saved_model import write_saved_model
from ssah_tf.export.verify import compare, decided
from ssah_tf.models import HNet
from ssah_tf.models.backbones import KerasHub
from ssah_tf.models.conversion import to_onnx
from ssah_tf.models.saved import load_hnet
from ssah_tf.system.errors import RecipeError
from ssah_tf.system.onnx_session import open_session
from ssah_tf.training.recipe import load_recipe

keras_hub = pytest.importorskip("keras_hub")
spec = importlib.util.spec_from_file_location(
    "keras_hub_presets", Path(__file__).parents[1] / "keras_hub_presets.py"
)
presets = importlib.util.module_from_spec(spec)
spec.loader.exec_module(presets)


def converted(function, shape, opset=18):
    """A function of a tensor called x in ONNX: the model, checked, and what runs it."""
    traced = tf.function(
        lambda x: {"y": function(x)}, input_signature=[tf.TensorSpec(shape, tf.float32, "x")]
    )
    model = to_onnx(traced, opset)
    onnx.checker.check_model(model, full_check=True)
    session = open_session(model.SerializeToString())
    assert [value.name for value in session.get_inputs()] == ["x"]
    return model, lambda x: session.run(["y"], {"x": x})[0]


def kinds(model):
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
def test_erfc(opset):
    x = np.linspace(-6, 6, 1001, dtype=np.float32)[:, None]
    expected = [math.erfc(value) for value in x[:, 0].astype(np.float64)]
    model, run = converted(tf.math.erfc, (None, 1), opset)
    np.testing.assert_allclose(run(x)[:, 0], expected, atol=3e-7)
    assert {"Erf", "Sub"} <= set(kinds(model))


def test_exact_gelu():
    x = np.linspace(-6, 6, 1000, dtype=np.float32).reshape(10, 100)
    _, run = converted(lambda x: keras.ops.gelu(x, approximate=False), (None, 100))
    exact = [v * 0.5 * math.erfc(-v / math.sqrt(2)) for v in x.ravel().astype(np.float64)]
    np.testing.assert_allclose(run(x).ravel(), exact, atol=1e-6)


def test_a_tensor_from_outside_is_a_constant():
    positions = tf.constant(np.arange(6, dtype=np.float32))
    _, run = converted(lambda x: x + positions, (None, 6))
    np.testing.assert_array_equal(run(np.zeros((2, 6), np.float32)), [range(6)] * 2)


def test_a_convolution_in_groups():
    conv = keras.layers.Conv2D(16, 3, groups=4, padding="same")
    conv.build((None, 8, 8, 8))
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 8)).astype(np.float32)
    model, run = converted(conv, (None, 8, 8, 8))
    np.testing.assert_allclose(run(x), conv(x), atol=1e-5)
    (node,) = (node for node in model.graph.node if node.op_type == "Conv")
    assert [a.i for a in node.attribute if a.name == "group"] == [4]


@pytest.mark.parametrize("divisor", [3, -3])
@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
def test_whole_numbers_are_divided_as_python_does_it(divisor, opset):
    def divided(x):
        whole, by = tf.cast(x, tf.int32), tf.fill(tf.shape(x), divisor)
        return tf.cast(tf.stack([whole // by, whole % by], axis=1), tf.float32)

    x = list(range(-7, 8))
    _, run = converted(divided, (None, 15), opset)
    found = run(np.array([x], np.float32))[0]
    assert found.tolist() == [[n // divisor for n in x], [n % divisor for n in x]]


def test_hard_swish_leaves_the_layout_to_the_optimizer(caplog):
    """A number is added behind a convolution: its optimizer once gave up there, with a trace."""
    convs = [keras.layers.Conv2D(16, 3, use_bias=False, padding="same") for _ in range(2)]
    network = keras.Sequential(
        [keras.Input((8, 8, 16)), convs[0], keras.layers.Activation("hard_swish"), convs[1]]
    )
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 16)).astype(np.float32)
    with caplog.at_level(logging.WARNING):
        model, run = converted(network, (None, 8, 8, 16))
    np.testing.assert_allclose(run(x), network(x), atol=1e-5)
    assert kinds(model).count("Transpose") == 2  # one at each end
    assert not caplog.records


@pytest.mark.slow
@pytest.mark.parametrize("name", presets.CONVERTED)
def test_codes_equal(name, tmp_path):
    """Trained encoder, saved encoder, ONNX Runtime and SavedModel: no decided bit differs."""
    make, side = presets.CONVERTED[name]
    folder = presets.save_preset(tmp_path / "preset", make())
    hnet = HNet(KerasHub(str(folder)), 48)
    hnet.build((None, side, side, 3))
    assert hnet.backbone.network_name in KNOWN
    images = made_up(64, side)
    for _ in range(40):  # the logits are around 0
        hnet(images, training=True)
    hnet.save(tmp_path / "hnet.keras")
    loaded = load_hnet(tmp_path / "hnet.keras")
    encode = encoder_function(loaded, side)
    about = dict.fromkeys(KEYS, "0") | {"bits": "48", "image_size": str(side)}
    write_onnx(encode, tmp_path / "encoder.onnx", 18, about | {"decode_rule": str(RULE)})
    write_saved_model(encode, loaded, side, tmp_path / "saved_model" / "1", {})
    codes, logits = hnet.encode([images]), hnet.logits(images).numpy()
    assert len(np.unique(codes, axis=0)) > 30
    found = compare(tmp_path, images, codes, decided(logits))
    assert max(found.values()) <= 2
    onnx_logits = Encoder.load(tmp_path).logits(images)
    np.testing.assert_allclose(onnx_logits, logits, atol=5e-5)


def recipe_of(folder, *more):
    changes = (f"model.backbone=keras_hub:{folder}", "data.image_size=32", *more)
    return load_recipe("frozen", changes)


@pytest.mark.slow
def test_what_does_not_convert_is_refused_before_a_training(tmp_path):
    """MiT converts, but ONNX Runtime cannot run it."""
    presets.save_preset(tmp_path, presets.mit())
    with pytest.raises(RecipeError) as caught:
        check_convertible(recipe_of(tmp_path))
    assert "cannot be exported at 32 px, so it is not trained (" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_known_to_convert_is_not_tried(tmp_path, monkeypatch):
    presets.save_preset(tmp_path, presets.vit())
    tried = []
    monkeypatch.setattr(convertible, "try_conversion", lambda *given: tried.append(given))
    check_convertible(recipe_of(tmp_path))
    check_convertible(load_recipe("frozen", ("data.image_size=96",)))
    assert not tried
    monkeypatch.setattr(convertible, "KNOWN", set())
    check_convertible(recipe_of(tmp_path))
    assert len(tried) == 1


def test_an_operation_that_onnx_has_not(tmp_path, monkeypatch):
    presets.save_preset(tmp_path, presets.vgg())
    monkeypatch.setattr(convertible, "KNOWN", set())
    recipe = recipe_of(tmp_path)
    check_convertible(recipe)
    features = KerasHub.features

    class Zeta(keras.layers.Layer):
        def call(self, x):
            return tf.math.zeta(2.0, x)

    monkeypatch.setattr(
        KerasHub, "features", lambda self, x, training: Zeta()(features(self, x, False))
    )
    with pytest.raises(RecipeError, match=r"cannot be exported .*Zeta"):
        check_convertible(recipe)
