import json

import numpy as np
import pytest

from ssah_tf.data import ImageSet
from ssah_tf.system.errors import RecipeError
from ssah_tf.training.hash_layer import calibration
from ssah_tf.training.recipe import load_recipe

SMALL = ("model.backbone=convnet", "model.options.width=16")


@pytest.fixture
def images(rng):
    pixels = rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
    names = tuple(map(str, range(40)))
    return ImageSet(
        "set", names, np.eye(2, dtype=np.uint8)[np.arange(40) % 2], ("a", "b"), names, pixels=pixels
    )


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "ssah-tf" / "calibration"


@pytest.fixture
def timed(monkeypatch):
    """Backbones that were timed; each takes .3 s for a megapixel."""
    found = []

    def time_backbone(recipe, images):
        found.append(recipe.model.backbone)
        return 0.3

    monkeypatch.setattr(calibration, "time_backbone", time_backbone)
    return found


def test_a_backbone_is_timed_once(cache, timed, images):
    for _ in range(3):
        found = calibration.seconds_a_megapixel(load_recipe("frozen"), images)
        assert found == pytest.approx(2**-1.5)  # the nearest step
    assert timed == ["efficientnet_lite0"]
    calibration.seconds_a_megapixel(load_recipe("frozen", SMALL), images)
    calibration.seconds_a_megapixel(load_recipe("frozen", ("model.bits=12",)), images)
    assert timed == ["efficientnet_lite0", "convnet"]


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"no JSON",
        b"[]",
        b'{"seconds_a_megapixel": "x"}',
        b'{"seconds_a_megapixel": 0}',
        b'{"seconds_a_megapixel": NaN}',
    ],
)
def test_what_is_kept_and_damaged_is_timed_again(cache, timed, images, kept):
    recipe = load_recipe("frozen")
    expected = calibration.seconds_a_megapixel(recipe, images)
    (path,) = cache.iterdir()
    path.write_bytes(kept)
    assert calibration.seconds_a_megapixel(recipe, images) == expected
    assert json.loads(path.read_bytes()) == {"seconds_a_megapixel": expected}
    assert len(timed) == 2


def test_a_cache_that_cannot_be_written_changes_nothing(tmp_path, monkeypatch, timed, images):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert calibration.seconds_a_megapixel(load_recipe("frozen"), images) == pytest.approx(2**-1.5)


@pytest.mark.parametrize("count", [40, 40_000])
def test_a_small_network_is_timed(images, monkeypatch, count):
    """For few images by TensorFlow, for many by what is quicker."""
    monkeypatch.setattr(calibration, "ENOUGH", 0.05)
    monkeypatch.setattr(ImageSet, "__len__", lambda images: count)
    seconds = calibration.time_backbone(load_recipe("frozen", SMALL), images)
    assert 0 < seconds < 100


def test_a_backbone_that_is_not_there(cache, images):
    with pytest.raises(RecipeError, match="no 'convnot'"):
        calibration.seconds_a_megapixel(load_recipe("frozen", ("model.backbone=convnot",)), images)


def test_steps_are_coarse():
    assert [calibration.coarse(s) for s in (1, 1.1, 0.9)] == [1, 1, 1]
    assert calibration.coarse(1.3) == pytest.approx(2**0.5)
