import keras
import numpy as np
import pytest

from ssah_tf.models.strong_view import StrongView


def test_every_second_image_goes_to_the_same_augmenter_and_back_to_its_place():
    layer = StrongView(0.5, groups=2)
    layer.augmenters = [keras.layers.Rescaling(1, offset) for offset in (1.0, 2.0)]
    images = np.arange(5, dtype=np.float32).reshape(5, 1, 1, 1) * np.ones((1, 4, 4, 3), np.float32)
    views = np.asarray(layer(images))
    assert views[:, 0, 0, 0].tolist() == [1, 3, 3, 5, 5]


def test_no_strength_changes_least(rng):
    images = rng.uniform(0, 255, (8, 32, 32, 3)).astype(np.float32)
    weak, strong = (
        np.abs(np.asarray(StrongView(s, groups=2)(images)) - images).mean() for s in (0.01, 1.0)
    )
    assert weak < strong


@pytest.mark.parametrize("bad", [{"strength": 1.5}, {"groups": 0}])
def test_refuses_bad_values(bad):
    with pytest.raises(ValueError, match="Received"):
        StrongView(**bad)
