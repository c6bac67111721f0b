"""An A-Net that does the same to every image is noticed, by hand-made choices and by real ones."""

import io
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from rich.console import Console

from ssah_tf.models import ANet
from ssah_tf.training.collapse import WatchCollapse, variety


class Fixed:
    """Chooses what it is told to; 0.5 radians at most."""

    max_radians = 0.5

    def __init__(self, marks, angles):
        self.marks, self.angles = marks, angles

    def choose(self, images, seed, training):
        assert seed is None
        assert not training
        return self.marks, self.angles


def marks(*rows):
    """Marks of a grid of 2 x 2 cells."""
    return np.array(rows, np.float32).reshape(-1, 2, 2)


def test_variety_by_hand():
    """Two images, two of four cells each: no cell in common, one, both.

    Shares 1/2 everywhere: 1/4 over 1/4. One of each kind: (0 + 1/4 + 1/4 + 0) / 4 over 1/4. Shares
    0 and 1: nothing. Angles of 0.1 and 0.3 have a deviation of 0.1, a fifth of the largest.
    """
    images = np.zeros((2, 4, 4, 3), np.uint8)
    first = [1, 1, 0, 0]
    for second, expected in (([0, 0, 1, 1], 1.0), ([1, 0, 1, 0], 0.5), (first, 0.0)):
        found = variety(Fixed([marks(first, second)], np.array([0.1, 0.3])), images)
        assert found.mask == pytest.approx(expected)
        assert found.angle == pytest.approx(0.2)
    both = [marks(first, first), marks([0, 0, 1, 1], first)]
    assert variety(Fixed(both, None), images) == (pytest.approx(0.5), None)
    assert variety(Fixed([], np.array([0.2, 0.2])), images) == (None, pytest.approx(0.0))


def watched(anet, pixels):
    """What the callback logs and says after a joint epoch."""
    watch = WatchCollapse.__new__(WatchCollapse)
    text = io.StringIO()
    watch.console = Console(file=text, width=200)
    watch.sample = pixels
    watch.set_model(SimpleNamespace(stage="joint", deformer=anet, has_adversary=True))
    logs = {}
    watch.on_epoch_end(0, logs)
    watch.model.stage = "anet_warmup"
    watch.on_epoch_end(1, logs)
    return logs, text.getvalue()


def test_real_networks():
    """A fresh A-Net looks at the images; without weights behind its heads it cannot."""
    keras.utils.set_random_seed(0)
    coarse = np.random.default_rng(0).integers(0, 256, (32, 2, 2, 3), dtype=np.uint8)
    pixels = coarse.repeat(14, axis=1).repeat(14, axis=2)
    anet = ANet(28, (0.0, 0.0, 0.0), width=4)
    anet.build((None, 28, 28, 3))
    anet.angle_head.kernel.assign(np.eye(8))  # an angle for the strongest feature
    logs, text = watched(anet, pixels)
    assert logs["mask_variety"] > 0.3
    assert logs["angle_variety"] > 0.01
    assert text == ""
    for head in (*anet.score_heads, anet.angle_head):
        head.kernel.assign(np.zeros(head.kernel.shape))
    logs, text = watched(anet, pixels)
    assert logs == {"mask_variety": pytest.approx(0.0), "angle_variety": pytest.approx(0.0)}
    assert text.splitlines() == [
        f"A-Net has collapsed: the same {what} for every image (variety 0.000); lower "
        "train.anet.learning_rate, or compare with --set adversary.kind=random"
        for what in ("mask", "angle")
    ]
