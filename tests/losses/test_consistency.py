import numpy as np
import tensorflow as tf

from ssah_tf.losses import Likelihood, OrthoHash, consistency_loss
from ssah_tf.losses.class_vote import class_vote

SUPPORT = np.float32([[1, 1], [1, -1], [-1, -1]])
LABELS = np.float32([[1, 0], [0, 1], [1, 1]])  # the third image has both labels


def test_vote_by_hand():
    """u = (1, 1): similarities 1, 0, -1, at t = 0.1 weights of e^10, 1, e^-10."""
    weights = np.exp([10.0, 0.0, -10.0])
    weights /= weights.sum()
    expected = weights @ np.array([[1, 0], [0, 1], [0.5, 0.5]])
    np.testing.assert_allclose(class_vote(np.float32([[1, 1]]), SUPPORT, LABELS)[0], expected)
    assert expected[0] > 0.9999


def test_an_image_without_a_label_votes_for_nothing():
    """Two equal codes, one of them without a label: half of the vote is lost."""
    vote = class_vote(np.float32([[1, 1]]), SUPPORT[[0, 0]], np.float32([[1, 0], [0, 0]]))
    np.testing.assert_allclose(vote, [[0.5, 0]], rtol=1e-6)


def test_loss_of_hard_samples_against_what_their_images_stand_for(rng):
    """By hand for a pair loss: pseudo-labels against the vote of H-Net's codes, two trusted."""
    hard, support = (np.tanh(rng.normal(size=(n, 8))).astype(np.float32) for n in (3, 4))
    labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    targets = rng.dirichlet(np.ones(3), 3).astype(np.float32)
    trust = np.float32([1, 0, 1])
    found = class_vote(hard, support, labels).numpy()
    losses = -np.sum(targets * np.log(found + 1e-8), axis=1)
    tensors = [tf.constant(x) for x in (hard, support, targets, trust, labels)]
    np.testing.assert_allclose(
        consistency_loss(Likelihood(), *tensors), (losses[0] + losses[2]) / 3, rtol=1e-5
    )


def test_a_class_that_the_vote_rules_out_costs_much_but_not_endlessly():
    """The vote for it is e^-20 = 2e-9: its loss is -log(2e-9 + 1e-8) = 18.23, and no NaN."""
    losses = Likelihood().losses_to(
        tf.constant([[1.0, 1.0]]),
        tf.constant([[0.0, 1.0]]),
        tf.constant([[1.0, 1.0], [-1.0, -1.0]]),
        tf.eye(2),
    )
    np.testing.assert_allclose(losses, [-np.log(np.exp(-20) / (1 + np.exp(-20)) + 1e-8)], rtol=1e-4)


def test_gradient_is_for_the_hard_samples_only():
    hard, support = tf.Variable(SUPPORT[1:] * 0.5), tf.Variable(SUPPORT)
    with tf.GradientTape() as tape:
        loss = consistency_loss(
            Likelihood(), hard, support, tf.eye(2), tf.ones(2), tf.constant(LABELS)
        )
    of_hard, of_support = tape.gradient(loss, [hard, support])
    assert np.any(of_hard.numpy())
    assert of_support is None


def test_losses_of_a_pair_loss_are_the_cross_entropy_of_the_vote(rng):
    codes = np.tanh(rng.normal(size=(5, 8))).astype(np.float32)
    support = np.tanh(rng.normal(size=(4, 8))).astype(np.float32)
    labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    targets = rng.dirichlet(np.ones(3), 5).astype(np.float32)
    scores = np.exp(codes @ support.T / 8 / 0.1)
    vote = scores / scores.sum(axis=1, keepdims=True) @ labels
    expected = -np.sum(targets * np.log(vote + 1e-8), axis=1)
    tensors = [tf.constant(x) for x in (codes, targets, support, labels)]
    np.testing.assert_allclose(Likelihood().losses_to(*tensors), expected, rtol=1e-4)


def test_orthohash_reads_classes_off_its_targets(rng):
    """A target's own code has cosine 1 to it; the loss is that of labels, which may be soft."""
    loss = OrthoHash()
    loss.build((None, 16), (None, 4))
    codes = tf.convert_to_tensor(loss.targets)
    posterior = loss.posterior(codes, None, None).numpy()
    assert np.argmax(posterior, axis=1).tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(posterior.sum(axis=1), 1, rtol=1e-6)
    one_hot = tf.eye(4)
    np.testing.assert_array_equal(
        loss.losses_to(codes, one_hot, None, None), loss.sample_losses(codes, one_hot)
    )
    other = tf.constant(rng.normal(size=(4, 16)), tf.float32)
    half = tf.constant([[0.5, 0.5, 0, 0]] * 4)
    scores = loss.class_scores(other).numpy() - 10 * 0.2 * half.numpy()
    log_softmax = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(
        loss.losses_to(other, half, None, None), -log_softmax[:, :2].mean(axis=1), rtol=1e-4
    )
