import numpy as np
import tensorflow as tf

from ssah_tf.losses.consistency import consistency_loss, semantics

SUPPORT = np.float32([[1, 1], [1, -1], [-1, -1]])
LABELS = np.float32([[1, 0], [0, 1], [1, 1]])  # the third image has both labels


def test_semantics_by_hand():
    """u = (1, 1): similarities 1, 0, -1, at t = 0.1 weights of e^10, 1, e^-10."""
    weights = np.exp([10.0, 0.0, -10.0])
    weights /= weights.sum()
    expected = weights @ np.array([[1, 0], [0, 1], [0.5, 0.5]])
    np.testing.assert_allclose(semantics(np.float32([[1, 1]]), SUPPORT, LABELS)[0], expected)
    assert expected[0] > 0.9999


def test_loss_against_plain_numpy(rng):
    clean = np.tanh(rng.normal(size=(5, 8)))
    hard = np.tanh(rng.normal(size=(5, 8)))
    support = np.tanh(rng.normal(size=(4, 8)))
    labels = np.eye(3)[[0, 1, 2, 0]]

    def meaning(u):
        scores = np.exp(u @ support.T / 8 / 0.1)
        return scores / scores.sum(axis=1, keepdims=True) @ labels

    target = meaning(clean) ** 4
    target /= target.sum(axis=1, keepdims=True)
    found = meaning(hard)
    mean = found.mean(axis=0)
    expected = -np.mean(np.sum(target * np.log(found), axis=1)) + np.sum(mean * np.log(mean))
    tensors = [tf.constant(x, tf.float32) for x in (clean, hard, support, labels)]
    np.testing.assert_allclose(consistency_loss(*tensors), expected, rtol=1e-4)


def test_best_is_the_same_meaning_with_all_classes_in_use():
    """Certain of the right class, both classes used: 0 - log 2. One class for all: worse."""
    codes, support = SUPPORT[:2], SUPPORT[:2]
    labels = np.eye(2, dtype=np.float32)
    best = consistency_loss(*map(tf.constant, (codes, codes, support, labels)))
    np.testing.assert_allclose(best, -np.log(2), atol=1e-3)
    collapsed = consistency_loss(*map(tf.constant, (codes, codes[[0, 0]], support, labels)))
    assert float(collapsed) > 1


def test_gradient_is_for_the_hard_samples_only():
    clean, hard, support = (tf.Variable(x) for x in (SUPPORT[:2], SUPPORT[1:] * 0.5, SUPPORT))
    with tf.GradientTape() as tape:
        loss = consistency_loss(clean, hard, support, tf.constant(LABELS))
    of_clean, of_hard, of_support = tape.gradient(loss, [clean, hard, support])
    assert of_clean is None
    assert of_support is None
    assert np.any(of_hard.numpy())
