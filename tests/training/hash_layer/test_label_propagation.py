"""Labels propagated to images whose class is probable enough."""

import numpy as np
import pytest

from ssah_tf.training.hash_layer import label_propagation, label_views
from ssah_tf.training.hash_layer.label_propagation import (
    class_posterior,
    cost_of,
    folds_of,
    propagate_labels,
    view_weights,
    with_constant,
)


def clusters(count, seed=0, spread=0.15, classes=3, size=8):
    """Points around orthogonal directions, in turns one of each class, and their classes."""
    rng = np.random.default_rng(seed)
    which = np.arange(classes * count) % classes
    points = np.eye(size)[which] + spread * rng.normal(size=(classes * count, size))
    return points.astype(np.float32), which


def hot(which, classes=3):
    """Labels of one class each."""
    return np.eye(classes, dtype=np.uint8)[which]


def test_the_neighbourhood_gives_the_label():
    points, which = clusters(50)
    rows, given = propagate_labels(points, hot(which[:6]), 0.5)
    assert len(rows) > 130
    assert (np.diff(rows) > 0).all()
    assert rows[0] >= 6
    np.testing.assert_array_equal(given.sum(axis=1), 1)
    assert given.dtype == np.uint8
    assert (given.argmax(axis=1) == which[rows]).mean() > 0.95


def test_the_least_certain_is_left_alone():
    """A point halfway between two classes, among clear ones, gets none."""
    points, which = clusters(40, spread=0.05)
    points[60] = (points[which == 0].mean(axis=0) + points[which == 1].mean(axis=0)) / 2
    certain = np.sort(class_posterior(points, hot(which[:15]))[15:].max(axis=1))
    rows, _ = propagate_labels(points, hot(which[:15]), certain[:2].mean())
    np.testing.assert_array_equal(rows, np.delete(np.arange(15, 120), 60 - 15))


def test_a_higher_threshold_gives_fewer_and_better_labels():
    points, which = clusters(100, seed=1, spread=0.6)
    found = [propagate_labels(points, hot(which[:30]), t) for t in (0.3, 0.5, 0.9)]
    counts = [len(rows) for rows, _ in found]
    assert counts[0] > counts[1] > counts[2] > 0
    right = [(labels * hot(which[rows])).sum() / labels.sum() for rows, labels in found]
    assert right[0] < right[1] < right[2]


@pytest.mark.parametrize("spread", [0.2, 0.4, 0.5])
def test_the_posterior_is_calibrated(spread):
    """It is as certain as it is right, on easy sets and on hard ones."""
    points, which = clusters(200, seed=2, spread=spread)
    posterior = class_posterior(points, hot(which[:60]))
    np.testing.assert_allclose(posterior.sum(axis=1), 1, atol=1e-6)
    right = (posterior[60:].argmax(axis=1) == which[60:]).mean()
    assert abs(posterior[60:].max(axis=1).mean() - right) < 0.06
    assert right > (0.95 if spread < 0.3 else 0.75)


def test_the_view_that_knows_counts():
    """Each class lies in two places on opposite sides, so that its mean says nothing; with all in
    one place the mean does. The weights follow, by the held-out images."""
    rng = np.random.default_rng(0)
    which = np.arange(400) % 2
    place = np.eye(4)[2 * (np.arange(400) // 2 % 2) + which]
    apart = (place + 0.1 * rng.normal(size=(400, 4))).astype(np.float32)
    posterior = class_posterior(apart, hot(which[:40], 2))
    assert (posterior[40:].argmax(axis=1) == which[40:]).mean() > 0.95


def test_a_view_without_knowledge_has_no_weight(rng):
    labels = hot(np.arange(300) % 3)
    knows = 3 * labels + rng.normal(size=labels.shape)
    noise = rng.normal(size=labels.shape)
    weights = view_weights(
        with_constant(np.stack([knows, noise, -knows])), labels, np.array([0.5, 0.5, 0.5, 0]), False
    )
    assert weights[0] > 1
    assert weights[1] < 0.2
    assert weights[2] == 0


@pytest.mark.parametrize("several", [False, True])
def test_the_weights_are_the_best(rng, several):
    """No other weights that are allowed have a lower cost."""
    labels = (
        (rng.random((200, 4)) < 0.4).astype(np.uint8) if several else hot(np.arange(200) % 4, 4)
    )
    scores = with_constant(
        np.stack([labels * s + rng.normal(size=labels.shape) for s in (2, 1, -0.5)])
    )
    prior = np.array([0.5, 0.5, 0.5, 0])
    weights = view_weights(scores, labels, prior, several)
    least = cost_of(weights, scores, labels, prior, several)
    assert (weights[:-1] >= 0).all()
    assert (weights[-1] < 0) == several  # under a half of all classes; softmax needs no constant
    for _ in range(200):
        other = weights + rng.normal(0, 0.05, 4)
        other[:-1] = np.maximum(other[:-1], 0)
        assert cost_of(other, scores, labels, prior, several) > least - 1e-6


def test_few_held_out_images_move_the_weights_less():
    labels = hot(np.arange(3))
    prior = np.array([0.5, 0])
    knows = with_constant(labels[None].astype(float))
    few = view_weights(knows, labels, prior, False)
    many = view_weights(np.tile(knows, (1, 100, 1)), np.tile(labels, (100, 1)), prior, False)
    assert 0.5 < few[0] < 2 < many[0]


def test_folds():
    """Each class is dealt evenly, and the only image of a class is in none."""
    labels = hot([0, 0, 0, 0, 0, 0, 1, 1, 2], 3)
    parts = folds_of(labels, np.arange(9))
    assert sorted(np.concatenate(parts)) == list(range(8))
    for part in parts:
        assert (labels[part, 0].sum(), labels[part, 2].sum()) == (2, 0)
        assert labels[part, 1].sum() <= 1
    np.testing.assert_array_equal(np.concatenate(folds_of(labels, np.array([0, 6, 8]))), [0, 6])
    assert folds_of(hot([0, 1, 2]), np.arange(3)) == []


def test_folds_of_images_with_several_labels_or_none():
    """An image is dealt by its rarest class; one without a class is not held out."""
    labels = np.array([[1, 1], [1, 1], [1, 1], [1, 0], [1, 0], [1, 0], [0, 0]], np.uint8)
    parts = folds_of(labels, np.arange(7))
    assert sorted(np.concatenate(parts)) == list(range(6))
    for part in parts:
        np.testing.assert_array_equal(labels[part].sum(axis=0), [2, 1])


def test_one_label_a_class():
    """Nothing can be held out: both views count."""
    points, which = clusters(50)
    rows, given = propagate_labels(points, hot(which[:3]), 0.5)
    assert len(rows) > 100
    assert (given.argmax(axis=1) == which[rows]).mean() > 0.95


def test_a_class_without_a_labelled_image_is_given_to_nobody():
    points, which = clusters(50)
    labels = np.zeros((6, 5), np.uint8)
    labels[np.arange(6), np.array([0, 2, 4])[which[:6]]] = 1
    rows, given = propagate_labels(points, labels, 0.5)
    assert not given[:, [1, 3]].any()
    np.testing.assert_array_equal(given[:, [0, 2, 4]].argmax(axis=1), which[rows])
    rows, given = propagate_labels(points, np.zeros((6, 5), np.uint8), 0.5)
    assert (rows.shape, given.shape) == ((0,), (0, 5))


@pytest.mark.parametrize("unlabelled", [0, 1, 3])
def test_few_unlabelled_images(unlabelled):
    points, which = clusters(20, spread=0.1)
    known = len(points) - unlabelled
    rows, given = propagate_labels(points, hot(which[:known]), 0.5)
    np.testing.assert_array_equal(rows, np.arange(known, len(points)))
    np.testing.assert_array_equal(given, hot(which[known:]))


def test_few_images_at_all():
    """Fewer than a neighbour could be found for."""
    points, which = clusters(2, spread=0.1)
    rows, given = propagate_labels(points, hot(which[:3]), 0.4)
    np.testing.assert_array_equal(given, hot(which[rows]))
    assert len(rows) == 3


def test_images_with_several_labels():
    """Images that show two classes are told from those that show one."""
    rng = np.random.default_rng(0)
    kinds = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1]], np.uint8)
    truth = np.tile(kinds, (60, 1))
    points = (truth @ np.eye(3, 10) + 0.15 * rng.normal(size=(300, 10))).astype(np.float32)
    rows, given = propagate_labels(points, truth[:60], 0.5)
    assert len(rows) > 0.9 * 240
    assert (given == truth[rows]).mean() > 0.95
    assert ((given == truth[rows]).all(axis=1))[truth[rows].sum(axis=1) == 2].mean() > 0.85


def test_an_image_with_a_doubtful_class_is_given_none_of_several():
    """It shows one class for sure and a part of another: what it shows in all is not known."""
    rng = np.random.default_rng(0)
    kinds = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1]], np.uint8)
    truth = np.tile(kinds, (60, 1))
    shown = truth @ np.eye(3, 10)
    shown[103] = [1, 0.6] + 8 * [0]
    points = (shown + 0.1 * rng.normal(size=(300, 10))).astype(np.float32)
    doubt = class_posterior(points, truth[:60])[103]
    assert doubt[0] > 0.8
    assert 0.1 < doubt[1] < 0.9
    rows, _ = propagate_labels(points, truth[:60], 0.9)
    assert 103 not in rows
    assert len(rows) > 0.7 * 240


def test_an_image_without_a_class_counts_for_none():
    points, which = clusters(50)
    labels = hot(which[:9])
    labels[8] = 0
    rows, given = propagate_labels(points, labels, 0.5)
    assert (given.argmax(axis=1) == which[rows]).mean() > 0.95


def test_labels_that_the_features_have_learnt_are_not_held_out(monkeypatch):
    """The views of the others are asked for with these labels alone."""
    points, which = clusters(30)
    asked = []
    real = label_views.LabelViews.scores

    def scores(self, known, labels):
        asked.append(known)
        return real(self, known, labels)

    monkeypatch.setattr(label_views.LabelViews, "scores", scores)
    class_posterior(points, hot(which[:12]), unseen=np.arange(6, 12))
    assert len(asked) == label_propagation.FOLDS + 1
    for known in asked:
        assert set(range(6)) <= set(known)
    held = [set(range(12)) - set(known) for known in asked]
    assert set.union(*held) == set(range(6, 12))


def test_the_same_again_and_in_any_order():
    points, which = clusters(60, seed=5, spread=0.5)
    labels = hot(which[:12])
    first = class_posterior(points, labels)
    np.testing.assert_array_equal(class_posterior(points, labels), first)
    order = np.concatenate([np.arange(12), 12 + np.random.default_rng(0).permutation(168)])
    np.testing.assert_allclose(class_posterior(points[order], labels), first[order], atol=1e-3)


def test_a_signal_ends_it(monkeypatch):
    def ends():
        raise KeyboardInterrupt

    points, which = clusters(20)
    monkeypatch.setattr(label_views, "raise_if_ending", ends)
    with pytest.raises(KeyboardInterrupt):
        propagate_labels(points, hot(which[:6]), 0.5)
