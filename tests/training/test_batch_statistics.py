"""Statistics of batch normalisation over whole images."""

import numpy as np
import pytest

from ssah_tf.models import HNet
from ssah_tf.models.backbones.convnet import ConvNet
from ssah_tf.training.batch_statistics import recalibrate, take_statistics
from ssah_tf.training.recipe import load_recipe
from ssah_tf.training.start import start
from ssah_tf.training.train import train


@pytest.fixture
def hnet():
    net = HNet(ConvNet(width=16), 12)
    net.build((None, 28, 28, 3))
    return net


def test_mean_and_variance_are_those_of_the_images(hnet, rng):
    """With equal batches the mean of their means is the mean of all; the stem comes first."""
    images = rng.integers(0, 256, (96, 28, 28, 3), dtype=np.uint8)
    before = [v.numpy() for v in hnet.trainable_variables]
    take_statistics(hnet, [images[:32], images[32:64], images[64:]])
    inputs = hnet.hash_layer(hnet.backbone(images[:32], training=True)).numpy()
    assert inputs.shape == (32, 12)
    batches = [images[k : k + 32] for k in (0, 32, 64)]
    seen = [hnet.hash_layer(hnet.backbone(b, training=True)).numpy() for b in batches]
    mean = hnet.hash_norm.moving_mean.numpy()
    variance = hnet.hash_norm.moving_variance.numpy()
    np.testing.assert_allclose(mean, np.concatenate(seen).mean(axis=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(variance, np.mean([s.var(axis=0) for s in seen], axis=0), rtol=1e-3)
    for old, new in zip(before, hnet.trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())
    assert hnet.hash_norm.momentum == 0.9


def test_frozen_layers_keep_what_they_have(hnet, rng):
    hnet.backbone.trainable = False
    before = [v.numpy() for v in hnet.backbone.non_trainable_variables]
    take_statistics(hnet, [rng.integers(0, 256, (32, 28, 28, 3), dtype=np.uint8)])
    for old, new in zip(before, hnet.backbone.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())
    assert np.abs(hnet.hash_norm.moving_mean.numpy()).max() > 1e-3


@pytest.mark.slow
def test_a_training_ends_with_them_and_twice_is_once(tmp_path):
    """Killed after the encoder was replaced, a training that goes on leaves it as it is."""
    recipe = load_recipe(
        "fashion",
        (
            "model.options.width=16",
            "adversary.kind=none",
            "train.steps_per_epoch=3",
            "train.hnet_warmup=0",
            "train.joint=1",
        ),
    )
    run, loaded = start(recipe, tmp_path / "run")
    train(run, loaded.images)
    first = [v.numpy() for v in run.encoder().variables]
    again = run.encoder()
    recalibrate(again, run, loaded.images)
    train(run, loaded.images)
    for once, twice, anew in zip(first, run.encoder().variables, again.variables, strict=True):
        np.testing.assert_array_equal(once, twice.numpy())
        np.testing.assert_array_equal(once, anew.numpy())
