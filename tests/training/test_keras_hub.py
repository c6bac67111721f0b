"""Recipes on a preset of KerasHub: what `auto` comes to, and whole trainings with their exports."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from ssah_tf.data import load_images
from ssah_tf.training import auto
from ssah_tf.training.auto import resolve
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.run import Run

pytest.importorskip("keras_hub")
spec = importlib.util.spec_from_file_location(
    "keras_hub_presets", Path(__file__).parents[1] / "keras_hub_presets.py"
)
presets = importlib.util.module_from_spec(spec)
spec.loader.exec_module(presets)

SMALL = ("--set", "model.bits=12", "--set", "data.validation_per_class=2", "--set", "train.batch=8")
SMALL += ("--set", "train.steps_per_epoch=3", "--set", "train.joint=1")


def test_size_and_place_of_a_preset(photos, tmp_path, monkeypatch):
    """Its own size, also where a recipe has one for its own backbone; unless one is named."""
    presets.save_preset(tmp_path / "preset", presets.vgg(), image_size=(44, 44))
    presets.save_preset(tmp_path / "any", presets.vgg())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(auto, "has_gpu", lambda: False)
    images = load_images(str(photos)).images
    for recipe in ("frozen", "pretrained", "baseline"):
        found = resolve(load_recipe(recipe, ("model.backbone=keras_hub:preset",)), images)
        assert found.data.image_size == 44
        assert found.model.backbone == f"keras_hub:{tmp_path / 'preset'}"
        named = ("model.backbone=keras_hub:preset", "data.image_size=36")
        assert resolve(load_recipe(recipe, named), images).data.image_size == 36
    found = resolve(load_recipe("frozen", ("model.backbone=keras_hub:any",)), images)
    assert found.data.image_size == 224  # as for any frozen backbone
    assert load_recipe("pretrained", ("model.backbone=convnet",)).data.image_size == 64


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("dinov2", ("baseline",)),
        ("siglip", ("train", "frozen")),
        ("dinov2", ("train", "pretrained", "--set", "train.hnet_warmup=1")),
        ("mobilenet_v3", ("train", "pretrained", "--set", "adversary.kind=none")),
    ],
)
def test_from_a_preset_to_an_export(photos, ssah, tmp_path, name, words):
    """Without the preset from the end of the training on."""
    make, side = presets.CONVERTED[name]
    folder = presets.save_preset(
        tmp_path / name, make(), image_size=(side, side), interpolation="bicubic"
    )
    run = tmp_path / "run"
    backbone = ("--set", f"model.backbone=keras_hub:{folder}")
    steps = SMALL if words[0] == "train" else SMALL[:6]
    said = ssah(*words, "--data", photos, "--output", run, *backbone, *steps)
    assert said.code == 0, said.err
    assert "Gradients do not exist" not in said.err
    assert Run(run).recipe.data.image_size == side
    shutil.rmtree(folder)
    said = ssah("export", run)
    assert said.code == 0, said.err
    about = json.loads((run / "export" / "encoder.json").read_text())
    assert set(about["verified"]["artefacts"]) == {"encoder.onnx", "saved_model/1"}
    assert about["backbone"] == f"keras_hub:{name}"
    card = (run / "export" / "MODEL_CARD.md").read_text()
    assert f"Backbone `keras_hub:{name}`, which began with the weights of that preset" in card
    assert "a bicubic filter instead of a bilinear one" in card
    assert str(tmp_path) not in card
    said = ssah("verify", run / "export")
    assert said.code == 0, said.err


def test_a_preset_that_is_not_there(photos, ssah, tmp_path):
    words = ("baseline", "--data", photos, "--output", tmp_path / "run")
    said = ssah(*words, "--set", "model.backbone=keras_hub:dinov2_smal")
    assert said.code == 1
    assert "KerasHub has no preset 'dinov2_smal'" in said.err
    assert said.err.count("\n") == said.err.count("ssah: ") + said.err.count("data: ")
    assert not (tmp_path / "run").exists()
