import numpy as np
import pytest
import tensorflow as tf

from ssah_tf.losses import (
    SUPERVISED_LOSSES,
    Contrastive,
    Likelihood,
    adversarial_loss,
    bit_balance_loss,
    own_pair_adversarial_loss,
    quantisation_loss,
)
from ssah_tf.losses.pairs import balanced_mean, code_distance, own_distance, shares_label


@pytest.fixture
def batch(rng):
    codes = np.tanh(rng.normal(size=(6, 8))).astype(np.float32)
    hard = np.tanh(rng.normal(size=(6, 8))).astype(np.float32)
    labels = np.zeros((6, 3), np.float32)
    labels[np.arange(6), [0, 0, 1, 1, 2, 0]] = 1
    labels[4, 0] = 1  # an image with two labels
    return codes, hard, labels


def loops(codes, others, labels, similar, dissimilar):
    """Mean over similar pairs plus mean over dissimilar ones, halved; by plain loops."""
    sums = {True: [], False: []}
    for u, label in zip(codes, labels, strict=True):
        for v, other in zip(others, labels, strict=True):
            same = bool(np.any((label > 0) & (other > 0)))
            distance = (1 - np.dot(u, v) / len(u)) / 2
            sums[same].append(similar(distance) if same else dissimilar(distance))
    return (np.mean(sums[True]) + np.mean(sums[False])) / 2


def test_distance_is_hamming_over_bits_for_binary_codes():
    u = np.float32([[1, 1, 1, -1]])
    v = np.float32([[1, 1, 1, -1], [-1, -1, -1, 1], [1, -1, 1, -1]])
    np.testing.assert_allclose(code_distance(u, v), [[0, 1, 0.25]])
    np.testing.assert_allclose(own_distance(u, v[2:]), [0.25])


def test_distance_of_relaxed_codes():
    """u.v / K = (1/4 + 1/4) / 2 = 1/4 and (1/2 - 3/4) / 2 = -1/8."""
    u, v = np.float32([[0.5, 0.25]]), np.float32([[0.5, 1], [1, -3]])
    np.testing.assert_allclose(code_distance(u, v), [[0.375, 0.5625]])
    np.testing.assert_allclose(own_distance(u[[0, 0]], v), [0.375, 0.5625])


def test_similar_means_a_shared_label():
    labels = np.float32([[1, 1, 0], [0, 1, 1], [0, 0, 1]])
    np.testing.assert_array_equal(shares_label(labels, labels), [[1, 1, 0], [1, 1, 1], [0, 1, 1]])


def test_both_kinds_of_pairs_weigh_the_same():
    """One similar pair of 3, three dissimilar ones of mean 2: (3 + 2) / 2."""
    values, similar = np.float32([[3, 1, 2, 3]]), np.float32([[1, 0, 0, 0]])
    assert float(balanced_mean(tf.constant(values), tf.constant(similar))) == 2.5
    assert float(balanced_mean(tf.constant(values), tf.ones([1, 4]))) == 9 / 4 / 2


@pytest.mark.parametrize("margin", [0.3, 0.5, 0.9])
def test_contrastive(batch, margin):
    codes, hard, labels = batch
    expected = loops(codes, hard, labels, lambda d: d, lambda d: max(0, margin - d))
    loss = Contrastive(margin)(codes, labels, hard, labels)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_likelihood(batch):
    """With t = scale (1 - 2 d), since u.v / K = 1 - 2 d."""
    codes, hard, labels = batch
    expected = loops(
        codes,
        hard,
        labels,
        lambda d: np.log1p(np.exp(-4 * (1 - 2 * d))),
        lambda d: np.log1p(np.exp(4 * (1 - 2 * d))),
    )
    loss = Likelihood(scale=4.0)(codes, labels, hard, labels)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0])
def test_adversarial(batch, rho):
    _, hard, labels = batch
    expected = loops(
        hard, hard, labels, lambda d: max(0, rho / 2 - d), lambda d: max(0, d - (1 - rho) / 2)
    )
    np.testing.assert_allclose(adversarial_loss(hard, labels, rho), expected, rtol=1e-5, atol=1e-7)


def test_adversarial_at_its_ends():
    """rho = 1 wants similar pairs apart and one code for all classes; rho = 0 wants nothing."""
    codes = np.float32([[1, 1], [-1, -1]])
    one_class, two_classes = np.ones((2, 1), np.float32), np.eye(2, dtype=np.float32)
    # One class: the two own pairs have d = 0 and lack 1/2, the two others have d = 1.
    assert float(adversarial_loss(codes, one_class, 1.0)) == 0.25 / 2
    # Two classes with one code: own pairs lack 1/2, the others are as asked.
    assert float(adversarial_loss(codes[[0, 0]], two_classes, 1.0)) == 0.5 / 2
    assert float(adversarial_loss(codes[[0, 0]], two_classes, 0.0)) == 0
    assert float(adversarial_loss(codes, one_class, 0.0)) == 0


def test_own_pair_adversarial():
    """d = 0, 1/4, 1/2, 1 at rho = 0.8: (0.4 + 0.15 + 0 + 0) / 4."""
    u = np.ones((4, 2), np.float32)
    v = np.float32([[1, 1], [1, 0], [1, -1], [-1, -1]])
    np.testing.assert_allclose(own_pair_adversarial_loss(u, v, 0.8), 0.55 / 4, rtol=1e-6)


def test_quantisation():
    np.testing.assert_allclose(quantisation_loss(np.float32([[1, -1, 0.5, 0]])), 1.5 / 4)


def test_bit_balance():
    """Means of the three bits: 0, 1 and -1/2; (0 + 1 + 1/4) / 3."""
    u = np.float32([[1, 1, -1], [-1, 1, 0]])
    np.testing.assert_allclose(bit_balance_loss(u), 1.25 / 3, rtol=1e-6)


@pytest.mark.parametrize("name", SUPERVISED_LOSSES)
def test_every_loss_falls_when_codes_follow_labels(name, batch):
    codes, _, labels = batch
    labels = labels.copy()
    labels[4, 0] = 0
    loss = SUPERVISED_LOSSES[name]()
    variable = tf.Variable(codes)
    before = float(loss(variable, labels, variable, labels))
    optimizer = tf.keras.optimizers.Adam(0.2)
    for _ in range(30):
        with tf.GradientTape() as tape:
            u = tf.tanh(variable)
            value = loss(u, labels, u, labels)
        optimizer.apply_gradients([(tape.gradient(value, variable), variable)])
    assert float(value) < 0.7 * before
    bits = np.sign(variable.numpy())
    distance = (1 - bits @ bits.T / 8) / 2
    same = labels @ labels.T > 0
    assert distance[same].max() < distance[~same].min()


@pytest.mark.parametrize(
    ("kind", "defaults"),
    [
        ("contrastive", {"margin": 0.5}),
        ("likelihood", {"scale": 8.0}),
        ("csq", {"scale": 10.0, "seed": 0}),
        ("orthohash", {"scale": 10.0, "margin": 0.2, "seed": 0}),
    ],
)
def test_defaults_are_those_of_the_docs(kind, defaults):
    config = SUPERVISED_LOSSES[kind]().get_config()
    assert {name: config[name] for name in defaults} == defaults


@pytest.mark.parametrize(
    ("kind", "edge"),
    [
        ("contrastive", {"margin": 0.01}),
        ("orthohash", {"margin": 0.99}),
        ("csq", {"scale": 1}),
        ("likelihood", {"scale": 0.01}),
        ("csq", {"scale": 0.01}),
        ("orthohash", {"margin": 0}),
        ("contrastive", {"margin": 1}),
    ],
)
def test_takes_what_is_just_allowed(kind, edge):
    loss = SUPERVISED_LOSSES[kind](**edge)
    (name,) = edge
    assert loss.get_config()[name] == edge[name]


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        ("contrastive", {"margin": 0}),
        ("contrastive", {"margin": 1.5}),
        ("contrastive", {"margin": -0.5}),
        ("orthohash", {"margin": 1.5}),
        ("csq", {"scale": -1}),
        ("csq", {"scale": 0.0}),
        ("likelihood", {"scale": 0.0}),
        ("likelihood", {"scale": 0}),
        ("orthohash", {"margin": 1}),
        ("orthohash", {"margin": -0.1}),
        ("csq", {"scale": 0}),
        ("likelihood", {"scale": -1}),
    ],
)
def test_refuses(kind, wrong):
    with pytest.raises(ValueError, match="Received"):
        SUPERVISED_LOSSES[kind](**wrong)
