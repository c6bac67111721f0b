"""The rows of the second round on the adversary compute what the notebook says."""

import importlib.util
import json
import subprocess
import sys
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssah_tf.data import load_fashion
from ssah_tf.data.pipeline import training_batches
from ssah_tf.losses import OrthoHash
from ssah_tf.models import SSAH, HNet, RandomDeformation, SchedulePace
from ssah_tf.models.backbones import ConvNet, EfficientNetLite0
from ssah_tf.models.game import TeacherCodes
from ssah_tf.models.saved import load_hnet
from ssah_tf.training.build import build_game, build_split
from ssah_tf.training.collapse import variety

FOLDER = Path(__file__).parents[2] / "benchmarks" / "adversary"
SIZE, CLASSES = 28, 10
FASHION = load_fashion()


@pytest.fixture(scope="module")
def scripts():
    """Both scripts; they import each other by name, as scripts of one folder do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        spec = importlib.util.spec_from_file_location("adversary_run", FOLDER / "run.py")
        run = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(run)
        yield SimpleNamespace(run=run, lines=sys.modules["lines"])
        sys.modules.pop("lines")


@pytest.fixture(scope="module")
def lines(scripts):
    return scripts.lines


@pytest.fixture
def eager():
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def make_game(kind, **kwargs):
    keras.utils.set_random_seed(0)
    pace = SchedulePace(0, end=1.0)
    hnet = HNet(ConvNet(width=4), 8)
    game = kind(hnet, RandomDeformation(SIZE), OrthoHash(), pace, **kwargs)
    game.build(((None, SIZE, SIZE, 3), (None, CLASSES)))
    game.compile(keras.optimizers.SGD(0.05, momentum=0.9, use_ema=True, ema_momentum=0.9))
    return game


def batch(images=4, seed=0):
    """Images as float32 `(2 * images, 28, 28, 3)`, labelled and unlabelled in turns, and labels."""
    chosen = np.random.default_rng(seed).integers(0, len(FASHION), 2 * images)
    return (
        tf.constant(FASHION.pixels[chosen], tf.float32),
        tf.constant(FASHION.labels[chosen[::2]], tf.float32),
    )


def step(game, images, labels):
    game.begin("joint")
    return game.train_step({"images": tf.reshape(images, [-1, 2, SIZE, SIZE, 3]), "labels": labels})


def values(variables):
    return [v.numpy().copy() for v in variables]


# ---- line 1


@pytest.mark.parametrize("own", [True, False])
def test_hard_samples_touch_the_statistics_of_images_only_where_they_are_shared(lines, own):
    """The same images beside two kinds of hard samples."""
    images, _ = batch()
    moved = []
    for hard in (images, 255 - images):
        game = make_game(lines.OwnStatistics if own else SSAH)
        before = values(game.hnet.non_trainable_variables)
        game.training_codes(images, hard)
        norms = [n for n in game.hnet._flatten_layers() if isinstance(n, lines.BatchNorm)]
        moved.append(values([v for n in norms for v in (n.moving_mean, n.moving_variance)]))
        after = values(game.hnet.non_trainable_variables)
        assert any(np.any(a != b) for a, b in zip(before, after, strict=True))
    same = all(np.array_equal(a, b) for a, b in zip(*moved, strict=True))
    assert same == own


def test_second_norms_learn_from_hard_samples_alone(lines, eager):
    images, labels = batch()
    game = make_game(lines.OwnStatistics)
    begin = values(game.hnet.second)
    game.training_codes(images[::2], None)  # a warm-up: the second ones follow the first
    first, second = values(game.hnet.norm_weights()), values(game.hnet.second)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(np.any(a != b) for a, b in zip(begin, second, strict=True))
    step(game, images, labels)
    for before, variable, beside in zip(
        second, game.hnet.second, game.hnet.norm_weights(), strict=True
    ):
        assert np.any(before != variable.numpy()), variable.name
        assert np.any(beside.numpy() != variable.numpy()), variable.name


def test_codes_of_hard_samples_are_those_of_a_network_with_the_second_norms(lines, eager):
    images, labels = batch()
    game = make_game(lines.OwnStatistics)
    step(game, images, labels)
    expected = game.hard_codes(images)
    for first, second in zip(game.hnet.norm_weights(), game.hnet.second, strict=True):
        first.assign(second)
    np.testing.assert_allclose(game.hnet(images, training=False), expected, rtol=1e-6)


def test_what_is_saved_is_an_encoder_with_the_first_norms(lines, eager, tmp_path):
    images, labels = batch()
    game = make_game(lines.OwnStatistics)
    step(game, images, labels)
    game.hnet.save(tmp_path / "model.keras")
    loaded = load_hnet(tmp_path / "model.keras")
    assert type(loaded) is HNet
    np.testing.assert_allclose(loaded(images), game.hnet(images, training=False), rtol=1e-5)


# ---- line 2


def test_quantile_of_eligible(lines):
    """Scores 3, 1, 2, 9: in order 1, 2, 0, 3; without the last 1, 2, 0; without all, the lowest."""
    scores = tf.constant([[3.0, 1.0, 2.0, 9.0]])
    all_four, three, none = ([[True] * 4], [[True, True, True, False]], [[False] * 4])
    for eligible, quantile, expected in (
        (all_four, 0.0, 1), (all_four, 1.0, 3), (three, 1.0, 0), (three, 0.5, 2), (three, 0.0, 1),
        (none, 1.0, 1),
    ):  # fmt: skip
        found = lines.quantile_of_eligible(scores, tf.constant(eligible), quantile)
        assert found.numpy().tolist() == [expected], (eligible, quantile)


@pytest.mark.parametrize(
    ("guard", "rho", "chosen"),
    [(True, 1.0, [20, 20, 30, 30]), (True, 0.0, [10, 10, 30, 30]), (False, 0.5, [30, 30, 10, 10])],
)
def test_hardest_that_the_teacher_recognises(lines, guard, rho, chosen):
    """Three looks of levels 10, 20, 30, which the teacher takes for class 0 with .9, .6, .2.

    Rows: labelled 0, unlabelled and taken for 0, labelled 1, unlabelled and taken for 1. Of class 0
    looks 10 and 20 are recognised, of class 1 look 30 alone.
    """
    of_class_0 = tf.constant([0, 0.9, 0.6, 0.2, 0.95, 0.05])  # by level / 10; 40 and 50 are images
    levels = count(10, 10)
    game = SimpleNamespace(
        tries=3,
        guard=guard,
        pace=SimpleNamespace(rho=tf.constant(rho)),
        deformer=SimpleNamespace(
            deform=lambda images, seed: tf.fill(tf.shape(images), float(next(levels)))
        ),
        teacher=lambda images: tf.reduce_mean(images, axis=[1, 2])[:, :1],
        supervised_loss=SimpleNamespace(
            posterior=lambda codes, support, support_labels: tf.stack(
                [
                    tf.gather(of_class_0, tf.cast(codes[:, 0] / 10, tf.int32)),
                    1 - tf.gather(of_class_0, tf.cast(codes[:, 0] / 10, tf.int32)),
                ],
                axis=1,
            )
        ),
    )
    images = tf.zeros([4, 2, 2, 3])
    own = tf.constant([[50.0], [40.0], [40.0], [50.0]])  # the labelled ones are taken wrongly
    found, terms = lines.HardestOf.hard_samples(
        game, images, TeacherCodes(own[::2], own[1::2]), tf.eye(2), 2, tf.constant([0, 0])
    )
    np.testing.assert_array_equal(found[:, 0, 0, 0], chosen)
    np.testing.assert_allclose(terms["recognised"], (2 + 2 + 1 + 1) / 12)


def test_one_try_is_random_deformation(lines, eager):
    images, labels = batch()
    games = [make_game(SSAH), make_game(lines.HardestOf, tries=1), make_game(lines.HardestOf)]
    for game in games:
        step(game, images, labels)
    plain, one, four = (values(game.hnet.variables) for game in games)
    assert all(np.array_equal(a, b) for a, b in zip(plain, one, strict=True))
    assert any(np.any(a != b) for a, b in zip(plain, four, strict=True))


# ---- line 3


def perturbed(lines, virtual):
    """A smooth network: tanh of a linear map of the pixels."""
    weights = tf.random.stateless_normal([8 * 8 * 3, 6], [1, 2]) / 100
    return SimpleNamespace(
        strength=0.05,
        virtual=virtual,
        PROBE=lines.Perturbed.PROBE,
        hnet=lambda x, training: tf.tanh(tf.reshape(x - 128, [-1, 8 * 8 * 3]) @ weights / 10),
    )


def test_virtual_perturbation_is_worse_than_noise_of_its_norm(lines):
    images = tf.random.stateless_uniform([20, 8, 8, 3], [0, 1], 0, 255)
    seed = tf.constant([3, 4])

    def posterior(codes):
        return tf.nn.softmax(4 * codes)

    raised = {}
    for virtual in (True, False):
        game = perturbed(lines, virtual)
        added = lines.Perturbed.perturbation(game, images, posterior, seed)
        size = np.sqrt(np.mean(added.numpy() ** 2, axis=(1, 2, 3)))
        np.testing.assert_allclose(size, 0.05 * 255, rtol=1e-4)
        before, after = (posterior(game.hnet(x, False)) for x in (images, images + added))
        raised[virtual] = lines.divergence(before, after).numpy()
    assert (raised[True] > raised[False]).all()
    assert raised[True].mean() > 5 * raised[False].mean()


def test_divergence_by_hand(lines):
    """(1/2, 1/2) from (1/4, 3/4): 1/2 log 2 + 1/2 log 2/3; from itself 0."""
    half, quarter = tf.constant([[0.5, 0.5]]), tf.constant([[0.25, 0.75]])
    np.testing.assert_allclose(
        lines.divergence(half, quarter), [np.log(2) / 2 + np.log(2 / 3) / 2], rtol=1e-5
    )
    np.testing.assert_allclose(lines.divergence(half, half), [0], atol=1e-7)


def test_size_of_tiny_and_of_no_gradients(lines):
    changes = tf.stack([1e-30 * tf.ones([2, 2, 3]), tf.zeros([2, 2, 3])])
    sizes = tf.reduce_mean(lines.of_unit_size(changes), axis=[1, 2, 3])
    np.testing.assert_allclose(sizes, [1, 0], rtol=1e-5)


def test_term_of_perturbation_is_added_with_the_weight_of_the_consistency(lines, eager):
    images, labels = batch()
    plain = step(make_game(SSAH, consistency_weight=2.0), images, labels)
    game = make_game(lines.Perturbed, consistency_weight=2.0)
    found = step(game, images, labels)
    assert float(found["local"]) > 0
    np.testing.assert_allclose(found["loss"], plain["loss"] + 2 * found["local"], rtol=1e-5)


# ---- line 4


def test_highest_share_by_hand(lines):
    """Of four cells a half and three quarters; one at least, and not all."""
    scores = tf.constant([[4.0, 1.0, 3.0, 2.0]] * 4)
    with tf.GradientTape() as tape:
        share = tf.constant([0.5, 0.75, 0.01, 0.99])
        tape.watch(share)
        marks = lines.highest_share(scores, share)
        area = tf.reduce_sum(marks)
    np.testing.assert_allclose(
        marks, [[1, 0, 1, 0], [1, 0, 1, 1], [1, 0, 0, 0], [1, 0, 1, 1]], atol=1e-6
    )
    assert (tape.gradient(area, share).numpy() > 0).all()


def test_placed_by_hand(lines):
    """A bright pixel: as it is, two pixels to the right, turned by 90 degrees, between four."""
    images = np.zeros((4, 8, 8, 3), np.float32)
    images[:, 2, 4] = 100
    none = {"angle": 0.0, "shear": 0.0, "scale": 1.0, "right": 0.0, "down": 0.0}
    changes = [{}, {"right": 0.25}, {"angle": np.pi / 2}, {"right": -0.0625, "down": 0.1875}]
    strength = {
        name: tf.constant([change.get(name, value) for change in changes], tf.float32)
        for name, value in none.items()
    }
    found = lines.placed(tf.constant(images), strength, tf.zeros(3)).numpy()[..., 0]
    np.testing.assert_allclose(found[0], images[0, ..., 0], atol=1e-3)
    assert np.unravel_index(found[1].argmax(), (8, 8)) == (2, 6)
    # Counter-clockwise about (3.5, 3.5): .5 right and 1.5 up becomes 1.5 left and .5 up.
    assert np.unravel_index(found[2].argmax(), (8, 8)) == (3, 2)
    for row, column in ((3, 3), (3, 4), (4, 3), (4, 4)):  # half a pixel left, 1.5 down
        np.testing.assert_allclose(found[3, row, column], 25, atol=1e-3)


def test_scale_above_one_enlarges(lines):
    image = np.zeros((1, 16, 16, 3), np.float32)
    image[:, 6:10, 6:10] = 100
    strength = dict.fromkeys(("angle", "shear", "right", "down"), tf.zeros(1))
    found = lines.placed(tf.constant(image), strength | {"scale": tf.constant([2.0])}, tf.zeros(3))
    assert 3.5 < float(tf.reduce_sum(found)) / image.sum() < 4.5


@pytest.mark.parametrize("learned", [True, False])
def test_operations_hide_the_area_they_are_said_to(lines, learned):
    """White images on black ground: what is black is hidden, or was beyond the border."""
    kind = lines.LearnedOperations if learned else lines.RandomOperations
    keras.utils.set_random_seed(0)
    deformer = kind(image_size=SIZE, fill=(0, 0, 0))
    images = tf.fill([200, SIZE, SIZE, 3], 255.0)
    chosen, _ = deformer.scored(images, tf.constant([0, 1]), False)
    assert chosen.shape == (200, len(lines.STRENGTHS))
    assert float(tf.reduce_min(chosen)) >= 0
    assert float(tf.reduce_max(chosen)) < 1
    assert (chosen.numpy().std(axis=0) > 0.2).all()  # a uniform draw has .29
    still = tf.tile(tf.constant([[0.5] * 7]), [200, 1])
    for area, expected in ((0.0, 1 / 6), (1.0, 1 / 2)):
        strengths = tf.concat([still, tf.fill([200, 1], area)], axis=1)
        scored = deformer.scored
        deformer.scored = lambda *given, s=strengths, f=scored: (s, f(*given)[1])
        hidden = tf.reduce_mean(tf.cast(deformer.deform(images)[..., 0] < 1, tf.float32))
        deformer.scored = scored
        assert float(hidden) == pytest.approx(expected, abs=0.04)


def test_a_net_is_watched_without_noise(lines):
    """An untrained A-Net: angles within 30 degrees, marks of the grids, the same ones twice."""
    keras.utils.set_random_seed(0)
    deformer = lines.LearnedOperations(image_size=SIZE, max_angle=30.0)
    images, _ = batch()
    first, second = (variety(deformer, images.numpy()) for _ in range(2))
    assert first == second
    assert 0 < first.mask <= 1.2
    assert first.angle < 1
    marks, _ = deformer.choose(images, None, False)
    assert [cells.shape[1] for cells in marks] == [n for _, n in deformer.grids]


def test_gradient_reaches_all_strengths_of_the_learned_operations(lines):
    keras.utils.set_random_seed(0)
    deformer = lines.LearnedOperations(image_size=SIZE)
    images, _ = batch()
    deformer.build(images.shape)
    weights = tf.random.stateless_normal([SIZE, SIZE, 3], [0, 1])
    with tf.GradientTape() as tape:
        hard = deformer.deform(images, tf.constant([0, 1]), training=True)
        loss = tf.reduce_sum(hard * weights)
    assert hard.shape == images.shape
    gradient = tape.gradient(loss, deformer.angle_head.kernel.value).numpy()
    per_strength = np.abs(gradient).reshape(-1, len(lines.STRENGTHS), lines.RANGES).sum(axis=(0, 2))
    assert (per_strength > 0).all()


def test_operations_take_the_place_of_either_deformer(scripts):
    for row, kind in (
        ("operations-learned", scripts.lines.LearnedOperations),
        ("operations-random", scripts.lines.RandomOperations),
    ):
        recipe, images, split = parts_of(scripts, row)
        game = build_game(recipe, images, split, scripts.lines.ROWS[row].kind)
        assert isinstance(game.deformer, kind)
        assert game.has_adversary == (row == "operations-learned")


# ---- line 5


@pytest.fixture
def attention_guided(lines):
    keras.utils.set_random_seed(0)
    hnet = HNet(EfficientNetLite0(), 8)
    deformer = RandomDeformation(32, fill=(300.0,) * 3, max_angle=1e-3)
    game = lines.AttentionGuided(hnet, deformer, OrthoHash(), SchedulePace(0, end=1.0))
    hnet.build((None, 32, 32, 3))
    return game


def test_attention_is_one_of_the_maps_of_stride_16(attention_guided):
    images = tf.random.stateless_uniform((5, 64, 64, 3), [1, 2], 0, 255)
    backbone = attention_guided.hnet.backbone
    x = (images - tf.constant(backbone.mean)) / tf.constant(backbone.std)
    x = backbone.stem(x)
    for block in (block for stage in backbone.stages[:5] for block in stage):
        x = block(x)
    maps = tf.nn.relu(x).numpy()
    assert maps.shape == (5, 4, 4, 112)
    drawn = set()
    for seed in range(4):
        attention = attention_guided.attention(images, tf.constant([7, seed])).numpy()
        for image, of_image in zip(maps, attention, strict=True):
            apart = np.abs(image - of_image[..., None]).max(axis=(0, 1))
            assert apart.min() < 1e-4 * of_image.max()
            drawn.add(apart.argmin())
    assert len(drawn) > 3


def test_what_attention_is_highest_on_is_hidden(attention_guided, monkeypatch):
    """A map that is bright to the left: a third of the image is hidden there, and no more."""
    bright = np.zeros((4, 2, 2), np.float32)
    bright[:, :, 0] = 1
    monkeypatch.setattr(attention_guided, "attention", lambda *_: tf.constant(bright))
    images = tf.random.stateless_uniform((4, 32, 32, 3), [1, 2], 0, 255)
    hard, terms = attention_guided.hard_samples(images, None, None, 2, tf.constant([0, 1]))
    hidden = (hard.numpy() > 299).all(axis=3)
    assert terms == {}
    np.testing.assert_allclose(hidden.mean(axis=(1, 2)), 1 / 3, atol=0.01)
    assert not hidden[:, :, 20:].any()


# ---- the rows, and the runner


def parts_of(scripts, row, seed=3):
    recipe = scripts.run.recipe_of("fashion", row, seed)
    images = scripts.run.development(FASHION, 0)
    return recipe, images, build_split(recipe, images)


def test_rows_of_a_seed_share_split_batches_and_first_weights(scripts):
    found = []
    rows = [name for name, row in scripts.lines.ROWS.items() if row.line != "5"]  # of photos
    for row in (*rows, "random@7"):
        recipe, images, split = parts_of(scripts, row)
        kind = scripts.lines.ROWS[row.partition("@")[0]].kind
        game = build_game(recipe, images, split, scripts.lines.paired(kind))
        data = training_batches(images, split, size=SIZE, batch=8, ratio=1, seed=recipe.seed)
        (first,) = data.take(1)
        layers = [*values(game.hnet.backbone.variables), *values(game.hnet.hash_layer.variables)]
        found.append((split.labelled + split.query, first["images"].numpy(), *layers))
    for parts in found[1:]:
        assert parts[0] == found[0][0]
        for a, b in zip(parts[1:], found[0][1:], strict=True):
            np.testing.assert_array_equal(a, b)
    other = build_split(scripts.run.recipe_of("fashion", "random", 4), images)
    assert other.query != split.query


def test_development_split_has_no_query_image(scripts):
    images = scripts.run.development(FASHION, 0)
    assert len(images) == 5000
    assert not set(images.ids) & set(FASHION.official_queries)
    _, _, split = parts_of(scripts, "random")
    assert len(split.query) == 500
    assert len(split.database) == 4500
    np.testing.assert_array_equal(
        images.pixels[17], FASHION.pixels[FASHION.ids.index(images.ids[17])]
    )


def test_set_without_queries_gives_up_the_same_images_always(scripts):
    whole = scripts.run.replace(FASHION, official_queries=())
    first, second = (scripts.run.development(whole, 100) for _ in range(2))
    assert first.ids == second.ids
    assert len(first) == 5000  # 100 of each of ten classes
    assert (first.labels.sum(axis=0) == 500).all()


def test_lines_have_their_rows(scripts):
    assert scripts.run.rows_of("2") == ["random", "hardest", "maxup"]
    assert scripts.run.rows_of("random@44") == ["random", "random@44"]
    assert scripts.run.recipe_of("fashion", "random@44", 5).train.joint == 44
    with pytest.raises(SystemExit, match="no line '7'"):
        scripts.run.rows_of("7")


def test_table_pairs_by_seed_and_keeps_seeds_of_the_screen_apart(scripts, tmp_path):
    """Differences .01, .02, .03, .04, .05: mean .03, t interval .03 +- 2.776 * .0158 / sqrt 5."""
    for seed in range(7):
        for row, value in (("random", 0.7 + 0.1 * seed), ("hardest", 0.71 + 0.11 * seed)):
            if (seed, row) != (6, "hardest"):
                path = scripts.run.row_path(tmp_path, "fashion", row, seed)
                path.write_text(
                    json.dumps({"set": "fashion", "row": row, "seed": seed, "map": value})
                )
    printed = scripts.run.table(tmp_path)
    screen, further = printed.split("fashion, further seeds")
    assert "| random | 5 | 0.9000 ± 0.1581 | | | |" in screen
    assert (
        "| hardest | 5 | 0.9300 ± 0.1739 | random | +0.0300 ± 0.0158 | +0.0104 to +0.0496 |"
        in screen
    )
    further, every = further.split("fashion, all seeds")
    assert "| hardest | 1 | 1.2600 | random | +0.0600 |  |" in further
    assert "| random | 7 | 1.0000 " in every
    assert "| hardest | 6 | 0.9850 " in every


@pytest.mark.slow
def test_the_queue_runs_and_does_nothing_twice(tmp_path):
    rows, runs = tmp_path / "rows", tmp_path / "runs"
    command = [sys.executable, FOLDER / "run.py", "--lines", "1", "hardest", "virtual", "4"]
    command += ["--seeds", "0", "--jobs", "2", "--rows", rows, "--output", runs]
    command += ["--set", "train.steps_per_epoch=2", "train.hnet_warmup=1", "train.joint=1"]
    command += ["model.options.width=8"]
    subprocess.run(command, check=True)
    found = {path.name: path.stat().st_mtime_ns for path in rows.iterdir()}
    assert len(found) == 7
    result = json.loads((rows / "fashion-hardest-0.json").read_bytes())
    assert 0.05 < result["map"] < 1
    assert 0 < result["last_epoch"]["recognised"] <= 1
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "fashion hardest 0" not in again.stdout
    assert "| hardest | 1 |" in again.stdout
    assert found == {path.name: path.stat().st_mtime_ns for path in rows.iterdir()}
