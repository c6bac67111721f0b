"""The hash layer anew, by all labels, on a backbone that is done."""

from dataclasses import replace

import numpy as np
import pytest

from ssah_tf.training.callbacks import Stop
from ssah_tf.training.evaluate import load_encoder
from ssah_tf.training.hash_layer.refit import refit_hash_layer, refit_recipe
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.signals import StopSignals
from ssah_tf.training.train import start, train

SHORT = (
    "model.options.width=16",
    "model.bits=12",
    "adversary.kind=random",
    "train.steps_per_epoch=3",
    "train.hnet_warmup=0",
    "train.joint=2",
)


def weights(run):
    """Of the backbone, and of the hash layer with its normalisation."""
    encoder = load_encoder(run)
    layer = [*encoder.hash_layer.get_weights(), *encoder.hash_norm.get_weights()]
    return encoder.backbone.get_weights(), layer


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


def test_the_backbone_stays_and_the_layer_is_another(runs):
    (without, _), (refitted, _) = runs
    (backbone, layer), (same_backbone, other_layer) = weights(without), weights(refitted)
    assert same(backbone, same_backbone)
    assert not np.allclose(layer[0], other_layer[0])


def test_twice_is_once(runs):
    """Killed after the encoder was replaced, a training that goes on leaves it as it is."""
    _, (run, images) = runs
    before = weights(run)
    train(run, images)
    for one, other in zip(before, weights(run), strict=True):
        assert same(one, other)


def test_labels_of_the_validation_images_count(runs):
    """With other labels for them alone, the layer is another."""
    _, (run, images) = runs
    before = run.model_path.read_bytes()
    own = weights(run)[1]
    labels = images.labels.copy()
    validation = images.positions(run.split.validation)
    labels[validation] = np.roll(labels[validation], 1, axis=1)
    try:
        refit_hash_layer(run, replace(images, labels=labels), Stop(run, StopSignals(), None))
        assert not same(own, weights(run)[1])
    finally:
        run.model_path.write_bytes(before)


def test_more_bits_than_directions_leave_the_layer(tmp_path, capsys):
    """The backbone has 64 features. A line says what was left out and why."""
    run, images = trained(tmp_path / "run", "model.bits=65", "train.refit=false")
    before = weights(run)[1]
    refit_hash_layer(run, images, Stop(run, StopSignals(), None))
    assert "refit: left out; model.bits: 65 bits need as many directions" in capsys.readouterr().out
    assert same(before, weights(run)[1])


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
    refit_hash_layer(run, images, Stop(run, StopSignals(), None))
    assert same(backbone, weights(run)[0])
    assert not same(layer, weights(run)[1])
