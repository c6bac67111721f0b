"""Suggestions from features: the order, the copies, what labels change."""

import numpy as np
import pytest

from ssah_tf.training.hash_layer import features as features_module
from ssah_tf.training.hash_layer.label_propagation import class_posterior
from ssah_tf.training.labelling.suggest import Belief, choose, one_of_copies, points_of, suggest


def made(sizes, spread=0.02, seed=0, width=32):
    """Features around one direction a class, the classes, and made-up digests."""
    rng = np.random.default_rng(seed)
    which = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    features = np.abs(np.eye(width)[which] + spread * rng.normal(size=(len(which), width)))
    return features.astype(np.float32), which, [f"{i:064x}" for i in range(len(which))]


def labels_of(which, known):
    labels = np.eye(which.max() + 1, dtype=np.uint8)[which]
    labels[np.setdiff1d(np.arange(len(which)), known)] = 0
    return labels


NONE = np.array([], int)


def certainty(features, labels, known):
    return Belief.of(features, labels).certainty(known, len(features))


def test_all_classes_come_first():
    features, which, digests = made([80, 40, 40, 20, 10])
    found = suggest(features, labels_of(which, NONE), digests, 5)
    assert sorted(which[found]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("known", [NONE, np.arange(12)])
def test_fewer_are_the_first_of_more(known):
    features, which, digests = made([60, 30, 30], spread=0.1)
    labels = labels_of(which, known)
    found = suggest(features, labels, digests, 50)
    assert len(set(found.tolist())) == 50
    assert not np.isin(found, known).any()
    for count in (1, 20):
        np.testing.assert_array_equal(suggest(features, labels, digests, count), found[:count])


def test_classes_without_a_label_come_first():
    features, which, digests = made([50, 50, 50, 50])
    known = np.concatenate([np.flatnonzero(which == c)[:2] for c in (0, 2)])
    found = suggest(features, labels_of(which, known), digests, 2)
    assert sorted(which[found]) == [1, 3]


def test_copies_come_once_and_those_of_labelled_photos_never():
    features, which, digests = made([20, 20], spread=0.2)
    twice = np.concatenate([features, features])
    known = np.array([45])  # the copy of the sixth
    labels = labels_of(np.concatenate([which, which]), known)
    found = suggest(twice, labels, [*digests, *digests], 100)
    assert sorted(found) == [i for i in range(40) if i != 5]


def test_equal_features_of_other_contents_come_once():
    """Of a burst."""
    features, which, digests = made([20, 20], spread=0.2)
    labels = labels_of(np.concatenate([which, which]), NONE)
    other = [digest.replace("0", "f") for digest in digests]
    again = np.concatenate([features, features * 1.001])
    assert len(suggest(again, labels, [*digests, *other], 100)) == 40


def test_one_of_copies():
    digests = ["a", "b", "a", "c", "b", "a"]
    assert one_of_copies(digests, np.array([4]), np.arange(6)).tolist() == [0, 3, 4]
    assert one_of_copies(digests, np.array([4]), np.array([1, 2, 5])).tolist() == [2, 4]


def test_what_is_set_aside_is_not_suggested_but_its_copy_is():
    features, which, digests = made([20, 20], spread=0.2)
    labels = labels_of(np.concatenate([which, which]), NONE)
    points, twice = points_of(np.concatenate([features, features])), [*digests, *digests]
    found = choose(points, labels, twice, 100, None, aside=np.arange(5, 40))
    assert sorted(found) == [*range(5), *range(45, 80)]
    passed = choose(points, labels, twice, 100, None, passed=np.arange(5, 40))
    assert sorted(passed) == [*range(5)]


def test_copies_count_once():
    """A hundred copies of a photo are no reason to ask for one like it first."""
    features, which, digests = made([3, 12], spread=0.2)
    copied = np.flatnonzero(which == 0)[0]
    many = np.concatenate([features, np.repeat(features[copied][None], 100, axis=0)])
    labels = np.zeros((115, 2), np.uint8)
    first = suggest(many, labels, [*digests, *[digests[copied]] * 100], 1)
    assert which[first[0]] == 1


def test_points_by_hand():
    """Square roots 1 and 3, less their mean; of length 1. The sign of a direction is free."""
    points = points_of(np.array([[1, 4], [9, 4]], np.float32))
    np.testing.assert_allclose(points @ points.T, [[1, -1], [-1, 1]], atol=1e-6)


def test_points_are_half_whitened(rng):
    """Directions of deviations 4 and 1 have 2 and 1."""
    roots = rng.normal(size=(500, 2)) * (4, 1)
    points = points_of((np.sign(roots) * roots**2).astype(np.float32))
    roots -= roots.mean(axis=0)
    _, _, directions = np.linalg.svd(roots, full_matrices=False)
    turned = roots @ directions.T
    expected = turned / np.sqrt(turned.std(axis=0))
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(points @ points.T, expected @ expected.T, atol=1e-4)


def test_what_lies_between_classes_is_not_certain():
    features, which, _ = made([60, 60])
    features[0] = (features[which == 0].mean(axis=0) + features[which == 1].mean(axis=0)) / 2
    known = np.arange(20, 40)
    found = certainty(features, labels_of(which, known), known)
    assert 1 - found[0] > 2 * (1 - np.delete(found, 0).min())
    assert (found[known] == 1).all()


def test_certainty_where_photos_have_several_labels():
    """It is of all classes together: each is there, or not."""
    features, which, _ = made([60, 60, 60])
    labels = np.eye(3, dtype=np.uint8)[which]
    labels[which == 2] = (1, 1, 0)
    known = np.arange(40)
    shown = labels.copy()
    shown[40:] = 0
    found = certainty(features, shown, known)
    posterior = class_posterior(features, labels[known][:, :2])
    expected = np.maximum(posterior, 1 - posterior).prod(axis=1)
    np.testing.assert_allclose(found[40:], expected[40:], rtol=1e-5)
    assert (found[known] == 1).all()


def test_certainty_of_many_is_of_a_part(monkeypatch):
    monkeypatch.setattr(features_module, "SAMPLE", 50)
    features, which, _ = made([100, 100])
    found = certainty(features, labels_of(which, np.arange(8)), np.arange(8))
    assert (found > 0).sum() == 58
