"""Hostile `.keras` files and weights: refused before anything in them is made or read."""

import json
import os
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest

from ssah_tf.models import HNet
from ssah_tf.models.backbones import BACKBONES
from ssah_tf.models.saved import load_hnet
from ssah_tf.models.weights_file import check_weights
from ssah_tf.system.errors import RunError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A saved encoder."""
    hnet = HNet(BACKBONES["convnet"](mean=(1.0,) * 3, std=(2.0,) * 3, width=4), 12)
    hnet.build((None, 28, 28, 3))
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    hnet.save(path)
    return path


def rebuilt(source, target, change_config=lambda config: config, change_weights=None):
    """A copy of a saved encoder with another configuration or other weights."""
    with zipfile.ZipFile(source) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = change_config(json.loads(parts["config.json"]))
    parts["config.json"] = json.dumps(config).encode()
    if change_weights is not None:
        weights = target.with_suffix(".h5")
        weights.write_bytes(parts["model.weights.h5"])
        with h5py.File(weights, "r+") as file:
            change_weights(file)
        parts["model.weights.h5"] = weights.read_bytes()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return target


def test_an_honest_copy_loads(saved, tmp_path):
    copy = load_hnet(rebuilt(saved, tmp_path / "copy.keras"))
    for one, other in zip(load_hnet(saved).variables, copy.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_an_appearance_layer_comes_back(saved, tmp_path):
    """An older file has none, and says nothing of it."""
    older = load_hnet(saved)
    assert (older.appearance_bits, older.appearance_layer) == (0, None)
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(older.backbone.feature_size, 20)).astype(np.float32)
    both = older.with_appearance(kernel, np.zeros(20, np.float32))
    both.save(tmp_path / "both.keras")
    again = load_hnet(tmp_path / "both.keras")
    images = rng.integers(0, 256, (9, 28, 28, 3)).astype(np.uint8)
    assert again.appearance_bits == 20
    np.testing.assert_array_equal(again.full_codes([images]), both.full_codes([images]))
    np.testing.assert_array_equal(again.encode([images]), older.encode([images]))


def layer(name, **config):
    return {
        "module": "keras.layers",
        "class_name": name,
        "config": {"name": "x", **config},
        "registered_name": None,
    }


CLASSES = {
    "Lambda": layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wE="}}),
    "StringLookup": layer("StringLookup", vocabulary="/etc/passwd"),
    "TFSMLayer": layer("TFSMLayer", filepath="/tmp"),
    "Dense": layer("Dense", units=3),
    "system": {"module": "os", "class_name": "system", "config": {}, "registered_name": None},
    "Popen": {"module": "subprocess", "class_name": "Popen", "config": {"args": "true"}},
    "get_file": {"module": "keras.utils", "class_name": "function", "config": "get_file"},
    "HNet": {"module": "os", "class_name": "HNet", "config": {}, "registered_name": "ssah_tf>None"},
}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("place", ["root", "backbone"])
def test_no_class_but_ours(saved, tmp_path, name, place, monkeypatch):
    """Neither a layer that reads files nor one that would do no harm; Keras is not even asked."""

    def planted(config):
        if place == "root":
            return CLASSES[name]
        config["config"]["backbone"] = CLASSES[name]
        return config

    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("it was asked"))
    path = rebuilt(saved, tmp_path / "evil.keras", planted)
    with pytest.raises(RunError, match=r"not a saved encoder \(it names the class"):
        load_hnet(path)


def first_dataset(file):
    """Name and shape of one of the arrays."""
    names = []
    file.visit(names.append)
    name = next(name for name in names if isinstance(file[name], h5py.Dataset))
    return name, file[name].shape


@pytest.mark.parametrize("kind", ["external storage", "external link", "soft link", "virtual"])
def test_weights_lie_in_the_file(saved, tmp_path, kind):
    """An array of another file would end up in codes, or in a file that is handed on."""
    secret = tmp_path / "secret.h5"

    def planted(file):
        name, shape = first_dataset(file)
        del file[name]
        if kind == "external storage":
            (tmp_path / "secret").write_bytes(os.urandom(100_000))
            size = int(np.prod(shape)) * 4
            external = [(str(tmp_path / "secret"), 0, size)]
            file.create_dataset(name, shape, np.float32, external=external)
            return
        with h5py.File(secret, "w") as other:
            other["x"] = np.ones(shape, np.float32)
        if kind == "external link":
            file[name] = h5py.ExternalLink(str(secret), "x")
        elif kind == "soft link":
            file[name] = h5py.SoftLink("/elsewhere")
        else:
            layout = h5py.VirtualLayout(shape, np.float32)
            layout[...] = h5py.VirtualSource(str(secret), "x", shape)
            file.create_virtual_dataset(name, layout)

    path = rebuilt(saved, tmp_path / "evil.keras", change_weights=planted)
    with pytest.raises(RunError, match="points out of the file"):
        load_hnet(path)
    with pytest.raises(ValueError, match="points out of the file"):
        check_weights(path.with_suffix(".h5"))


@pytest.mark.parametrize("cut", [0, 10, 1000, 60_000])
def test_torn_files(saved, tmp_path, cut):
    shutil.copy(saved, tmp_path / "torn.keras")
    os.truncate(tmp_path / "torn.keras", cut)
    with pytest.raises(RunError, match="not a saved encoder"):
        load_hnet(tmp_path / "torn.keras")


@pytest.mark.parametrize(
    ("backbone", "option", "now"),
    [
        ("EfficientNetLite0", "frozen", "frozen_stages"),
        ("KerasApplication", "frozen", "trainable, whose values mean the opposite"),
    ],
)
def test_old_option_says_what_it_is_called_now(saved, tmp_path, backbone, option, now):
    def older(config):
        config["config"]["backbone"] |= {
            "class_name": backbone,
            "registered_name": f"ssah_tf>{backbone}",
        }
        config["config"]["backbone"]["config"][option] = 0
        return config

    path = rebuilt(saved, tmp_path / "older.keras", older)
    with pytest.raises(RunError) as caught:
        load_hnet(path)
    assert str(caught.value) == (
        f"{path}: of an older version (the option {option} of {backbone} is now called {now}); "
        "train it again"
    )
