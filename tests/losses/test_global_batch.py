"""Losses and random numbers over the global batch: two devices share what one does alone."""

import numpy as np
import pytest
import tensorflow as tf

from ssah_tf.losses import (
    SUPERVISED_LOSSES,
    adversarial_loss,
    bit_balance_loss,
    own_pair_adversarial_loss,
    quantisation_loss,
)
from ssah_tf.losses.global_batch import (
    gather_batch,
    random_gumbel,
    random_uniform,
    replica_count,
    replica_id,
    sum_over_replicas,
)

CODES = np.tanh(np.random.default_rng(0).normal(size=(6, 8))).astype(np.float32)
HARD = np.tanh(np.random.default_rng(1).normal(size=(6, 8))).astype(np.float32)
LABELS = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 1]]


def on_two(strategy, function, *arrays):
    """What each of two devices makes of its half of the rows, first device first."""

    def halves(context):
        half = slice(3 * context.replica_id_in_sync_group, 3 + 3 * context.replica_id_in_sync_group)
        return tuple(tf.constant(array[half]) for array in arrays)

    given = strategy.experimental_distribute_values_from_function(halves)

    @tf.function
    def run(given):
        return strategy.run(lambda rows: function(*rows), (given,))

    return [value.numpy() for value in strategy.experimental_local_results(run(given))]


def test_between_the_devices_there_is_no_number(mirrored):
    """Where weights are made, under a strategy but on no device, it counts as the first."""
    with mirrored.scope():
        assert replica_id().numpy() == 0
        assert replica_count() == 2


def test_outside_of_a_strategy_there_is_one_device():
    assert replica_count() == 1
    assert replica_id().numpy() == 0
    tensor = tf.constant(CODES)
    assert gather_batch(tensor) is tensor
    assert sum_over_replicas(tensor) is tensor


def test_rows_are_gathered_in_order(mirrored):
    first, second = on_two(mirrored, gather_batch, CODES)
    np.testing.assert_array_equal(first, CODES)
    np.testing.assert_array_equal(second, CODES)


def test_sums_and_numbers_of_the_devices(mirrored):
    first, second = on_two(mirrored, sum_over_replicas, CODES)
    np.testing.assert_array_equal(first, CODES[:3] + CODES[3:])
    np.testing.assert_array_equal(second, first)
    assert [int(v) for v in on_two(mirrored, lambda _: replica_id(), CODES)] == [0, 1]
    doubled = on_two(mirrored, lambda rows: rows * replica_count(), CODES)
    np.testing.assert_array_equal(np.concatenate(doubled), 2 * CODES)


@pytest.mark.parametrize("draw", [random_uniform, random_gumbel])
def test_devices_draw_the_rows_that_one_would(mirrored, draw):
    seed = np.int32([3, 4])
    alone = draw(tf.constant(seed), (6, 5)).numpy()
    halves = on_two(mirrored, lambda _: draw(tf.constant(seed), (3, 5)), CODES)
    np.testing.assert_allclose(np.concatenate(halves), alone, rtol=1e-6)
    assert np.any(halves[0] != halves[1])


def test_uniform_numbers_keep_their_bounds():
    drawn = random_uniform(tf.constant([1, 2]), (2000,), -3.0, 5.0).numpy()
    assert -3 <= drawn.min() < -2.9
    assert 4.9 < drawn.max() < 5
    assert drawn.mean() == pytest.approx(1, abs=0.2)
    drawn = random_uniform(tf.constant([1, 2]), (2000,)).numpy()
    assert 0 <= drawn.min() < 0.01
    assert 0.99 < drawn.max() < 1


def test_gumbel_noise_has_its_mean_and_spread():
    """Mean 0.5772 (Euler's constant), standard deviation pi / sqrt(6) = 1.2825."""
    drawn = random_gumbel(tf.constant([1, 2]), (100_000,)).numpy()
    assert drawn.mean() == pytest.approx(0.5772, abs=0.02)
    assert drawn.std() == pytest.approx(1.2825, abs=0.02)


@pytest.mark.parametrize(
    ("function", "arrays"),
    [
        (quantisation_loss, (CODES,)),
        (bit_balance_loss, (CODES,)),
        (lambda hard, labels: adversarial_loss(hard, labels, 0.8), (HARD, LABELS)),
        (lambda u, v: own_pair_adversarial_loss(u, v, 0.8), (CODES, CODES)),
    ],
    ids=["quantisation", "bit balance", "adversarial", "own pair"],
)
def test_shares_of_two_devices_add_up_to_the_loss_of_one(mirrored, function, arrays):
    alone = function(*map(tf.constant, arrays)).numpy()
    assert alone > 1e-3
    assert sum(on_two(mirrored, function, *arrays)) == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("name", SUPERVISED_LOSSES)
def test_shares_of_every_supervised_loss(mirrored, name):
    loss = SUPERVISED_LOSSES[name]()
    loss.build((None, 8), (None, 3))
    arrays = (CODES, LABELS, HARD, LABELS)
    alone = loss(*map(tf.constant, arrays)).numpy()
    assert sum(on_two(mirrored, loss, *arrays)) == pytest.approx(alone, rel=1e-5)
