import numpy as np
import pytest
from PIL import Image

from ssah_tf.data import ImageSet
from ssah_tf.training import auto
from ssah_tf.training.recipe import load_recipe


def images_of(root, n, classes, size):
    """Five files; the others are only names, as `resolve` looks at a sample."""
    for k in range(5):
        Image.new("L", size).save(root / f"{k}.png")
    return ImageSet(
        name="set",
        ids=tuple(f"{k}.png" for k in range(n)),
        labels=np.eye(classes, dtype=np.uint8)[np.arange(n) % classes],
        classes=tuple(map(str, range(classes))),
        digests=tuple(map(str, range(n))),
        root=root,
    )


@pytest.mark.parametrize(
    ("size", "gpu", "expected"),
    [
        ((640, 480), False, 48),
        ((640, 480), True, 128),
        ((110, 200), True, 96),
        ((50, 90), False, 48),
        ((70, 90), True, 64),
        ((20, 20), False, 32),
    ],
)
def test_image_size(tmp_path, monkeypatch, size, gpu, expected):
    monkeypatch.setattr(auto, "has_gpu", lambda: gpu)
    recipe = auto.resolve(load_recipe("folder"), images_of(tmp_path, 5, 2, size))
    assert recipe.data.image_size == expected


@pytest.fixture
def speed(monkeypatch):
    """Sets the seconds that a frozen backbone takes for a megapixel; `None` where none is asked."""

    def set_to(seconds, gpu=False):
        monkeypatch.setattr(auto, "has_gpu", lambda: gpu)
        monkeypatch.setattr(auto, "seconds_a_megapixel", lambda recipe, images: seconds)

    return set_to


@pytest.mark.parametrize(
    ("seconds", "photos", "gpu", "expected"),
    [
        (None, 2_000, False, 224),
        (0.25, 23_915, False, 224),  # 1,200 million pixels in 300 s
        (0.25, 23_916, False, 160),
        (2.0, 20_000, False, 96),
        (1e3, 2_001, False, 96),
        (None, 50_000, True, 224),
    ],
)
@pytest.mark.parametrize("recipe", ["frozen", "baseline"])
def test_a_frozen_backbone_takes_what_it_is_done_with_in_time(
    tmp_path, speed, recipe, seconds, photos, gpu, expected, capsys
):
    speed(seconds, gpu)
    images = images_of(tmp_path, photos, 2, (15, 20))  # small pictures are enlarged
    assert auto.resolve(load_recipe(recipe), images).data.image_size == expected
    said = capsys.readouterr().out
    assert (f"data.image_size: {expected} px; the backbone takes about " in said) == bool(seconds)


def test_few_labels_among_many_photos(tmp_path, speed, capsys):
    """20,000 unlabelled photos and 300 labelled are looked at, whatever there are."""
    speed(0.25)
    images = images_of(tmp_path, 100_000, 2, (40, 40))
    images.labels[300:] = 0
    assert auto.resolve(load_recipe("frozen"), images).data.image_size == 224
    assert "about 4 min for 20,300 images" in capsys.readouterr().out


def test_bits_follow_the_classes_and_the_batch_the_labels(monkeypatch, tmp_path):
    monkeypatch.setattr(auto, "short_sides", lambda images: [64])
    few = auto.resolve(load_recipe("folder"), images_of(tmp_path, 99, 20, (40, 40)))
    assert (few.model.bits, few.train.batch) == (48, 32)
    many = auto.resolve(load_recipe("folder"), images_of(tmp_path, 100, 21, (40, 40)))
    assert (many.model.bits, many.train.batch) == (64, 64)


def test_joint_epochs_see_every_image_twice(monkeypatch, tmp_path):
    """64 unlabelled images a step, 50 steps an epoch: 3,200; 80,000 images twice: 50 epochs."""
    monkeypatch.setattr(auto, "short_sides", lambda images: [64])
    for n, expected in ((200, 40), (80_000, 50), (500_000, 60)):
        images = images_of(tmp_path, n, 2, (40, 40))
        assert auto.resolve(load_recipe("folder"), images).train.joint == expected


def test_given_values_stay(tmp_path):
    given = ("data.image_size=96", "model.bits=12", "train.batch=6", "train.joint=3")
    recipe = load_recipe("folder", given)
    assert auto.resolve(recipe, images_of(tmp_path, 5, 2, (40, 40))) == recipe
