"""A frozen backbone: PCA, rotation and signs; a hash layer trained on its features."""

import numpy as np
import pytest

from ssah_tf.metrics import evaluate_retrieval
from ssah_tf.models import HNet
from ssah_tf.system.errors import RecipeError
from ssah_tf.training.hash_layer import frozen
from ssah_tf.training.hash_layer.frozen import CachedFeatures, train_on_features
from ssah_tf.training.hash_layer.itq import TooManyBits, begin_with_itq, itq
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.run import Run


def test_itq_keeps_neighbours_and_loses_less_than_pca(rng):
    """Directions are orthonormal; signs are nearer to the rotated values than to PCA's own."""
    basis = rng.normal(size=(40, 40)) * np.linspace(3, 0.1, 40)[:, None]
    features = rng.normal(size=(2000, 40)) @ basis + 5
    directions, mean = itq(features, 16)
    np.testing.assert_allclose(mean, features.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(directions.T @ directions, np.eye(16), atol=1e-4)
    _, vectors = np.linalg.eigh(np.cov(features.T))
    principal = vectors[:, ::-1][:, :16]
    # The same subspace.
    np.testing.assert_allclose(principal @ principal.T, directions @ directions.T, atol=1e-3)
    centred = features - mean

    def lost(turned):
        scale = np.abs(turned).mean()
        return ((turned - scale * np.sign(turned)) ** 2).mean()

    assert lost(centred @ directions) < lost(centred @ principal)


def test_more_bits_than_directions(rng):
    features = rng.normal(size=(100, 5)) @ rng.normal(size=(5, 30))
    assert itq(features, 5)[0].shape == (30, 5)
    with pytest.raises(TooManyBits, match="6 bits need as many directions; the features have 5"):
        itq(features, 6)


def test_few_labels_find_what_pca_cannot(rng):
    """Five classes in directions of little variance, under much that means nothing.

    Four labels a class; the images without one say where the classes lie apart.
    """
    centres = rng.normal(size=(5, 24))
    which = np.arange(500) % 5
    features = np.concatenate(
        [
            centres[which] + rng.normal(0, 0.6, (500, 24)),
            rng.normal(0, 2, (500, 12)),
        ],
        axis=1,
    ).astype(np.float32)
    labels = np.eye(5, dtype=np.uint8)[which]
    recipe = load_recipe(
        "frozen",
        ("train.joint=4", "train.batch=20", "model.bits=16", "train.steps_per_epoch=40"),
    )

    def quality(hnet):
        codes = hnet.encode([features])
        return evaluate_retrieval(
            codes[20:120], labels[20:120], codes[120:], labels[120:], 16, cutoffs=(), n_bootstrap=0
        ).map_tie_aware

    hnet = HNet(CachedFeatures(36), 16)
    hnet.build((None, 36))
    begin_with_itq(hnet, features, 0)
    before = quality(hnet)
    train_on_features(hnet, recipe, features, labels[:20])
    assert quality(hnet) > before + 0.15


def test_the_training_has_the_propagated_labels(rng, monkeypatch):
    """Images and labels stay together, the known ones first, then those that are given some."""
    which = np.arange(100) % 5
    features = (np.eye(12)[which] + rng.normal(0, 0.1, (100, 12))).astype(np.float32)
    labels = np.eye(5, dtype=np.uint8)[which]
    trainings = []

    def fit(hnet, recipe, features, labels, beside):
        trainings.append((features, labels))

    monkeypatch.setattr(frozen, "fit_on_features", fit)

    def train(labels, *overrides):
        hnet = HNet(CachedFeatures(12), 8)
        train_on_features(hnet, load_recipe("frozen", overrides), features, labels)
        return trainings.pop()

    seen, learnt = train(labels[:10], "pseudo_labels.label_propagation=0.9")
    assert 10 + 45 < len(learnt) < 100
    np.testing.assert_array_equal(learnt[:10], labels[:10])
    own = [int(np.flatnonzero((features == row).all(axis=1))[0]) for row in seen]
    assert own[:10] == list(range(10))
    assert sorted(own) == list(range(100))
    assert (learnt.argmax(axis=1) == which[own[: len(learnt)]]).mean() > 0.95
    for override in ("pseudo_labels.label_propagation=0", "adversary.kind=none"):
        seen, learnt = train(labels[:10], override)
        assert seen is features
        np.testing.assert_array_equal(learnt, labels[:10])
    assert train(labels)[0] is features  # no image without a label
    assert not trainings
    both = labels.copy()
    both[::5, 1] = 1  # images of the first class are of the second, too
    _, learnt = train(both[:25])
    np.testing.assert_array_equal(learnt[:25], both[:25])
    given = learnt[25:]
    assert (given[given[:, 0] > 0, 1] == 1).mean() > 0.9


def test_all_images_take_part_in_the_consistency(rng, monkeypatch):
    """So that the few without a label are not seen again and again."""
    seen = {}

    class Planned(Exception):
        pass

    def plan(labels, positions, unlabelled, **sizes):
        seen.update(labelled=positions, unlabelled=unlabelled)
        raise Planned

    monkeypatch.setattr(frozen, "BatchPlan", plan)
    features = rng.normal(size=(40, 12)).astype(np.float32)
    labels = np.eye(3, dtype=np.uint8)[np.arange(30) % 3]
    with pytest.raises(Planned):
        frozen.fit_on_features(HNet(CachedFeatures(12), 8), load_recipe("frozen"), features, labels)
    np.testing.assert_array_equal(seen["labelled"], np.arange(30))
    np.testing.assert_array_equal(seen["unlabelled"], np.arange(40))


def test_features_cannot_be_deformed():
    with pytest.raises(RecipeError, match=r"cached_features: features cannot be deformed"):
        load_recipe("frozen", ("adversary.kind=learned",))
    with pytest.raises(
        RecipeError, match=r"label_propagation: needs the features of a frozen backbone"
    ):
        load_recipe("fashion", ("pseudo_labels.label_propagation=0.5",))


#: The photos are few and small.
SMALL = ("--set", "data.image_size=32", "--set", "model.bits=12")
SMALL += ("--set", "data.validation_per_class=2")


def map_of(said):
    """The number that a command printed."""
    return float(said.out.split("mAP@all, tie-aware")[1].split()[0])


@pytest.mark.slow
def test_baseline(photos, ssah, tmp_path):
    """A folder becomes a run with numbers, a report and an encoder like any other."""
    run = tmp_path / "run"
    said = ssah("baseline", "--data", photos, "--output", run, *SMALL)
    assert said.code == 0, said.err
    assert map_of(said) > 0.8  # colours are easy, even for signs of what ImageNet taught
    assert (run / "report.html").is_file()
    assert Run(run).encoder().bits == 12
    words = ("baseline", "--data", photos, "--output")
    said = ssah(*words, tmp_path / "many", "--set", "model.bits=300")
    assert said.code == 0, said.err
    assert "are taken instead of 300" in said.out
    assert Run(tmp_path / "many").encoder().bits < 60
    said = ssah(*words, tmp_path / "small", "--set", "data.image_size=28")
    assert said.code == 1
    assert "EfficientNetLite0 takes images of 32 px or more" in said.err


@pytest.mark.slow
def test_training_on_features(photos, ssah, tmp_path):
    """Killed before it had an encoder, it begins again, and ends alike."""
    run = tmp_path / "run"
    small = (*SMALL, "--set", "train.steps_per_epoch=4", "--set", "train.batch=16")
    said = ssah("train", "frozen", "--data", photos, "--output", run, *small)
    assert said.code == 0, said.err
    assert "epoch  20/20  joint" in said.out
    found = map_of(said)
    assert found > 0.95
    assert Run(run).encoder().bits == 12
    (run / "model.keras").unlink()
    said = ssah("train", "--resume", run)
    assert said.code == 0, said.err
    assert map_of(said) == found
