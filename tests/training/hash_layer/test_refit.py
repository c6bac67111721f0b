"""The hash layer anew, by all labels, on a backbone that is done."""

from dataclasses import replace

import numpy as np
import pytest

from ssah_tf.models import HNet
from ssah_tf.training.hash_layer.features import features_of, training_positions
from ssah_tf.training.hash_layer.refit import refit_hash_layer, refit_recipe
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.run import Run
from ssah_tf.training.start import start
from ssah_tf.training.train import train

SHORT = (
    "model.options.width=16",
    "model.bits=12",
    "adversary.kind=random",
    "train.steps_per_epoch=3",
    "train.hnet_warmup=0",
    "train.joint=2",
)


def parts(encoder):
    """Weights of the backbone, and of the hash layer with its normalisation."""
    layer = [*encoder.hash_layer.get_weights(), *encoder.hash_norm.get_weights()]
    return encoder.backbone.get_weights(), layer


def weights(run):
    """See `parts`."""
    return parts(run.encoder())


def refitted(run, images):
    """The encoder of a run after one more refit."""
    encoder = run.encoder()
    positions = training_positions(run.split, images)
    features = features_of(encoder, images, positions, run.recipe.data.image_size)
    refit_hash_layer(encoder, run, features, images)
    return encoder


def same(one, other):
    """Whether all arrays are equal."""
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def trained(folder, *overrides):
    """A run of two short epochs, and its images."""
    run, loaded = start(load_recipe("fashion", (*SHORT, *overrides)), folder)
    train(run, loaded.images)
    return run, loaded.images


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same training without and with its last step."""
    folder = tmp_path_factory.mktemp("refit")
    return trained(folder / "without", "train.refit=false"), trained(folder / "with")


@pytest.mark.slow
def test_the_backbone_stays_and_the_layer_is_another(runs):
    (without, _), (refitted, _) = runs
    (backbone, layer), (same_backbone, other_layer) = weights(without), weights(refitted)
    assert same(backbone, same_backbone)
    assert not np.allclose(layer[0], other_layer[0])


@pytest.mark.slow
def test_twice_is_once(runs, monkeypatch):
    """Killed after the encoder was replaced, a training that goes on leaves it as it is.

    It is loaded once and saved once.
    """
    _, (run, images) = runs
    before = weights(run)
    appearance = run.encoder().appearance_layer.get_weights()
    calls = []
    load, save = Run.encoder, HNet.save
    monkeypatch.setattr(Run, "encoder", lambda run: calls.append("load") or load(run))
    monkeypatch.setattr(HNet, "save", lambda hnet, path: calls.append("save") or save(hnet, path))
    train(run, images)
    assert calls == ["load", "save"]
    for one, other in zip(before, weights(run), strict=True):
        assert same(one, other)
    monkeypatch.undo()
    assert same(appearance, run.encoder().appearance_layer.get_weights())


@pytest.mark.slow
def test_labels_of_the_validation_images_count(runs):
    """With other labels for them alone, the layer is another."""
    _, (run, images) = runs
    own = weights(run)[1]
    labels = images.labels.copy()
    validation = images.positions(run.split.validation)
    labels[validation] = np.roll(labels[validation], 1, axis=1)
    encoder = refitted(run, replace(images, labels=labels))
    assert not same(own, parts(encoder)[1])


@pytest.mark.slow
def test_more_bits_than_directions_leave_the_layer(tmp_path, capsys):
    """The backbone has 64 features. A line says what was left out and why."""
    run, images = trained(tmp_path / "run", "model.bits=65", "train.refit=false")
    encoder = refitted(run, images)
    assert "refit: left out; model.bits: 65 bits need as many directions" in capsys.readouterr().out
    assert same(weights(run)[1], parts(encoder)[1])


@pytest.mark.parametrize(("kind", "then"), [("learned", "plain"), ("none", "none")])
def test_its_recipe(kind, then):
    """That of the run, but on features; supervised only stays so."""
    recipe = load_recipe(
        "fashion", (f"adversary.kind={kind}", "pseudo_labels.kind=adaptive", "train.batch=20")
    )
    refit = refit_recipe(recipe)
    assert refit.adversary.kind == then
    assert refit.adversary.rand_augment == 0
    assert refit.pseudo_labels.kind == "soft"
    assert (refit.model.hash_layer, refit.model.bits) == ("itq", recipe.model.bits)
    assert (refit.train.batch, refit.train.joint, refit.loss) == (20, 26, recipe.loss)
    assert refit.train.hnet == load_recipe("frozen").train.hnet
    assert refit_recipe(load_recipe("fashion", ("train.joint=0",))).train.joint == 4


@pytest.mark.slow
def test_pairs_need_no_targets(tmp_path):
    """A loss of pairs is refitted like one of targets."""
    run, images = trained(tmp_path / "run", "loss.supervised=likelihood", "train.refit=false")
    backbone, layer = weights(run)
    same_backbone, other_layer = parts(refitted(run, images))
    assert same(backbone, same_backbone)
    assert not same(layer, other_layer)
