from dataclasses import replace

import keras
import numpy as np
import pytest

from ssah_tf.data import ImageSet
from ssah_tf.models import ANet, CompetencePace, RandomDeformation, SchedulePace
from ssah_tf.models.pseudo_labels import FixedThreshold
from ssah_tf.system.errors import RecipeError
from ssah_tf.training.build import (
    build_deformer,
    build_game,
    build_images,
    build_optimizer,
    build_pace,
    build_pseudo_labels,
    build_split,
    build_strong_view,
    channel_statistics,
)
from ssah_tf.training.recipe import load_recipe

SIDE = 28
SMALL = (
    "data.source=/photos",  # no official queries; the images come from the test
    "data.labelled_per_class=6",
    "data.validation_per_class=2",
    "data.query_per_class=4",
    "model.backbone=convnet",
    "model.options={width: 4}",
    "model.bits=8",
    "adversary.width=4",
)


@pytest.fixture(scope="module")
def images():
    """Sixty images of three classes."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, SIDE, SIDE, 3), dtype=np.uint8)
    return ImageSet(
        name="set",
        ids=tuple(f"i{k}" for k in range(60)),
        labels=np.eye(3, dtype=np.uint8)[np.arange(60) % 3],
        classes=("a", "b", "c"),
        digests=tuple(f"d{k}" for k in range(60)),
        pixels=pixels,
    )


def small(*overrides):
    return load_recipe("fashion", (*SMALL, *overrides))


def game_of(images, *overrides):
    recipe = small(*overrides)
    return build_game(recipe, images, build_split(recipe, images))


def refused(images, *overrides):
    with pytest.raises(RecipeError) as caught:
        game_of(images, *overrides)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_split_follows_the_recipe(images):
    split = build_split(small("seed=9"), images)
    assert split.seed == 9
    assert len(split.query) == 12
    assert len(split.labelled) == 12
    assert len(split.validation) == 6
    everything = build_split(small("data.labelled_per_class=all"), images)
    assert everything.unlabelled == ()
    assert len(everything.labelled) == 42


def test_built_in_set_has_official_queries():
    recipe = load_recipe("fashion", ("data.query_per_class=1",))
    loaded = build_images(recipe)
    images, bad = loaded.images, loaded.bad
    assert bad == {}
    split = build_split(recipe, images)
    assert len(split.query) == 1000
    assert all(name.startswith("test/") for name in split.query)


def test_statistics_are_of_the_training_images_alone(images):
    """Labelled and unlabelled images count; validation and queries are white here and must not."""
    split = build_split(small(), images)
    pixels = images.pixels.copy()
    pixels[..., 1] = 7
    trained = images.positions(split.labelled + split.unlabelled)
    others = np.setdiff1d(np.arange(60), trained)
    pixels[others] = 255
    mean, std = channel_statistics(replace(images, pixels=pixels), split, SIDE)
    expected = pixels[trained].astype(float)
    np.testing.assert_allclose(mean, expected.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(std[0], expected[..., 0].std())
    assert mean[1] == 7
    assert std[1] == 1  # a constant channel is not divided by zero
    assert all(type(value) is float for value in mean + std)


def test_statistics_of_a_sample(images):
    """42 + 6 - 6 = 42 training images, a sample of 10: at equal distances to the end."""
    split = build_split(small(), images)
    positions = images.positions(split.labelled + split.unlabelled)
    mean, _ = channel_statistics(images, split, SIDE, sample=10)
    chosen = positions[[0, 4, 8, 12, 16, 21, 25, 29, 33, 37]]
    expected = images.pixels[chosen].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(mean, expected)


def test_game_follows_the_recipe(images):
    """Joint steps 3 x 10 = 30: the pace rises in half of them, the consistency in a third."""
    game = game_of(
        images,
        "train.joint=3",
        "train.steps_per_epoch=10",
        "pace.rise=0.5",
        "pace.start=0.2",
        "loss.ramp=0.3333333333333333",
        "loss.hard=2",
        "loss.consistency=3",
        "loss.quantisation=4",
        "loss.balance=6",
        "seed=5",
        "data.source=/photos",
    )
    assert game.hnet.bits == 8
    assert game.hnet(images.pixels[:2]).shape == (2, 8)
    assert isinstance(game.pace, SchedulePace)
    assert game.pace.steps == 15
    assert game.pace.start == 0.2
    assert game.ramp_steps == 10
    assert (game.hard_weight, game.consistency_weight) == (2, 3)
    assert (game.quantisation_weight, game.balance_weight) == (4, 6)
    assert game.seed == 5


def test_seed_makes_the_weights(images):
    def weights(seed):
        recipe = small(f"seed={seed}")
        split = build_split(small("seed=0"), images)
        return [w.numpy() for w in build_game(recipe, images, split).hnet.trainable_variables]

    one, again, other = weights(1), weights(1), weights(2)
    for a, b in zip(one, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("adversary.kind=none",), type(None)),
        (("adversary.occlusion=false", "adversary.rotation=false"), type(None)),
        (("adversary.kind=random",), RandomDeformation),
        ((), ANet),
        (("adversary.occlusion=false",), ANet),
    ],
)
def test_deformer(overrides, expected):
    assert type(build_deformer(small(*overrides), (1, 2, 3))) is expected


def test_plain_view_is_the_image_itself(images):
    """No deformation, but a second view; with RandAugment over it, if the recipe says so."""
    recipe = load_recipe("fashion", (*SMALL, "adversary.kind=plain", "adversary.rand_augment=0.3"))
    deformer = build_deformer(recipe, (0.0, 0.0, 0.0))
    np.testing.assert_array_equal(deformer.deform(images.pixels[:2]), images.pixels[:2])
    assert build_strong_view(recipe).strength == 0.3
    assert build_strong_view(load_recipe("fashion", SMALL)) is None


def test_pseudo_labels(images):
    found = build_pseudo_labels(
        load_recipe("fashion", (*SMALL, "pseudo_labels={kind: fixed, threshold: 0.8}")),
        images.labels,
    )
    assert isinstance(found, FixedThreshold)
    assert found.threshold == 0.8
    labels = images.labels.copy()
    labels[5] = 1
    with pytest.raises(RecipeError, match="adaptive chooses one class an image"):
        build_pseudo_labels(load_recipe("fashion", (*SMALL, "pseudo_labels.kind=adaptive")), labels)
    assert build_pseudo_labels(load_recipe("fashion", SMALL), labels).align is False


def test_deformer_takes_its_options():
    for kind in ("random", "learned"):
        deformer = build_deformer(
            small(
                f"adversary.kind={kind}",
                "adversary.area=0.2",
                "adversary.scales=[1]",
                "adversary.max_angle=33.0",
                "adversary.rotation=false",
                "adversary.score_scale=0.5",
                "adversary.angles=2",
            ),
            (1, 2, 3),
        )
        assert deformer.image_size == SIDE
        assert deformer.fill == (1, 2, 3)
        assert (deformer.area, deformer.scales, deformer.max_angle) == (0.2, (1,), 33.0)
        assert (deformer.occlusion, deformer.rotation) == (True, False)
    assert (deformer.width, deformer.score_scale, deformer.angles) == (4, 0.5, 2)


def test_competence_pace():
    pace = build_pace(
        small(
            "pace.kind=competence",
            "pace.increment=0.25",
            "pace.mastery=0.9",
            "pace.wait=7",
            "pace.end=0.75",
        ),
        30,
    )
    assert isinstance(pace, CompetencePace)
    assert (pace.increment, pace.mastery, pace.wait) == (0.25, 0.9, 7)
    assert (pace.start, pace.end) == (0.1, 0.75)


@pytest.mark.parametrize(("name", "kind"), [("sgd", "SGD"), ("adam", "Adam"), ("adamw", "AdamW")])
def test_optimizer(name, kind):
    spec = small(
        f"train.hnet={{name: {name}, learning_rate: 0.5, weight_decay: 0.25, ema: 0.75}}"
    ).train.hnet
    optimizer = build_optimizer(spec, 100)
    assert type(optimizer).__name__ == kind
    assert optimizer.weight_decay == 0.25
    assert optimizer.use_ema
    assert optimizer.ema_momentum == 0.75


def test_rate_falls_along_half_a_cosine():
    """Rate 0.5 over 100 steps: all of it, half of it, nothing."""
    spec = small("train.hnet={learning_rate: 0.5}").train.hnet
    schedule = build_optimizer(spec, 100)._learning_rate
    assert isinstance(schedule, keras.optimizers.schedules.CosineDecay)
    np.testing.assert_allclose(
        [float(schedule(k)) for k in (0, 50, 100)], [0.5, 0.25, 0], atol=1e-7
    )


def test_constant_rate():
    for cosine, steps in (("false", 100), ("true", 0)):
        text = f"{{learning_rate: 0.5, cosine: {cosine}, ema: 0.0, weight_decay: 0.0}}"
        optimizer = build_optimizer(small(f"train.hnet={text}").train.hnet, steps)
        assert float(optimizer.learning_rate) == 0.5
        assert not callable(optimizer._learning_rate)
        assert not optimizer.use_ema
        assert optimizer.weight_decay is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("model.backbone=vgg",), "model.backbone: no 'vgg', choose from convnet, "),
        (("model.options.depth=3",), "model.backbone: convnet has no option 'depth' (valid: width"),
        (("model.options.mean=3",), "model.backbone: convnet has no option 'mean'"),
        (
            ("model.backbone=efficientnet_lite0", "model.options={frozen: 1}"),
            "model.backbone: the option frozen of EfficientNetLite0 is now called frozen_stages",
        ),
        (
            ("model.backbone=keras", "model.options={frozen: true}"),
            "model.backbone: the option frozen of KerasApplication is now called trainable, whose "
            "values mean the opposite",
        ),
        (
            ("model.backbone=efficientnet_lite0", "model.options={frozen_stages: true}"),
            "efficientnet_lite0: frozen_stages must be a number from 0 to 9, which freezes all. "
            "Received: frozen_stages=True",
        ),
        (("model.options.width=wide",), "model.backbone: convnet: "),
        (("model.options.width=0",), "model.backbone: convnet: "),
        (("loss.supervised=foo",), "loss.supervised: no 'foo', choose from "),
        (("loss.options.zeta=1",), "has no option 'zeta'"),
        (("model.backbone=alexnet", "model.options={}"), "data.image_size, model.backbone: "),
        (("adversary.scales=[]",), "adversary: "),
    ],
)
def test_what_is_not_there(images, overrides, message):
    assert message in refused(images, *overrides)


@pytest.mark.parametrize("backbone", ["convnet", pytest.param("resnet20", marks=pytest.mark.slow)])
def test_bfloat16_is_of_training_alone(images, backbone, tmp_path):
    """Every layer of the backbone computes in it, no weight is kept in it, and no file knows it."""
    game = game_of(images, "train.precision=bfloat16", f"model.backbone={backbone}")
    parts = [x for x in game.hnet.backbone._flatten_layers() if x.weights]
    assert {x.compute_dtype for x in parts} == {"bfloat16"}
    assert {v.dtype for v in game.variables} - {"float32", "int32", "bool"} == set()
    assert game.hnet.hash_layer.compute_dtype == "float32"
    assert {x.compute_dtype for x in game.deformer._flatten_layers()} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    game.hnet.save(tmp_path / "h.keras")
    saved = keras.saving.load_model(tmp_path / "h.keras")
    assert {x.compute_dtype for x in saved._flatten_layers()} == {"float32"}
    near = saved.logits(images.pixels) - game.hnet.logits(images.pixels)
    assert 0 < np.abs(near).max() < 0.2
