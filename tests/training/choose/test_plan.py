"""The plan, with made-up timings."""

from dataclasses import replace

import numpy as np
import pytest

from ssah_tf.data import ImageSet
from ssah_tf.system.durations import parse_duration
from ssah_tf.system.errors import SsahError
from ssah_tf.training.choose.candidates import (
    CANDIDATES,
    NAMES,
    check_common,
    objection,
    recipe_of,
    shortened,
    sizes_of,
)
from ssah_tf.training.choose.costs import Costs, Counts
from ssah_tf.training.choose.plan import PLANNED, best_plan, make_plan
from ssah_tf.training.choose.timing import FrozenTiming, GameTiming
from ssah_tf.training.choose.traits import Traits

#: 6,000 small pictures on an empty ground, 30 labels a class.
CLOTHES = Traits(6000, 300, 60, 30, 10, 0, 28, 0.5)
BIRDS = Traits(3000, 300, 100, 3, 100, 0, 227, 0.1)
MANY = Traits(50_000, 5000, 100, 500, 10, 0, 32, 0.1)
#: As on 2 cores: 130 images a second at 96 px.
SIZES = (96, 128, 160, 224, 288)
FROZEN = FrozenTiming(
    start=4.0,
    decode=0.0005,
    forward={size: (size / 96) ** 2 / 130 for size in SIZES},
    fit=3.0,
    step=0.015,
)
SCRATCH = GameTiming(28, 15.0, {"hnet_warmup": 0.05, "joint": 0.1}, 0.0004)
TUNING = GameTiming(64, 30.0, {"hnet_warmup": 0.25, "joint": 0.25}, 0.003)


@pytest.fixture(scope="module")
def recipes():
    images = ImageSet(
        name="set",
        ids=tuple(map(str, range(300))),
        labels=np.eye(10, dtype=np.uint8)[np.arange(300) % 10],
        classes=tuple(map(str, range(10))),
        digests=tuple(map(str, range(300))),
        pixels=np.zeros((300, 28, 28, 3), np.uint8),
    )
    return {c.name: recipe_of(c, images, c.sizes[0], ()) for c in CANDIDATES}


def plan_of(recipes, traits, left, spent=20.0, frozen=FROZEN):
    games = {"folder": SCRATCH, "pretrained": TUNING}
    sensible = [c for c in CANDIDATES if objection(c, traits, frozen.no_weights) is None]
    counts = Counts(
        traits.images, traits.labelled, traits.images, 2000, 2000, traits.images, 20_000
    )
    costs = Costs(counts, recipes, frozen, {n: g for n, g in games.items() if NAMES[n] in sensible})
    sizes = {c.name: sizes_of(c, traits, None) for c in sensible}
    return *make_plan(left, spent, costs, sizes), costs


def test_small_pictures_on_an_empty_ground(recipes):
    """In ten minutes three candidates; in three not the dearest."""
    plan, late, _ = plan_of(recipes, CLOTHES, 580)
    assert list(plan.of) == ["baseline", "frozen", "folder"]
    # Large images come before a whole training from scratch.
    assert plan.of == {"baseline": (224, 1.0), "frozen": (224, 1.0), "folder": (28, 0.5)}
    assert late == {}
    plan, _, _ = plan_of(recipes, CLOTHES, 780)
    assert plan.of["folder"] == (28, 1.0)
    plan, late, _ = plan_of(recipes, CLOTHES, 200)
    assert plan.of == {"baseline": (160, 1.0), "frozen": (160, 1.0)}
    assert list(late) == ["folder"]


def test_features_that_are_kept_cost_nothing(recipes):
    """Those of 5,000 of 6,000 images at 224 px are there, and 300 seconds are enough for more."""
    whole = plan_of(recipes, CLOTHES, 300)[2]
    costs = replace(whole, missing={224: 1000})
    assert whole.features(224) == pytest.approx(4 + 6000 * (0.0005 + FROZEN.forward[224]))
    assert whole.evaluation("frozen", 96) == pytest.approx(
        15 + 6000 * 0.0005 + 2000 * FROZEN.forward[96]  # they are held in memory
    )
    assert costs.features(224) == pytest.approx(4 + 1000 * (0.0005 + FROZEN.forward[224]))
    assert costs.features(96) == whole.features(96)
    many = replace(costs, counts=replace(costs.counts, images=50_000))
    assert many.evaluation("frozen", 224) == pytest.approx(
        15 + 2000 * (0.0005 + FROZEN.forward[224])
    )
    sizes = {c.name: sizes_of(c, CLOTHES, None) for c in CANDIDATES if c.name != "pretrained"}
    before, late = make_plan(300, 20, whole, sizes)
    after, none = make_plan(300, 20, costs, sizes)
    assert (before.of["frozen"][0], after.of["frozen"][0]) == (160, 224)
    assert (list(late), list(none)) == (["folder"], [])


def test_a_budget_that_is_named_does(recipes):
    _, late, _ = plan_of(recipes, CLOTHES, 200)
    named = parse_duration(late["folder"].split("--budget ")[1].split()[0], "--budget")
    plan, late, _ = plan_of(recipes, CLOTHES, named - 20)
    assert "folder" in plan.of
    assert "folder" not in late


@pytest.mark.parametrize("left", [60, 100, 200, 400, 800, 3000, 20_000])
@pytest.mark.parametrize("traits", [CLOTHES, BIRDS, MANY])
def test_a_plan_fits_and_grows_with_the_time(recipes, traits, left):
    try:
        plan, _, costs = plan_of(recipes, traits, left)
    except SsahError:
        assert left < 500
        return
    assert plan.seconds(costs) <= PLANNED * left
    more, _, _ = plan_of(recipes, traits, 2 * left)
    assert set(plan.of) <= set(more.of)


def test_large_photos_with_few_labels_take_larger_images_in_place_of_more_candidates(recipes):
    plan, late, _ = plan_of(recipes, BIRDS, 580)
    assert plan.of == {"baseline": (288, 1.0), "frozen": (288, 1.0)}
    assert late == {}


def test_hours_go_into_a_backbone_that_is_trained(recipes):
    few, _, _ = plan_of(recipes, MANY, 1800)
    many, _, _ = plan_of(recipes, MANY, 4 * 3600)
    assert "pretrained" in few.of
    assert many.of["pretrained"] == (224, 1.0)
    assert many.of["frozen"][0] == 224
    assert few.of["pretrained"][0] < 224


def test_too_small_for_anything(recipes):
    """One line with the smallest that works; and it does."""
    with pytest.raises(SsahError, match="the smallest that works is --budget ") as caught:
        plan_of(recipes, MANY, 60)
    seconds = parse_duration(str(caught.value).split("--budget ")[1], "--budget")
    plan, _, _ = plan_of(recipes, MANY, seconds - 20)
    assert set(plan.of) == {"baseline"}
    with pytest.raises(SsahError, match="too small"):
        plan_of(recipes, MANY, seconds - 100)


def test_larger_images_come_before_more_of_them(recipes):
    """Photos of which each takes a fiftieth of a second to decode; 300 have labels."""
    photos = replace(BIRDS, images=50_300)
    slow = replace(FROZEN, decode=0.02)
    sizes = {c.name: sizes_of(c, photos, None) for c in CANDIDATES[:2]}
    costs = [
        Costs(Counts(50_300, 300, 300 + some, 300, 2000, 50_000, some), recipes, slow)
        for some in (20_000, 10_000, 5_000)
    ]

    def planned(left):
        plan, _, chosen = best_plan(left, 20.0, costs, sizes)
        assert plan.seconds(chosen) <= PLANNED * left
        return plan.of.get("frozen", (0, 0))[0], chosen.counts.most

    assert planned(4000) == (288, 20_000)
    assert planned(1600) == (224, 20_000)
    assert planned(1200) == (288, 10_000)
    assert planned(800) == (224, 10_000)
    assert planned(500) == (224, 5_000)
    assert planned(350) == (160, 5_000)
    with pytest.raises(SsahError, match="the smallest that works is --budget 190s"):
        planned(100)


def test_without_weights_a_small_network_is_all_there_is(recipes):
    none = replace(FROZEN, forward={}, no_weights="the weights need a package")
    plan, _, _ = plan_of(recipes, BIRDS, 580, frozen=none)
    assert set(plan.of) == {"folder"}
    assert objection(NAMES["frozen"], BIRDS, none.no_weights) == "the weights need a package"
    with pytest.raises(SsahError, match="too small for anything"):
        plan_of(recipes, BIRDS, 20, frozen=none)


def test_which_candidates_make_sense():
    def against(name, traits):
        return objection(NAMES[name], traits, None)

    assert against("frozen", BIRDS) is against("baseline", BIRDS) is None
    assert against("folder", BIRDS) == "for small pictures that are unlike photographs"
    assert "needs 3 labels a class; there are 2" in against("folder", replace(CLOTHES, per_class=2))
    assert "there are 300 and 3" in against("pretrained", BIRDS)
    assert against("pretrained", MANY) is None


def test_sizes():
    """Scratch takes what the pictures fill; a pretrained backbone enlarges them."""
    assert sizes_of(NAMES["folder"], CLOTHES, None) == (28,)
    assert sizes_of(NAMES["folder"], MANY, None) == (32,)
    assert sizes_of(NAMES["folder"], replace(CLOTHES, side=20), None) == (28,)
    assert sizes_of(NAMES["frozen"], CLOTHES, None) == SIZES[:-1]
    assert sizes_of(NAMES["frozen"], BIRDS, None) == SIZES
    assert sizes_of(NAMES["frozen"], BIRDS, 64) == (64,)


def test_a_shorter_training_keeps_an_epoch_of_each_stage(recipes):
    half = shortened(recipes["folder"], 0.5).train
    whole = recipes["folder"].train
    assert (half.joint, half.hnet_warmup) == (whole.joint // 2, whole.hnet_warmup // 2)
    short = shortened(recipes["pretrained"], 0.01).train
    assert (short.joint, short.hnet_warmup) == (1, 1)
    assert shortened(recipes["frozen"], 0.01).train.hnet_warmup == 0
    assert shortened(recipes["baseline"], 0.5) == recipes["baseline"]


def test_what_may_be_set_for_all():
    check_common(("seed=1", "data.image_size=64", "model.bits=12", "train.batch=8"))
    for key in ("adversary.kind=none", "train.joint=3", "model.backbone=resnet20", "name=x"):
        with pytest.raises(SsahError, match="belongs to one recipe; name it"):
            check_common((key,))
