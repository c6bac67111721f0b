"""Codes have no more bits than photos have directions: before features are computed, and after."""

import json

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ssah_tf.data import Split
from ssah_tf.models import HNet
from ssah_tf.system.errors import RecipeError
from ssah_tf.training.choose.begin import load
from ssah_tf.training.hash_layer.bits import as_many_as_fit, fitting_bits, most_bits
from ssah_tf.training.hash_layer.features import features_of
from ssah_tf.training.hash_layer.frozen import CachedFeatures
from ssah_tf.training.hash_layer.itq import begin_with_itq
from ssah_tf.training.measure import measure
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.run import Run
from ssah_tf.training.start import start
from ssah_tf.training.train import train

#: A backbone of chance with 64 features, and trainings of a few steps.
SMALL = (
    *("model.backbone=convnet", "model.options.width=9", "data.image_size=28"),
    *("data.validation_per_class=2", "train.steps_per_epoch=2", "train.batch=8"),
)


def folder_of(root, kinds, count=60):
    """Files of two classes, all of different contents; of so many kinds of pixels."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (kinds, 28, 28, 3), dtype=np.uint8)
    for k in range(count):
        path = root / "ab"[k % 2] / f"{k:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = PngInfo()
        text.add_text("number", str(k))
        Image.fromarray(pixels[k % kinds]).save(path, pnginfo=text)
    return root


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    """Sixty files that show eleven pictures: these differ in ten directions at most."""
    return folder_of(tmp_path_factory.mktemp("alike"), 11)


def begun(name, folder, run, *overrides):
    changes = (f"data.source={json.dumps(str(folder))}", *SMALL, *overrides)
    return start(load_recipe(name, changes), run)


def test_points_and_directions():
    assert most_bits(["a", "b", "b", "c"]) == 2
    assert most_bits(["a"]) == most_bits([]) == 1


@pytest.mark.parametrize("name", ["baseline", "frozen", "folder"])
def test_before_anything_is_computed(tmp_path, capsys, name):
    """Of 40 photos some ask and some validate; the others, less one, are the bits."""
    photos = folder_of(tmp_path / "photos", 40, 40)
    run, loaded = begun(name, photos, tmp_path / "run", "model.bits=48")
    split = run.split
    trained = len(split.labelled)
    assert trained + len(split.query) + len(split.validation) == 40
    assert Run(run.folder).recipe.model.bits == trained - 1 < 48
    said = capsys.readouterr().out
    assert f"model.bits: {trained - 1} are taken instead of 48; photos that train" in said
    assert fitting_bits(run.recipe, split, loaded.images) == trained - 1


def test_copies_and_what_needs_no_directions(tmp_path, capsys):
    photos = folder_of(tmp_path / "photos", 40, 40)
    run, loaded = begun("baseline", photos, tmp_path / "run", "model.bits=8")
    assert run.recipe.model.bits == 8
    assert "model.bits" not in capsys.readouterr().out
    ids = loaded.images.ids
    copies = Split(ids[:4], (), ids[4:6], ids[6:], ids[:4], 0, "")
    assert fitting_bits(run.recipe, copies, loaded.images) == 5
    free = load_recipe("folder", (*SMALL, "model.bits=48", "train.refit=false"))
    assert fitting_bits(free, copies, loaded.images) == 48


def test_a_choice_takes_fewer_for_all(tmp_path, capsys):
    photos = folder_of(tmp_path / "photos", 40, 40)
    changes = (f"data.source={json.dumps(str(photos))}", "model.bits=64")
    _, split, overrides = load(changes)
    assert overrides[-1] == f"model.bits={len(split.labelled) - 1}"
    assert "are taken instead of 64" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "joint"), [("baseline", 0), pytest.param("frozen", 2, marks=pytest.mark.slow)]
)
def test_after_the_features(alike, tmp_path, capsys, name, joint):
    """They are computed once; codes have the bits that there are, and so says the recipe."""
    run, loaded = begun(name, alike, tmp_path / "run", "model.bits=20", f"train.joint={joint}")
    asked = []

    def counted(*arguments):
        asked.append(arguments[2])
        return features_of(*arguments)

    train(run, loaded.images, features=counted)
    assert len(asked) == 1
    bits = Run(run.folder).recipe.model.bits
    assert bits == run.recipe.model.bits == run.encoder().bits <= 10
    assert f"model.bits: {bits} are taken instead of 20; features of the photos differ in no" in (
        capsys.readouterr().out
    )
    assert measure(run, loaded.images)["codes"]["bits"] == bits
    assert run.report_path.is_file()


@pytest.mark.slow
def test_a_training_that_begins_with_itq(alike, tmp_path, capsys):
    """Stopped and resumed, the shorter game fits its checkpoint."""
    words = ("model.bits=20", "model.hash_layer=itq", "train.hnet_warmup=1", "train.joint=1")
    run, loaded = begun("folder", alike, tmp_path / "run", *words)
    train(run, loaded.images)
    assert run.encoder().bits == Run(run.folder).recipe.model.bits <= 10
    assert "are taken instead of 20" in capsys.readouterr().out
    train(Run(run.folder), loaded.images)  # from its last checkpoint


def test_features_that_are_all_equal():
    hnet = HNet(CachedFeatures(5), 8)
    hnet.build((None, 5))
    with pytest.raises(RecipeError, match="8 bits need as many directions; the features have 0"):
        as_many_as_fit(lambda hnet: begin_with_itq(hnet, np.ones((9, 5), np.float32), 0), hnet)
