"""Backbones of KerasHub: small ones with random weights, saved as local presets."""

import importlib.util
import json
import os
import shutil
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from ssah_tf.models import HNet
from ssah_tf.models.backbones import (
    KerasHub,
    first_weights,
    keras_hub_converter,
    keras_hub_preset,
    with_file,
)
from ssah_tf.models.backbones import keras_hub as module
from ssah_tf.models.backbones.keras_hub_converter import tried_out
from ssah_tf.models.backbones.keras_hub_preset import open_preset
from ssah_tf.models.saved import load_hnet
from ssah_tf.system.errors import RunError, SsahError

keras_hub = pytest.importorskip("keras_hub")
spec = importlib.util.spec_from_file_location(
    "keras_hub_presets", Path(__file__).parents[1] / "keras_hub_presets.py"
)
presets = importlib.util.module_from_spec(spec)
spec.loader.exec_module(presets)

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
ASKS = {"image_size": (32, 32), "interpolation": "bicubic", "crop_to_aspect_ratio": False}


@pytest.fixture(scope="module")
def vit(tmp_path_factory):
    """A preset of a small ViT; whatever uses it leaves it as it is."""
    return presets.save_preset(tmp_path_factory.mktemp("vit"), presets.vit(), **ASKS)


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory):
    """A preset of a small DINOv2 for 28 px, its positions learnt at 56 px."""
    folder = tmp_path_factory.mktemp("dinov2")
    return presets.save_preset(folder, presets.dinov2(), image_size=(28, 28))


def built(folder, side=32, **options):
    backbone = KerasHub(str(folder), **options)
    backbone.build((None, side, side, 3))
    return backbone


def by_keras_hub(folder, images):
    """What the preset gives in KerasHub itself, its own converter before it."""
    network = keras_hub.models.Backbone.from_preset(str(folder))
    converter = keras_hub.layers.ImageConverter(**presets.CONVERTER)
    x = converter(images.astype(np.float32))
    network = getattr(network, "vision_encoder", network)
    named = isinstance(network.input, dict)
    return np.asarray(network({name: x for name in network.input} if named else x))


def test_tokens_are_those_of_keras_hub(vit):
    tokens = by_keras_hub(vit, IMAGES)  # (3, 1 + 16, 32)
    expected = {
        "auto": tokens[:, 0],
        "class": tokens[:, 0],
        "mean": tokens[:, 1:].mean(axis=1),
        "both": np.concatenate([tokens[:, 0], tokens[:, 1:].mean(axis=1)], axis=1),
    }
    assert np.ptp(tokens[:, 0], axis=0).mean() > 0.1
    for pool, features in expected.items():
        backbone = built(vit, pool=pool)
        assert backbone.feature_size == features.shape[1]
        np.testing.assert_allclose(backbone(IMAGES), features, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "pooled"),
    [
        pytest.param("siglip", lambda output: output, marks=pytest.mark.slow),
        ("resnet", lambda output: output.mean(axis=(1, 2))),
        pytest.param("dinov3", lambda output: output[:, 0], marks=pytest.mark.slow),
        pytest.param("deit", lambda output: output[:, 0], marks=pytest.mark.slow),
        pytest.param("clip", lambda output: output[:, 0], marks=pytest.mark.slow),
    ],
)
def test_vectors_maps_and_towers(name, pooled, tmp_path):
    make, side = presets.CONVERTED[name]
    presets.save_preset(tmp_path, make())
    expected = pooled(by_keras_hub(tmp_path, IMAGES))
    np.testing.assert_allclose(built(tmp_path, side)(IMAGES), expected, atol=2e-5)
    assert expected.std() > 1e-2


@pytest.mark.slow
def test_the_deepest_of_several_maps(tmp_path):
    presets.save_preset(tmp_path, presets.hgnet())
    network = keras_hub.models.Backbone.from_preset(str(tmp_path))
    x = keras_hub.layers.ImageConverter(**presets.CONVERTER)(IMAGES.astype(np.float32))
    expected = np.asarray(network(x)["stage2"]).mean(axis=(1, 2))
    np.testing.assert_allclose(built(tmp_path)(IMAGES), expected, atol=1e-5)


def test_register_tokens_are_no_part_of_the_mean(tmp_path):
    presets.save_preset(tmp_path, presets.dinov2(num_register_tokens=3))
    images = IMAGES[:, :28, :28]
    tokens = by_keras_hub(tmp_path, images)
    assert tokens.shape[1] == 1 + 3 + 16
    features = built(tmp_path, 28, pool="mean")(images)
    np.testing.assert_allclose(features, tokens[:, 4:].mean(axis=1), atol=2e-5)


def test_saved_it_needs_no_preset(vit, tmp_path):
    folder = shutil.copytree(vit, tmp_path / "preset")
    hnet = HNet(KerasHub(str(folder), trainable=False), 12)
    hnet.build((None, 32, 32, 3))
    assert {v.path.split("/")[-2] for v in hnet.trainable_variables} == {"hash", "hash_norm"}
    hnet.save(tmp_path / "hnet.keras")
    shutil.rmtree(folder)
    loaded = load_hnet(tmp_path / "hnet.keras")
    np.testing.assert_array_equal(loaded.logits(IMAGES), hnet.logits(IMAGES))
    assert loaded.backbone.asks == hnet.backbone.asks != ()
    assert loaded.backbone.made_for == 32
    assert loaded.backbone.identity() == hnet.backbone.identity()


@pytest.mark.parametrize("side", [pytest.param(28, marks=pytest.mark.slow), 42])
def test_positions_of_dinov2_are_interpolated_then_trained_and_saved(dinov2, tmp_path, side):
    """KerasHub saves the table of 56 px alone, and notices a change by its sum."""
    hnet = HNet(KerasHub(str(dinov2)), 12)
    hnet.build((None, side, side, 3))
    images = np.random.default_rng(1).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    expected = presets.dinov2(side)
    expected.load_weights(dinov2 / "model.weights.h5")
    x = keras_hub.layers.ImageConverter(**presets.CONVERTER)(images.astype(np.float32))
    np.testing.assert_allclose(
        hnet.backbone(images), np.asarray(expected({"images": x}))[:, 0], atol=2e-5
    )
    embeddings = hnet.backbone.network.embeddings
    assert not embeddings.mask_token.trainable  # no gradient reaches it
    table = embeddings.interpolated_position_embeddings
    step = np.random.default_rng(0).normal(0, 0.5, table.shape)
    table.assign_add(step - abs(step))  # the sum falls
    before = hnet.logits(images)
    hnet.save(tmp_path / "hnet.keras")
    np.testing.assert_array_equal(load_hnet(tmp_path / "hnet.keras").logits(images), before)
    hnet.save_weights(tmp_path / "step.weights.h5")
    table.assign(step)
    hnet.load_weights(tmp_path / "step.weights.h5")
    np.testing.assert_array_equal(hnet.logits(images), before)


def test_a_side_that_the_positions_do_not_allow(vit):
    with pytest.raises(ValueError, match=r"takes images of 32 px alone; set data\.image_size=32"):
        built(vit, side=40)
    with pytest.raises(ValueError, match="ViTBackbone cannot be made for 30 px"):
        built(vit, side=30)


@pytest.mark.slow
def test_mixed_precision_is_of_the_training_alone(vit, tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        hnet = HNet(KerasHub(str(vit)), 12)
    finally:
        keras.config.set_dtype_policy("float32")
    hnet.build((None, 32, 32, 3))
    assert hnet.backbone(IMAGES).dtype == "bfloat16"
    assert {v.dtype for v in hnet.variables} == {"float32"}
    hnet.save(tmp_path / "hnet.keras")
    loaded = load_hnet(tmp_path / "hnet.keras")
    assert loaded.backbone(IMAGES).dtype == "float32"
    np.testing.assert_allclose(loaded.backbone(IMAGES), built(vit)(IMAGES), atol=1e-6)


def test_frozen_norm_and_synchronised_statistics(tmp_path):
    presets.save_preset(tmp_path, presets.resnet())
    frozen, free = built(tmp_path, frozen_norm=True), built(tmp_path)
    norms = [x for x in free._flatten_layers() if isinstance(x, keras.layers.BatchNormalization)]
    assert norms
    assert all(norm.synchronized for norm in norms)
    assert len(free.trainable_variables) == len(frozen.trainable_variables) + 2 * len(norms)
    before = frozen(IMAGES).numpy()
    frozen(IMAGES, training=True)
    free(IMAGES, training=True)
    np.testing.assert_array_equal(frozen(IMAGES), before)
    assert np.abs(free(IMAGES) - before).max() > 1e-3


def test_begun_at_random_it_reads_no_weights(vit, tmp_path):
    folder = shutil.copytree(vit, tmp_path / "preset")
    (folder / "model.weights.h5").unlink()
    backbone = built(folder, weights="none")
    assert np.abs(backbone(IMAGES) - built(vit)(IMAGES)).max() > 0.1


class Swapped(keras_hub.layers.ImageConverter):
    """Its network wants blue first."""

    def call(self, inputs):
        return super().call(inputs)[..., ::-1]


class Squared(keras_hub.layers.ImageConverter):
    def call(self, inputs):
        return super().call(inputs) ** 2


class Grey(keras_hub.layers.ImageConverter):
    def call(self, inputs):
        return keras.ops.mean(super().call(inputs), axis=-1, keepdims=True) + inputs * 0


def test_a_converter_tells_by_what_it_does():
    scale, offset = presets.CONVERTER["scale"], presets.CONVERTER["offset"]
    for kind, order in ((keras_hub.layers.ImageConverter, "rgb"), (Swapped, "bgr")):
        how = tried_out(kind(scale=scale, offset=offset, image_size=(40, 40)))
        assert (how.channel_order, how.size) == (order, 40)
        np.testing.assert_allclose(how.image_mean, (123.675, 116.28, 103.53), rtol=1e-5)
        np.testing.assert_allclose(how.image_std, (58.395, 57.12, 57.375), rtol=1e-5)
        assert how.asks == ("no smoothing where photos are made smaller",)
    how = tried_out(keras_hub.layers.ImageConverter())  # pixels as they are
    assert (how.image_mean, how.image_std, how.size) == ((0,) * 3, (1,) * 3, None)
    for kind, complaint in ((Squared, "more than scale"), (Grey, "mixes channels")):
        with pytest.raises(ValueError, match=complaint):
            tried_out(kind(scale=1 / 255))


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        ({"crop_to_aspect_ratio": False}, "the whole photo resized to 40 x 50 px, whatever its"),
        ({"crop_to_aspect_ratio": False, "pad_to_aspect_ratio": True}, "with borders"),
        ({}, "a crop of 40 x 50 px"),
        ({"interpolation": "lanczos3"}, "a lanczos3 filter instead of a bilinear one"),
    ],
)
def test_what_a_converter_asks_for_beyond_our_rule(arguments, phrase):
    converter = keras_hub.layers.ImageConverter(image_size=(40, 50), antialias=True, **arguments)
    how = tried_out(converter)
    assert how.size is None
    assert any(phrase in asked for asked in how.asks)


@pytest.mark.slow
def test_blue_first(vit, monkeypatch):
    monkeypatch.setattr(keras_hub_converter, "make_converter", lambda _: Swapped(scale=1 / 255))
    swapped = built(vit)
    monkeypatch.setattr(
        keras_hub_converter,
        "make_converter",
        lambda _: keras_hub.layers.ImageConverter(scale=1 / 255),
    )
    np.testing.assert_allclose(swapped(IMAGES), built(vit)(IMAGES[..., ::-1]), atol=1e-5)
    assert swapped.identity()["order"] == "bgr"


def test_names_of_recipes():
    assert with_file("keras_hub:a/b", {"pool": "mean"}) == (
        "keras_hub",
        {"pool": "mean", "preset": "a/b"},
    )
    assert first_weights("keras_hub:a", {}) == "preset"
    assert first_weights("keras_hub:a", {"weights": "none"}) == "none"


# What must be refused.


def changed(preset, folder, **files):
    """A copy of a preset in which some files have other contents; `None` takes one away."""
    copy = shutil.copytree(preset, folder)
    for name, content in files.items():
        path = copy / {"config": "config.json", "converter": "image_converter.json"}[name]
        if content is None:
            path.unlink()
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
    return copy


def config_of(preset, **more):
    config = json.loads((preset / "config.json").read_text())
    config["config"] |= more
    return config


LAMBDA = {
    "module": "keras.layers",
    "class_name": "Lambda",
    "config": {"name": "x", "function": {"class_name": "__lambda__", "config": {"code": "4wE="}}},
    "registered_name": None,
}
FOREIGN = {
    "Lambda": LAMBDA,
    "system": {"module": "os", "class_name": "system", "config": {}, "registered_name": None},
    "tokenizer": {
        "module": "keras_hub.src.models.bert.bert_tokenizer",
        "class_name": "BertTokenizer",
        "config": {"vocabulary": "/etc/passwd"},
        "registered_name": "keras_hub>BertTokenizer",
    },
    "only registered": {"registered_name": "keras_hub>BertTokenizer", "config": {}},
    "unknown": {"module": "os", "class_name": "X", "config": {}, "registered_name": "keras_hub>X"},
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("place", ["root", "within", "converter"])
def test_a_preset_names_no_foreign_class(vit, tmp_path, name, place, monkeypatch):
    """Keras is not even asked."""
    foreign = FOREIGN[name]
    files = {
        "root": {"config": foreign},
        "within": {"config": config_of(vit, dropout_rate=foreign)},
        "converter": {"converter": foreign},
    }
    folder = changed(vit, tmp_path / "preset", **files[place])
    asked = "deserialize_keras_object"
    monkeypatch.setattr(keras.saving, asked, lambda *_, **__: pytest.fail("it was asked"))
    with pytest.raises(SsahError) as caught:
        open_preset(str(folder))
    assert "not a preset of KerasHub" in str(caught.value) or "cannot be read" in str(caught.value)


def test_a_converter_within_which_a_foreign_class_stands(vit, tmp_path):
    converter = json.loads((vit / "image_converter.json").read_text())
    converter["config"]["scale"] = LAMBDA
    folder = changed(vit, tmp_path / "preset", converter=converter)
    with pytest.raises(SsahError, match="it names the class 'Lambda'"):
        open_preset(str(folder))


@pytest.fixture(scope="module")
def saved(vit, tmp_path_factory):
    """A saved encoder; whatever uses it leaves it as it is."""
    path = tmp_path_factory.mktemp("saved") / "hnet.keras"
    hnet = HNet(KerasHub(str(vit)), 12)
    hnet.build((None, 32, 32, 3))
    hnet.save(path)
    return path


@pytest.mark.parametrize("name", FOREIGN)
def test_a_saved_encoder_names_no_foreign_class(saved, tmp_path, name, monkeypatch):
    with zipfile.ZipFile(saved) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    known = config["config"]["backbone"]["config"]["saved"]
    assert known["network"]["registered_name"] == "keras_hub>ViTBackbone"
    known["network"] = FOREIGN[name]
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(tmp_path / "evil.keras", "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("it was asked"))
    with pytest.raises(RunError, match="it names the class"):
        load_hnet(tmp_path / "evil.keras")


def test_a_saved_encoder_reads_no_preset(vit, tmp_path):
    config = built(vit).get_config() | {"preset": str(vit), "saved": {}}
    with pytest.raises(ValueError, match="has no network"):
        KerasHub.from_config(config)


@pytest.mark.parametrize("cut", [0, 20_000])
def test_truncated_weights(vit, tmp_path, cut):
    folder = shutil.copytree(vit, tmp_path / "preset")
    os.truncate(folder / "model.weights.h5", cut)
    with pytest.raises(SsahError, match=r"model\.weights\.h5: (weights that|not the weights)"):
        built(folder)


def test_weights_that_cannot_be_taken(vit, dinov2, tmp_path):
    folder = shutil.copytree(vit, tmp_path / "link")
    with h5py.File(folder / "model.weights.h5", "r+") as file:
        file["extra"] = h5py.ExternalLink("/etc/passwd", "x")
    with pytest.raises(SsahError, match="'extra' points out of the file"):
        built(folder)
    shutil.copy(dinov2 / "model.weights.h5", folder / "model.weights.h5")
    with pytest.raises(SsahError, match="not the weights of its network"):
        built(folder)
    (folder / "model.weights.h5").unlink()
    with pytest.raises(SsahError, match=r"neither model\.weights\.h5 nor model\.weights\.json"):
        built(folder)
    (folder / "model.weights.json").write_text('{"weight_map": {"a": ["../other.weights.h5"]}}')
    with pytest.raises(SsahError, match="names a file outside of its folder"):
        built(folder)


@pytest.mark.slow
def test_weights_in_several_files(vit, tmp_path):
    folder = shutil.copytree(vit, tmp_path / "preset")
    (folder / "model.weights.h5").unlink()
    network = keras_hub.models.Backbone.from_preset(str(vit))
    network.save_weights(folder / "model.weights.json", max_shard_size=2.6e-5)
    assert len(list(folder.glob("model_*.weights.h5"))) > 1
    np.testing.assert_array_equal(built(folder)(IMAGES), built(vit)(IMAGES))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"config": None}, r"config\.json: not a preset of KerasHub \(.*No such file"),
        ({"config": "{"}, r"config\.json: not a preset of KerasHub"),
        ({"config": "[]"}, r"config\.json: not a preset of KerasHub \(not a mapping\)"),
        ({"config": {"model_type": "dinov2"}}, "of another library; write it anew with KerasHub"),
        ({"converter": None}, r"no image_converter\.json says how the network wants its pixels"),
        ({"converter": "{"}, r"image_converter\.json: the preprocessing cannot be read"),
        ({"converter": {}}, "cannot be read .it names no image converter of KerasHub"),
    ],
)
def test_damaged_presets(vit, tmp_path, files, message):
    folder = changed(vit, tmp_path / "preset", **files)
    with pytest.raises(SsahError, match=message) as caught:
        open_preset(str(folder))
    assert "\n" not in str(caught.value)


def test_arguments_that_make_no_network(vit, tmp_path):
    folder = changed(vit, tmp_path / "preset", config=config_of(vit, num_layers="many"))
    with pytest.raises(ValueError, match="ViTBackbone cannot be made for 32 px"):
        built(folder)


def test_a_preset_of_texts(tmp_path):
    presets.save_preset(tmp_path, presets.bert())
    with pytest.raises(SsahError, match="a BertBackbone is no backbone for images"):
        open_preset(str(tmp_path))


def test_outputs_that_are_no_feature_vector(vit):
    backbone = built(vit)
    for shape in ((3,), (3, 2, 4, 4, 8)):
        with pytest.raises(ValueError, match="gives no feature vector, map or tokens"):
            backbone.vector(keras.ops.zeros(shape))
    for shape in ((3, 8), (3, 4, 4, 8)):
        with pytest.raises(ValueError, match="pool: ViTBackbone gives no tokens"):
            built(vit, pool="class").vector(keras.ops.zeros(shape))


def test_networks_that_cannot_be_a_backbone(vit, monkeypatch):
    network = built(vit).network
    monkeypatch.setattr(module, "LARGEST", 10_000)
    with pytest.raises(
        ValueError, match=r"ViTBackbone has .* GB of weights, more than the 0\.0 GB"
    ):
        module.check_network(network)
    for shapes in ([(3, 32, 32)], [(32, 32, 3), (5,)]):
        inputs = [keras.Input(shape) for shape in shapes]
        other = keras.Model(inputs, [keras.ops.mean(x) for x in inputs])
        with pytest.raises(ValueError, match="not images of three channels, channels last"):
            module.check_network(other)


def test_unknown_names_and_no_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        SsahError, match=r"has no preset 'dinov2_smal', .* did you mean dinov2_small"
    ):
        KerasHub("dinov2_smal")
    with pytest.raises(SsahError, match=r"see https://keras\.io/keras_hub/presets"):
        KerasHub("./xyz")
    with pytest.raises(SsahError, match="name the preset, keras_hub:PRESET"):
        KerasHub("")

    def offline(*_, **__):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr("keras_hub.src.utils.preset_utils.get_file", offline)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_: pytest.fail("not asked"))
    with pytest.raises(SsahError) as caught:
        KerasHub("dinov2_small")
    assert str(caught.value) == (
        "model.backbone: preset dinov2_small cannot be downloaded (ConnectionError: no route); "
        "give the folder of one: keras_hub:FOLDER"
    )


def test_hugging_face_is_not_tried_for_half_a_minute(monkeypatch):
    def unresolved(*_):
        raise OSError("Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unresolved)
    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr(
        "keras_hub.src.utils.preset_utils.get_file", lambda *_: pytest.fail("it was tried")
    )
    with pytest.raises(SsahError, match=r"cannot be downloaded \(Name or service not known\)"):
        KerasHub("hf://somebody/something")


def test_without_the_extra(vit, saved, monkeypatch):
    monkeypatch.setattr(keras_hub_preset.importlib.metadata, "version", lambda _: "0.31.1")
    with pytest.raises(SsahError, match=r"needs KerasHub 0\.32 or newer, found 0\.31\.1"):
        KerasHub(str(vit))
    monkeypatch.setattr(keras_hub_preset.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SsahError) as caught:
        load_hnet(saved)
    assert str(caught.value) == f"{saved} needs KerasHub: pip install 'ssah-tf[hub]'"
    with pytest.raises(SsahError, match=r"^model\.backbone keras_hub:.* needs KerasHub: pip"):
        KerasHub(str(vit))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "max"}, "pool must be one of auto, class, mean, both"),
        ({"weights": "imagenet"}, "weights must be one of preset, none"),
        ({"trainable": 1}, "trainable must be true or false"),
    ],
)
def test_options(vit, options, message):
    with pytest.raises(ValueError, match=message):
        KerasHub(str(vit), **options)
