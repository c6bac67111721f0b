"""A backbone in ONNX from the command to the export: one file, with the codes of the run."""

import importlib.util
import json
import sys
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
import tf2onnx
from sklearn.datasets import load_sample_images

from ssah_tf import Encoder
from ssah_tf.data import load_fashion
from ssah_tf.export.export import export
from ssah_tf.export.graph import encoder_function
from ssah_tf.export.hash_layer import with_hash_layer
from ssah_tf.export.identity import model_id
from ssah_tf.export.verify import UNDECIDED, verify
from ssah_tf.metrics import evaluate_retrieval
from ssah_tf.models import HNet
from ssah_tf.models.backbones import EfficientNetLite0, onnx_backbone
from ssah_tf.system.errors import RecipeError, SsahError
from ssah_tf.system.onnx_session import open_session
from ssah_tf.training.batch_statistics import take_statistics
from ssah_tf.training.evaluate import evaluate
from ssah_tf.training.hash_layer.frozen import CachedFeatures, train_on_features
from ssah_tf.training.hash_layer.itq import begin_with_itq
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.run import Run
from ssah_tf.training.start import start
from ssah_tf.training.train import train

spec = importlib.util.spec_from_file_location(
    "onnx_files", Path(__file__).parents[1] / "onnx_files.py"
)
files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(files)

SMALL = ("data.source=fashion", "data.protocol=n-per-class", "data.labelled_per_class=6",
         "data.validation_per_class=2", "data.query_per_class=10", "model.bits=12",
         "train.joint=2", "train.steps_per_epoch=4", "train.batch=16")  # fmt: skip


@pytest.fixture(scope="module")
def lite0(tmp_path_factory):
    """Lite0 with its ImageNet weights: natively, and as an ONNX file beside its configuration."""
    backbone = EfficientNetLite0()
    backbone.build((None, 64, 64, 3))
    signature = [tf.TensorSpec((None, None, None, 3), tf.float32, "pixel_values")]

    @tf.function(input_signature=signature)
    def features(pixel_values):
        return {"pooler_output": backbone.features(pixel_values, False)}

    model, _ = tf2onnx.convert.from_function(features, input_signature=signature, opset=17)
    path = files.write(
        tmp_path_factory.mktemp("lite0"),
        model,
        {"rescale_factor": 1 / 255, "image_mean": 127 / 255, "image_std": 128 / 255, "size": 64},
    )
    return backbone, path


@pytest.mark.slow
def test_codes_are_those_of_the_native_network(lite0):
    """With one hash layer, but for bits whose logit is 0 but for rounding; photos and clothes."""
    native, path = lite0
    pixels = load_fashion().read(np.arange(200), 64)
    photos = [p[y : y + 64, x : x + 64] for p in load_sample_images().images
              for y in range(0, 360, 60) for x in range(0, 570, 60)]  # fmt: skip
    pixels = np.concatenate([pixels, photos])
    hnets = [HNet(backbone, 48) for backbone in (native, onnx_backbone(str(path)))]
    for hnet in hnets:
        hnet.build((None, 64, 64, 3))
    features = np.concatenate([native(part).numpy() for part in np.split(pixels, 8)])
    for hnet in hnets:
        begin_with_itq(hnet, features, 0)
    logits, other = (hnet.logits(pixels).numpy() for hnet in hnets)
    assert logits.std() > 0.5
    decided = np.abs(logits) >= UNDECIDED
    assert decided.mean() > 0.999
    np.testing.assert_array_equal((logits >= 0)[decided], (other >= 0)[decided])
    assert model_id(hnets[0], 64) != model_id(hnets[1], 64)


@pytest.mark.slow
def test_trained_anew_as_good_as_the_native_network(lite0):
    """Mean mAP of three seeds differs by less than the seeds do."""
    recipe = load_recipe(
        "frozen", ("train.joint=3", "model.bits=24", "train.batch=32", "train.steps_per_epoch=30")
    )
    images = load_fashion()
    pixels, labels = images.read(np.arange(800), 64), images.labels[:800]
    found = []
    for backbone in (lite0[0], onnx_backbone(str(lite0[1]))):
        features = np.concatenate([backbone(part).numpy() for part in np.split(pixels, 8)])
        scores = []
        for seed in range(3):
            keras.utils.set_random_seed(seed)
            hnet = HNet(CachedFeatures(features.shape[1]), 24)
            hnet.build((None, features.shape[1]))
            train_on_features(
                hnet, recipe.model_copy(update={"seed": seed}), features[200:], labels[200:300]
            )
            codes = hnet.encode([features])
            scores.append(
                evaluate_retrieval(
                    codes[:200], labels[:200], codes[200:], labels[200:], 24, cutoffs=(),
                    n_bootstrap=0,
                ).map_tie_aware
            )  # fmt: skip
        found.append(scores)
    native, other = np.array(found)
    assert native.min() > 0.4
    assert abs(native.mean() - other.mean()) < max(native.std(), other.std()), found


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run on a small network in ONNX, whose file is gone afterwards."""
    folder = tmp_path_factory.mktemp("onnx")
    config = {**files.CONFIG, "resample": 3}
    path = files.write(folder / "net", config=config)
    recipe = load_recipe("frozen", (*SMALL, f"model.backbone='onnx:{path}'"))
    run, loaded = start(recipe, folder / "run")
    train(run, loaded.images)
    evaluate(run, loaded.images)
    path.unlink()
    return Run(folder / "run"), path


def test_the_recipe_names_one_file_for_ever(trained):
    run, path = trained
    assert run.recipe.data.image_size == 32  # what its configuration says
    assert run.recipe.model.backbone == f"onnx:{path}"
    options = run.recipe.model.options
    assert options["image_mean"] == [0.5, 0.4, 0.3]
    assert len(options["sha256"]) == 64
    assert "vector" in options["output"]


def test_export_is_one_file_with_equal_codes(trained, tmp_path):
    run, _ = trained
    images = load_fashion()
    about = export(run, images, tmp_path / "out", int8=True, force=True)
    assert about["verified"]["artefacts"] == {"encoder.onnx": 0}
    assert about["verified"]["images"] > 1000
    assert about["opset"] == 17
    assert about["backbone"] == "onnx:net.onnx"
    assert not (tmp_path / "out" / "saved_model").exists()
    assert verify(tmp_path / "out")["verified"]["artefacts"] == {"encoder.onnx": 0}
    model = onnx.load(tmp_path / "out" / "encoder.onnx")
    assert not [t for t in model.graph.initializer if t.external_data]
    pixels = images.read(np.arange(100), 32)
    hnet, encoder = run.encoder(), Encoder.load(tmp_path / "out")
    np.testing.assert_array_equal(encoder.encode(pixels), hnet.encode([pixels]))
    np.testing.assert_allclose(encoder.logits(pixels), hnet.logits(pixels), atol=1e-5)
    assert encoder.model_id == model_id(hnet, 32)
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text()
    assert "There is no SavedModel: the backbone is an ONNX file" in card
    assert "asks for the whole photo resized to 32 x 32 px" in card
    assert "a bicubic filter instead of a bilinear one" in card
    assert "weights of `net.onnx`: their licence goes with this encoder" in card
    assert "It gave the codes of the trained encoder" in card


@pytest.mark.parametrize("bits", [1, 8, 12, 63])
def test_packed_like_packbits(tmp_path, bits):
    hnet = HNet(onnx_backbone(str(files.write(tmp_path))), bits)
    hnet.build((None, 32, 32, 3))
    pixels = load_fashion().read(np.arange(40), 32)
    take_statistics(hnet, [pixels])
    model = with_hash_layer(hnet, 32)
    onnx.checker.check_model(model, full_check=True)
    codes, logits = open_session(model.SerializeToString()).run(
        ["codes", "logits"], {"images": pixels}
    )
    np.testing.assert_array_equal(codes, np.packbits(logits >= 0, axis=1))
    np.testing.assert_allclose(logits, encoder_function(hnet, 32)(pixels)["logits"], atol=1e-5)


def test_another_file_in_its_place(tmp_path):
    path = files.write(tmp_path / "net")
    recipe = load_recipe("baseline", (*SMALL[:-3], f"model.backbone='onnx:{path}'"))
    run, loaded = start(recipe, tmp_path / "run")
    model = files.network()
    model.doc_string = "changed"
    files.write(tmp_path / "net", model)
    with pytest.raises(SsahError, match="not the file that this run began with"):
        train(run, loaded.images)


@pytest.mark.parametrize(
    ("recipe", "changes", "reason"),
    [
        ("pretrained", (), "an ONNX file is not trained: take the recipe frozen or baseline"),
        ("frozen", ("model.options={width: 3}",), "onnx has no option 'width'"),
        ("frozen", ("model.options={output: x}",), "it has no value 'x'"),
    ],
)
def test_refused_before_there_is_a_run(tmp_path, recipe, changes, reason):
    path = files.write(tmp_path / "net")
    chosen = load_recipe(recipe, (*SMALL[:5], f"model.backbone='onnx:{path}'", *changes))
    with pytest.raises((RecipeError, SsahError), match=reason):
        start(chosen, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_commands(tmp_path, monkeypatch, capsys):
    """`ssah baseline` on a file named relative to here, and `ssah export` without a SavedModel."""
    from ssah_tf.cli import app as cli

    files.write(tmp_path / "net")
    monkeypatch.chdir(tmp_path)
    for words in (
        ["baseline", "--data", "fashion", "--output", "run", "--set",
         "model.backbone=onnx:net/net.onnx", *[w for s in SMALL[1:6] for w in ("--set", s)]],
        ["export", "run"],
    ):  # fmt: skip
        monkeypatch.setattr(sys, "argv", ["ssah", *words])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        assert caught.value.code == 0, err
    assert "no SavedModel: the backbone is an ONNX file, which TensorFlow cannot run" in err
    assert "0 of" in out
    manifest = json.loads((tmp_path / "run" / "export" / "encoder.json").read_bytes())
    assert manifest["saved_model"].startswith("the backbone is an ONNX file")
    monkeypatch.setattr(sys, "argv", ["ssah", "export", "run", "--opset", "18"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    err = capsys.readouterr().err
    assert (caught.value.code, err) == (
        1,
        "ssah: --opset has no effect: that of the backbone's file is kept\n",
    )
