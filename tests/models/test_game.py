import keras
import numpy as np
import pytest
import tensorflow as tf

from ssah_tf.data import load_fashion, make_split
from ssah_tf.data.pipeline import training_batches
from ssah_tf.losses import SUPERVISED_LOSSES, Likelihood
from ssah_tf.models import SSAH, ANet, CompetencePace, HNet, RandomDeformation, SchedulePace
from ssah_tf.models.backbones import ConvNet
from ssah_tf.models.game import labelled_rows, unlabelled_rows
from ssah_tf.models.precision import default_policy

CLASSES, SIZE, BATCH = 10, 28, 8


def make_game(
    deformer="learned",
    loss="likelihood",
    pace=None,
    ema=False,
    seed=0,
    rate=0.05,
    optimizer=keras.optimizers.SGD,
    precision="float32",
    **kwargs,
):
    keras.utils.set_random_seed(seed)
    deformers = {
        # Few cells: among many, rounding alone would now and then choose another one.
        "learned": lambda: ANet(SIZE, width=4, scales=(2,)),
        "random": lambda: RandomDeformation(SIZE),
        "none": lambda: None,
    }
    with default_policy("mixed_bfloat16" if precision == "bfloat16" else precision):
        backbone = ConvNet(width=4)
    game = SSAH(
        HNet(backbone, 8),
        deformers[deformer](),
        SUPERVISED_LOSSES[loss](),
        pace or SchedulePace(4),
        seed=seed,
        **{"contrast": 0.2, "brightness": 0.1, **kwargs},
    )
    game.build(((None, SIZE, SIZE, 3), (None, CLASSES)))
    # Without a large epsilon Adam makes full steps of gradients that are rounding errors.
    own = {"momentum": 0.9} if optimizer is keras.optimizers.SGD else {"epsilon": 1e-3}
    game.compile(
        optimizer(rate, weight_decay=1e-3, use_ema=ema, ema_momentum=0.9, **own),
        keras.optimizers.Adam(1e-3, epsilon=1e-3),
    )
    return game


FASHION = load_fashion()


@pytest.fixture
def eager():
    """Steps run as Python: to trace one takes longer. Whole trainings trace those of all stages."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def batches(steps, ratio=1, seed=0, batch=BATCH):
    """Real images: with toy ones batch normalisation would blow rounding errors up."""
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(FASHION), (steps * batch, 1 + ratio))
    data = tf.data.Dataset.from_tensor_slices(
        {
            "images": FASHION.pixels[chosen],
            "labels": FASHION.labels[chosen[:, 0]].astype(np.float32),
        }
    )
    return data.batch(batch, drop_remainder=True)


def train(game, data, stages=("hnet_warmup", "anet_warmup", "joint")):
    logs = {}
    for stage in stages:
        game.begin(stage)
        logs[stage] = game.fit(data).history
    return logs


def snapshot(variables):
    return [v.numpy().copy() for v in variables]


def largest_change(before, variables):
    return max(float(np.max(np.abs(a - v.numpy()))) for a, v in zip(before, variables, strict=True))


def test_rows_of_a_batch():
    """Three rows of a labelled image and two others: 0 1 2 | 3 4 5 | 6 7 8."""
    rows = tf.reshape(tf.range(9), [9, 1])
    np.testing.assert_array_equal(labelled_rows(rows, 3)[:, 0], [0, 3, 6])
    np.testing.assert_array_equal(unlabelled_rows(rows, 3)[:, 0], [1, 2, 4, 5, 7, 8])


def test_a_posterior_without_support_needs_no_codes_of_labelled_images(eager):
    images = tf.reshape(next(iter(batches(1)))["images"], [-1, SIZE, SIZE, 3])
    games = [make_game(loss=loss, ema=True) for loss in ("likelihood", "orthohash")]
    with_support, without = (game.teacher_codes(images, 2) for game in games)
    assert len(with_support.labelled) == BATCH
    assert len(without.labelled) == 0
    assert len(without.unlabelled) == BATCH
    np.testing.assert_allclose(without.unlabelled, games[1].teacher(images[1::2]), atol=1e-6)
    assert len(games[1].teacher_codes(images, 1).unlabelled) == 0


def test_each_stage_updates_its_own_network(eager):
    game = make_game(pace=SchedulePace(0, end=1.0))  # no hard sample is hard enough
    hnet, anet = game.hnet.variables, game.deformer.trainable_variables
    h, a = snapshot(hnet), snapshot(anet)
    train(game, batches(2), ["hnet_warmup"])
    assert largest_change(h, hnet) > 0
    assert largest_change(a, anet) == 0
    h = snapshot(hnet)
    train(game, batches(2), ["anet_warmup"])
    assert largest_change(h, hnet) == 0  # not even its batch statistics
    assert largest_change(a, anet) > 0
    a = snapshot(anet)
    train(game, batches(2), ["joint"])
    assert largest_change(h, hnet) > 0
    assert largest_change(a, anet) > 0


def test_a_net_may_be_updated_every_third_joint_step(eager):
    game = make_game(update_every=3)
    anet = game.deformer.trainable_variables
    train(game, batches(2), ["anet_warmup"])
    changes, losses = [], []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            changes.append(largest_change(before[-1], anet) > 0)
            before.append(snapshot(anet))
            losses.append(logs.get("adversary"))

    before = [snapshot(anet)]
    game.begin("joint")
    game.fit(
        batches(4), epochs=2, steps_per_epoch=2, callbacks=[Look()]
    )  # an epoch ends between two updates
    assert changes == [True, False, False, True]
    assert losses[0] == losses[1]  # the mean over the steps that have one
    assert losses[2] is None
    game.fit(
        batches(2), epochs=3, initial_epoch=2, steps_per_epoch=2, first_batch=1
    )  # the sixth step
    assert largest_change(before[-1], anet) == 0


def test_step_1_does_not_depend_on_step_2_and_step_2_leaves_a_net(eager):
    """The same joint step with and without a learning rate of H-Net."""
    moving, still = make_game(), make_game()
    still.hnet_optimizer.learning_rate = 0.0
    before = snapshot(still.hnet.trainable_variables)
    for game in (moving, still):
        train(game, batches(1), ["joint"])
    assert largest_change(before, still.hnet.trainable_variables) == 0
    assert largest_change(before, moving.hnet.trainable_variables) > 0
    a_net = snapshot(still.deformer.trainable_variables)
    assert largest_change(a_net, moving.deformer.trainable_variables) < 1e-6


def test_logs_have_every_term_and_rho_rises(eager):
    logs = train(make_game(), batches(4))["joint"]
    terms = {"loss", "supervised", "hard", "consistency", "trusted", "quantisation", "balance"}
    assert set(logs) == terms | {"adversary", "rho"}
    assert logs["rho"][0] == pytest.approx(np.mean([0.1, 0.2, 0.3, 0.4]))


def test_total_is_the_weighted_sum(eager):
    game = make_game(
        hard_weight=2.0, consistency_weight=3.0, quantisation_weight=0.5, balance_weight=4.0
    )
    logs = {name: values[0] for name, values in train(game, batches(1), ["joint"])["joint"].items()}
    expected = (
        logs["supervised"]
        + 2 * logs["hard"]
        + 3 * logs["consistency"]
        + 0.5 * logs["quantisation"]
        + 4 * logs["balance"]
    )
    assert logs["loss"] == pytest.approx(expected, rel=1e-5)


def test_consistency_ramps_up(eager):
    """With 4 steps of rise the first joint step has none of it, the third half."""
    game = make_game("random", consistency_weight=3.0, ramp_steps=4)
    ramps = [float(game.ramp())]
    game.begin("joint")
    watch = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: ramps.append(float(game.ramp()))
    )
    game.fit(batches(5), callbacks=[watch])
    assert ramps == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]


@pytest.mark.parametrize("deformer", ["random", "none"])
def test_controls_train_without_an_adversary(deformer, eager):
    game = make_game(deformer)
    assert not game.has_adversary
    logs = train(game, batches(2), ["hnet_warmup", "joint"])["joint"]
    assert "adversary" not in logs
    assert ("hard" in logs) == (deformer == "random")


def test_without_unlabelled_images(eager):
    logs = train(make_game(), batches(2, ratio=0))["joint"]
    assert {"hard", "adversary"} <= set(logs)
    assert "consistency" not in logs


def test_teacher_is_h_net_with_its_averaged_weights(eager):
    game = make_game(ema=True)
    train(game, batches(3), ["hnet_warmup"])
    images = FASHION.pixels[:20]
    with game.averaged_weights() as hnet:
        expected = hnet(images).numpy()
    np.testing.assert_allclose(game.teacher(images), expected, atol=1e-6)
    assert np.max(np.abs(expected - game.hnet(images).numpy())) > 1e-3
    without = make_game()
    np.testing.assert_array_equal(without.teacher(images), without.hnet(images))


@pytest.mark.slow
def test_a_net_makes_the_task_of_a_frozen_h_net_harder_and_more_so_at_higher_rho():
    """On real images: A-Net alone is trained, the loss of H-Net on new hard samples compared."""
    images = FASHION
    split = make_split(
        images, labelled_per_class=30, validation_per_class=1, query_ids=images.ids[5000:]
    )
    common = {"size": SIZE, "batch": 30, "ratio": 1}
    data = training_batches(images, split, seed=0, **common).take(100)
    held_out = list(training_batches(images, split, seed=1, **common).take(6))

    keras.utils.set_random_seed(0)
    fill = (73, 73, 73)
    game = SSAH(
        HNet(ConvNet(8, mean=fill, std=(90, 90, 90)), 32),
        ANet(SIZE, fill, width=8),
        Likelihood(),
        SchedulePace(0, start=0.0, end=0.1),
    )
    game.build(((None, SIZE, SIZE, 3), (None, 10)))
    game.compile(keras.optimizers.SGD(0.05, momentum=0.9), keras.optimizers.Adam(3e-3))
    train(game, data, ["hnet_warmup"])

    def loss_of(deform):
        losses = []
        for number, batch in enumerate(held_out):
            x = tf.cast(batch["images"][:, 0], tf.float32)
            if deform:
                x = game.deformer.deform(x, tf.constant([99, number]))
            u = game.hnet(x)
            losses.append(float(game.supervised_loss(u, batch["labels"], u, batch["labels"])))
        return np.mean(losses)

    losses = [loss_of(deform=False), loss_of(deform=True)]
    frozen = snapshot(game.hnet.variables)
    for rho in (0.1, 0.5):
        game.pace.rho.assign(rho)
        train(game, data, ["anet_warmup"])
        losses.append(loss_of(deform=True))
    clean, untrained, low, high = losses
    assert largest_change(frozen, game.hnet.variables) == 0
    assert untrained > 1.2 * clean
    assert low > 1.15 * untrained
    assert high > 1.02 * low


@pytest.mark.slow
def test_two_devices_equal_one(mirrored):
    """The same global batch: weights, averages, pace and logs agree to 1e-5 after all stages.

    `test_devices.py` has more steps, more devices, and the other losses.
    """
    data = batches(2, batch=16)

    def make():
        pace = CompetencePace(wait=1, mastery=1.0, increment=0.2)
        # The steeper the loss, the faster rounding errors grow.
        return make_game(ema=True, pace=pace, rate=3e-4)

    one = make()
    before = snapshot(one.hnet.trainable_variables)
    expected = train(one, data)
    assert largest_change(before, one.hnet.trainable_variables) > 5e-5
    with mirrored.scope():
        two = make()
    found = train(two, data)
    assert len(one.variables) == len(two.variables)
    close = {"rtol": 1e-5, "atol": 1e-5}
    for a, b in zip(one.variables, two.variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), **close, err_msg=a.path)
    for a, b in zip(one.hnet_optimizer.variables, two.hnet_optimizer.variables, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), **close, err_msg=a.path)
    for stage, terms in expected.items():
        for name, values in terms.items():
            np.testing.assert_allclose(found[stage][name], values, rtol=1e-4, atol=1e-4)
    assert float(one.pace.rho.numpy()) > 0.1  # the competence did rise
    codes = [np.unpackbits(g.hnet.encode([FASHION.pixels[:100]])) for g in (one, two)]
    assert len(codes[1]) == 100 * 8  # every image once, not once a replica
    assert np.mean(codes[0] != codes[1]) < 0.001


def test_replicas_draw_different_numbers_and_together_those_of_one_device(mirrored):
    from ssah_tf.losses.global_batch import random_uniform

    seed = tf.constant([1, 2])
    whole = random_uniform(seed, (6, 3)).numpy()
    halves = mirrored.run(lambda: random_uniform(seed, (3, 3)))
    parts = [part.numpy() for part in mirrored.experimental_local_results(halves)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert np.any(parts[0] != parts[1])


@pytest.mark.slow
def test_saved_and_loaded_it_goes_on_alike(tmp_path):
    """Weights, both optimizers and the pace: training on gives the same weights, bit for bit."""
    game = make_game(ema=True)
    train(game, batches(2), ["joint"])
    game.save(tmp_path / "game.keras")
    loaded = keras.saving.load_model(tmp_path / "game.keras")
    for g in (game, loaded):
        train(g, batches(2, seed=5), ["joint"])
    for a, b in zip(game.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


@pytest.mark.slow
def test_weights_file_restores_everything(tmp_path):
    """What a checkpoint holds, loaded into a game with other weights."""
    game = make_game(ema=True)
    train(game, batches(2), ["joint"])
    game.save_weights(tmp_path / "game.weights.h5")
    other = make_game(ema=True, seed=3)
    other.seed = 0
    other.load_weights(tmp_path / "game.weights.h5")
    for g in (game, other):
        train(g, batches(2, seed=5), ["joint"])
    for a, b in zip(game.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


def test_averaged_weights_come_and_go(eager):
    game = make_game(ema=True)
    train(game, batches(3), ["hnet_warmup"])
    present = snapshot(game.hnet.trainable_variables)
    with game.averaged_weights() as hnet:
        inside = snapshot(hnet.trainable_variables)
    averages = game.hnet_optimizer._model_variables_moving_average
    for value, average in zip(inside, averages, strict=True):
        np.testing.assert_array_equal(value, average.numpy())
    assert any(np.any(a != b) for a, b in zip(present, inside, strict=True))
    assert largest_change(present, game.hnet.trainable_variables) == 0


@pytest.mark.slow
def test_same_seed_same_weights():
    first, second = make_game(), make_game()
    train(first, batches(2), ["joint"])
    train(second, batches(2), ["joint"])
    for a, b in zip(first.variables, second.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy(), err_msg=a.path)


def test_unknown_stage_is_refused():
    with pytest.raises(ValueError, match="stage"):
        make_game().begin("warmup")
