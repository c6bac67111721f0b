"""Photos that look alike, together."""

from itertools import chain

import numpy as np

from ssah_tf.training.labelling import groups
from ssah_tf.training.labelling.groups import groups_of


def on_a_circle(*degrees):
    angles = np.radians(degrees)
    return np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)


def test_by_hand():
    """Cosines: .98 at 10 degrees, .5 at 60; the first photo of a group says where it stands."""
    points = on_a_circle(0, 180, 10, 270, 185)
    assert groups_of(points, np.array([7, 5, 9, 3, 1])) == [[7, 9], [5, 1], [3]]


def test_the_mean_counts(monkeypatch):
    """0, 60 and 120 degrees: .5 twice, and -.5; two are alike, three have a mean of 0."""
    points = on_a_circle(0, 60, 120)
    assert groups_of(points, np.arange(3)) == [[0, 1], [2]]
    monkeypatch.setattr(groups, "ALIKE", -0.1)
    assert groups_of(points, np.arange(3)) == [[0, 1, 2]]


def test_none_is_too_large_or_lost(rng):
    points = np.ones((40, 1), np.float32)
    found = groups_of(points, np.arange(40))
    assert max(map(len, found)) <= groups.LARGEST
    assert sorted(chain(*found)) == [*range(40)]
    assert groups_of(points[:0], np.arange(0)) == []
    assert groups_of(points[:1], np.array([4])) == [[4]]
