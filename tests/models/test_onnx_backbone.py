"""Networks in ONNX: which input, output and pixels; and files that cannot be used."""

import importlib.util
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from ssah_tf.models import HNet
from ssah_tf.models.backbones import onnx_backbone
from ssah_tf.models.backbones.onnx_file import self_contained
from ssah_tf.models.saved import load_hnet
from ssah_tf.system.errors import RunError, SsahError

spec = importlib.util.spec_from_file_location(
    "onnx_files", Path(__file__).parents[1] / "onnx_files.py"
)
files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(files)

PIXELS = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3)).astype(np.uint8)


def seen(path, size=32, **options):
    backbone = onnx_backbone(str(path), **options)
    backbone.build((None, size, size, 3))
    return backbone(PIXELS).numpy()


@pytest.mark.parametrize(
    ("made", "options"),
    [
        ({}, {}),
        ({"shape": ("batch", 3, 32, 32)}, {}),
        ({"shape": ("batch", "num_channels", "height", "width")}, {}),
        ({"shape": (1, 3, "h", "w")}, {}),
        ({"shape": ("batch", "h", "w", 3), "layout": "nhwc"}, {}),
        ({"shape": ("b", "p", "q", "r"), "layout": "nhwc"}, {"layout": "nhwc"}),
        ({"shape": ("b", "p", "q", "r")}, {"layout": "nchw"}),
        ({"opset": 13}, {}),
        ({"name": "images"}, {}),
        ({"outputs": ("map", "tokens", "vector")}, {}),
        ({"outputs": ("map",)}, {}),
        ({"outputs": ("classes",)}, {"output": "vector"}),
        ({"outputs": ("tokens",)}, {"pool": "mean"}),
        ({"outputs": ("mixed", "vector"), "further": ("input_ids",)}, {}),
    ],
)
def test_the_mean_of_the_map(tmp_path, made, options):
    path = files.write(tmp_path, files.network(**made))
    wanted = files.expected(PIXELS).mean(axis=(2, 3))
    assert wanted.std() > 0.05
    np.testing.assert_allclose(seen(path, **options), wanted, atol=1e-5)


def test_tokens_give_the_first(tmp_path):
    path = files.write(tmp_path, files.network(outputs=("tokens",)))
    np.testing.assert_allclose(seen(path), files.expected(PIXELS)[:, :, 0, 0], atol=1e-5)


def test_halves(tmp_path):
    path = files.write(tmp_path, files.network(kind=TensorProto.FLOAT16))
    found = seen(path)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, files.expected(PIXELS).mean(axis=(2, 3)), atol=5e-3)


def test_names_of_hugging_face_are_chosen_by(tmp_path):
    model = files.network(outputs=("map", "pooled"))
    for node in model.graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = {"map": "last_hidden_state", "pooled": "pooler_output"}.get(name, name)
    for value, name in zip(model.graph.output, ("last_hidden_state", "pooler_output"), strict=True):
        value.name = name
    path = files.write(tmp_path, model)
    np.testing.assert_allclose(seen(path), files.expected(PIXELS).mean(axis=(2, 3)), atol=1e-5)
    assert b"pooler_output" in onnx_backbone(str(path)).graph


@pytest.mark.parametrize(
    ("config", "options", "how"),
    [
        ({"do_rescale": False}, {}, {"scale": 1}),
        ({"do_normalize": False}, {}, {"mean": 0, "std": 1}),
        ({"rescale_factor": 1 / 127.5, "rescale_offset": True, "image_mean": 0.0, "image_std": 1.0},
         {}, {"scale": 1 / 127.5, "mean": 1, "std": 1}),
        ({}, {"image_mean": 0.25, "image_std": [0.5, 0.6, 0.7]},
         {"mean": 0.25, "std": [0.5, 0.6, 0.7]}),
        ({}, {"rescale_factor": 0.01}, {"scale": 0.01}),
    ],
)  # fmt: skip
def test_preprocessing(tmp_path, config, options, how):
    path = files.write(tmp_path, config={**files.CONFIG, **config})
    wanted = files.expected(PIXELS, **how).mean(axis=(2, 3))
    np.testing.assert_allclose(seen(path, **options), wanted, rtol=1e-4, atol=1e-5)


def test_preprocessing_by_options_alone(tmp_path):
    path = files.write(tmp_path, config=None)
    found = seen(path, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.25, 0.3])
    np.testing.assert_allclose(found, files.expected(PIXELS).mean(axis=(2, 3)), atol=1e-5)


@pytest.mark.parametrize("by_file", [True, False])
def test_blue_first(tmp_path, by_file):
    path = files.write(tmp_path, config={**files.CONFIG, "do_flip_channel_order": by_file})
    found = seen(path, **({} if by_file else {"channel_order": "bgr"}))
    wanted = files.expected(PIXELS[..., ::-1]).mean(axis=(2, 3))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    backbone = onnx_backbone(str(path), channel_order="bgr")
    np.testing.assert_allclose(backbone.mean, [255 * 0.3, 255 * 0.4, 255 * 0.5])


def test_what_is_asked_for_and_not_done(tmp_path):
    config = {
        **files.CONFIG,
        "do_center_crop": True,
        "size": {"shortest_edge": 36},
        "crop_size": 32,
        "resample": 3,
    }
    backbone = onnx_backbone(str(files.write(tmp_path / "a", config=config)))
    assert backbone.made_for == 32
    assert backbone.asks == (
        "the shorter side resized to 36 px, then 32 px cut out",
        "a bicubic filter instead of a bilinear one",
    )
    plain = onnx_backbone(str(files.write(tmp_path / "b")))
    assert plain.asks == ("the whole photo resized to 32 x 32 px, whatever its shape",)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("{", "the preprocessing cannot be read"),
        ("[]", "not a mapping"),
        ({"do_normalize": True}, "image_mean is missing"),
        ({"image_mean": [1, 2], "image_std": 1}, "image_mean must have 3 numbers"),
        ({"image_mean": 0, "image_std": [1, 0, 1]}, "image_std must be a number above 0"),
        ({"image_mean": 0, "image_std": 1, "rescale_factor": "x"}, "rescale_factor must be"),
        ({"image_mean": 0, "image_std": 1, "size": "large"}, "size is neither"),
        (None, "no preprocessor_config.json says how the network wants its pixels"),
    ],
)
def test_preprocessing_that_cannot_be_read(tmp_path, config, reason):
    with pytest.raises(SsahError, match=reason):
        onnx_backbone(str(files.write(tmp_path, config=config)))


@pytest.mark.parametrize(
    ("made", "options", "reason"),
    [
        ({"outputs": ("classes",)}, {}, "classes is the output of Softmax, no features"),
        ({"outputs": ("total",)}, {}, "no output is a feature vector of each image"),
        ({"outputs": ("flat",)}, {}, "3 images at once do not give what each gives alone"),
        ({"outputs": ("map", "pooled")}, {}, "several outputs could be taken"),
        ({"outputs": ("mixed",), "further": ("input_ids",)}, {}, "it also wants input_ids"),
        ({}, {"output": "none"}, "it has no value 'none'; its outputs: vector"),
        ({}, {"layout": "chwn"}, "layout must be one of auto, nchw, nhwc"),
        ({}, {"pool": "max"}, "pool must be one of auto, class, mean"),
        ({}, {"channel_order": "grb"}, "channel_order must be one of rgb, bgr"),
        ({"shape": ("b", "p", "q", "r")}, {}, "does not say where the channels are"),
        ({"shape": ("b", 3, 32, 48)}, {}, "images of 32 x 48 px, ours are squares"),
        ({"shape": ("b", 3, "q")}, {}, "does not say where|channels"),
        ({}, {"sha256": "0" * 64}, "not the file that this run began with"),
    ],
)
def test_networks_that_cannot_be_used(tmp_path, made, options, reason):
    path = files.write(tmp_path, files.network(**made))
    with pytest.raises(SsahError, match=reason) as caught:
        onnx_backbone(str(path), **options)
    assert len(str(caught.value).splitlines()) == 1


def test_size_that_the_network_does_not_take(tmp_path):
    path = files.write(tmp_path, files.network(shape=("batch", 3, 32, 32)))
    with pytest.raises(ValueError, match=r"takes images of 32 px alone\. Received: 48 px"):
        onnx_backbone(str(path)).build((None, 48, 48, 3))


def test_files_that_are_none(tmp_path):
    path = files.write(tmp_path)
    whole = path.read_bytes()
    for content in (b"", b"photo", whole[: len(whole) // 2], whole[:-40]):
        path.write_bytes(content)
        with pytest.raises(SsahError, match=r"net\.onnx: not a whole ONNX file, perhaps cut off"):
            onnx_backbone(str(path))
    with pytest.raises(SsahError, match="no such file"):
        onnx_backbone(str(tmp_path / "none.onnx"))
    with pytest.raises(SsahError, match="name the file, onnx:FILE"):
        onnx_backbone()


def test_newer_than_what_is_installed(tmp_path):
    model = files.network()
    model.opset_import[0].version = 99
    with pytest.raises(SsahError, match=r"of opset 99, onnx .* pip install --upgrade onnx"):
        onnx_backbone(str(files.write(tmp_path, model)))
    model = files.network()
    model.ir_version = 99
    with pytest.raises(SsahError, match=r"of format 99, onnx .* pip install --upgrade onnx"):
        onnx_backbone(str(files.write(tmp_path, model)))


OUTSIDE = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0}


def test_weights_in_a_file_beside(tmp_path):
    plain = onnx_backbone(str(files.write(tmp_path / "plain")))
    path = files.write(tmp_path / "a", **OUTSIDE)
    backbone = onnx_backbone(str(path))
    assert backbone.graph == plain.graph
    self_contained(backbone.graph)
    (tmp_path / "a" / "net.data").write_bytes(b"1")
    with pytest.raises(SsahError, match="not a whole ONNX file"):
        onnx_backbone(str(path))
    (tmp_path / "a" / "net.data").unlink()
    with pytest.raises(SsahError, match=r"its weights are missing: put 'net\.data' beside it"):
        onnx_backbone(str(path))


@pytest.mark.parametrize("kind", ["parent", "absolute", "link"])
def test_weights_outside_of_the_folder(tmp_path, kind):
    path = files.write(tmp_path / "a", **OUTSIDE)
    secret = tmp_path / "net.data"
    (tmp_path / "a" / "net.data").rename(secret)
    place = {"parent": "../net.data", "absolute": str(secret), "link": "net.data"}[kind]
    if kind == "link":
        (tmp_path / "a" / "net.data").symlink_to(secret)
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = place
    path.write_bytes(model.SerializeToString())
    with pytest.raises(SsahError, match="its weights lie outside its folder"):
        onnx_backbone(str(path))


@pytest.fixture
def saved(tmp_path):
    """A saved encoder whose ONNX file is gone."""
    path = files.write(tmp_path / "net")
    hnet = HNet(onnx_backbone(str(path)), 12)
    hnet.build((None, 32, 32, 3))
    hnet.save(tmp_path / "model.keras")
    path.unlink()
    return hnet, tmp_path / "model.keras"


def test_a_saved_encoder_needs_no_other_file(saved):
    hnet, path = saved
    loaded = load_hnet(path)
    np.testing.assert_array_equal(loaded(PIXELS), hnet(PIXELS))
    assert loaded.backbone.get_config() == hnet.backbone.get_config()
    assert not hnet.backbone.trainable_variables
    assert not hnet.backbone.variables


def test_a_saved_encoder_with_another_network(saved, tmp_path):
    """Swapped, cut, or with weights in another file: refused."""
    _, path = saved
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (place,) = [name for name in parts if name.endswith("network.onnx")]
    other = files.write(tmp_path / "other", files.network(outputs=("tokens",)))
    elsewhere = files.write(tmp_path / "elsewhere", **OUTSIDE)
    swapped = onnx_backbone(str(other)).graph
    for content in (swapped, parts[place][:-50], elsewhere.read_bytes()):
        with zipfile.ZipFile(tmp_path / "hostile.keras", "w") as archive:
            for name, value in (parts | {place: content}).items():
                archive.writestr(name, value)
        with pytest.raises(RunError, match=r"not a saved encoder .*OnnxBackbone"):
            load_hnet(tmp_path / "hostile.keras")


def test_options_name_all_that_was_found(tmp_path):
    from ssah_tf.models.backbones.onnx_network import read_network

    path = files.write(tmp_path, files.network(outputs=("map", "vector")))
    first = read_network(path)
    (tmp_path / "preprocessor_config.json").unlink()
    again = read_network(path, **first.options())
    assert again.graph == first.graph
    assert json.dumps(first.options())
    assert first.options()["output"] == "vector"
