import numpy as np
import pytest
import tensorflow as tf

from ssah_tf.models.pseudo_labels import AdaptiveThreshold, FixedThreshold, PseudoLabels

POSTERIOR = np.float32([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.97, 0.02, 0.01]])
LABELS = np.float32([[1, 0, 0], [0, 1, 1]])


def called(layer, posterior=POSTERIOR):
    return [x.numpy() for x in layer(tf.constant(posterior), tf.constant(LABELS))]


def test_soft_is_the_posterior_and_trusts_it():
    targets, trust = called(PseudoLabels())
    np.testing.assert_allclose(targets, POSTERIOR)
    assert trust.tolist() == [1, 1, 1]


def test_alignment_by_hand():
    """Without inertia: found .6567 .2733 .07; given, the two halves of a label each, .5 .25 .25."""
    targets, _ = called(PseudoLabels(align=True, momentum=0.0))
    expected = POSTERIOR * np.array([0.5, 0.25, 0.25]) / POSTERIOR.mean(axis=0)
    np.testing.assert_allclose(targets, expected / expected.sum(axis=1, keepdims=True), rtol=1e-4)
    assert np.argmax(targets[0]) == 0
    assert targets[0, 2] > POSTERIOR[0, 2]  # a class that is found too seldom


def test_fixed_threshold_chooses_one_class_and_trusts_from_the_threshold_on():
    targets, trust = called(FixedThreshold(threshold=0.6))
    np.testing.assert_array_equal(targets, np.eye(3)[[0, 1, 0]])
    assert trust.tolist() == [1, 1, 1]
    assert called(FixedThreshold(threshold=0.95))[1].tolist() == [0, 0, 1]


def test_adaptive_threshold_by_hand():
    """Without inertia tau is the mean of .7 .6 .97, .757, times .416 for the second class."""
    layer = AdaptiveThreshold(momentum=0.0)
    targets, trust = called(layer)
    np.testing.assert_array_equal(targets, np.eye(3)[[0, 1, 0]])
    assert trust.tolist() == [0, 1, 1]  # .7 < .757, .6 >= .315, .97 >= .757
    np.testing.assert_allclose(layer.confidence.numpy(), POSTERIOR.max(axis=1).mean(), rtol=1e-6)


def test_adaptive_threshold_begins_at_chance_and_follows_slowly():
    layer = AdaptiveThreshold(momentum=0.9)
    called(layer)
    np.testing.assert_allclose(
        layer.confidence.numpy(), 0.9 / 3 + 0.1 * POSTERIOR.max(axis=1).mean(), rtol=1e-6
    )


@pytest.mark.parametrize(
    "make", [lambda: PseudoLabels(momentum=1.0), lambda: FixedThreshold(threshold=1.5)]
)
def test_refuses_bad_values(make):
    with pytest.raises(ValueError, match="Received"):
        make()
