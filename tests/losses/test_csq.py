import numpy as np
from sklearn.metrics import log_loss

from ssah_tf.losses import CSQ


def built(classes=3, bits=16):
    loss = CSQ()
    loss.build((None, bits), (None, classes))
    return loss, loss.targets.numpy()


def test_is_the_cross_entropy_of_bits(rng):
    """Beside scikit-learn's, bit by bit."""
    loss, centres = built()
    codes = rng.uniform(-0.9, 0.9, (5, 16)).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]]
    bits = centres[labels.argmax(axis=1)] > 0
    expected = log_loss(bits.reshape(-1), (1 + codes.reshape(-1).astype(float)) / 2)
    np.testing.assert_allclose(loss(codes, labels, codes, labels), expected, rtol=1e-5)


def test_bits_that_are_quite_wrong_cost_no_more_than_a_chance_of_one_in_a_million():
    """-log 1e-6 = 13.8; the two right ones cost 1e-6 each, the two undecided ones log 2."""
    found = CSQ().to_bits(
        np.float32([[1, -1], [1, -1], [0, 0]]), np.float32([[0, 1], [1, 0], [1, 0.5]])
    )
    np.testing.assert_allclose(found, [13.8, 1e-6, np.log(2)], rtol=0.1)


def test_both_kinds_of_codes_weigh_the_same(rng):
    loss, _ = built()
    codes, others = rng.uniform(-0.9, 0.9, (2, 3, 16)).astype(np.float32)
    labels, other_labels = np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[[1, 1, 0]]
    one = loss(codes, labels, codes, labels)
    other = loss(others, other_labels, others, other_labels)
    found = loss(codes, labels, others, other_labels)
    np.testing.assert_allclose(found, (one + other) / 2, rtol=1e-6)


def test_centre_is_a_minimum():
    loss, centres = built()
    labels = np.eye(3, dtype=np.float32)
    assert loss(centres, labels, centres, labels) < 1e-4
    assert loss(-centres, labels, -centres, labels) > 10


def test_several_labels_have_the_majority_of_bits():
    """Three labels: the sign of the sum. Two that tie: the first one's bit."""
    loss, centres = built()
    code = np.sign(centres.sum(axis=0, keepdims=True))
    labels = np.ones((1, 3), np.float32)
    assert loss(code, labels, code, labels) < 1e-4
    labels = np.float32([[0, 1, 1]])
    assert (centres[1] != centres[2]).any()
    assert loss(centres[1:2], labels, centres[1:2], labels) < 1e-4


def test_against_a_distribution_it_is_the_mean_over_the_classes(rng):
    loss, _ = built()
    codes = rng.uniform(-0.9, 0.9, (4, 16)).astype(np.float32)
    shares = np.float32([[0.2, 0.5, 0.3]] * 4)
    each = [loss.sample_losses(codes, np.float32([row] * 4)).numpy() for row in np.eye(3)]
    found = loss.losses_to(codes, shares, None, None)
    np.testing.assert_allclose(found, shares[0] @ np.stack(each), rtol=1e-4)


def test_posterior_prefers_the_nearest_centre():
    loss, centres = built()
    found = loss.posterior(0.8 * centres, None, None).numpy()
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert found.argmax(axis=1).tolist() == [0, 1, 2]
