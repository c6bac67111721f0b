"""Facility location: the greedy choice, checked against the plain one."""

from itertools import islice

import numpy as np
import pytest

from ssah_tf.training.hash_layer.label_views import normalised
from ssah_tf.training.labelling import coverage
from ssah_tf.training.labelling.coverage import Coverage


def clusters(sizes, spread=0.1, seed=0, width=16):
    """Points of length 1 around orthogonal directions, and which they are around."""
    rng = np.random.default_rng(seed)
    which = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = np.eye(width)[which] + spread * rng.normal(size=(len(which), width))
    return normalised(points).astype(np.float32), which


def worth(points, chosen, labelled=(), certainty=1.0):
    """The coverage by labelled photos and some others, after each of these."""
    similar = np.maximum(points @ points.T, 0).astype(np.float64)
    before = certainty * np.max(similar[[*labelled]], axis=0, initial=0)  # (photos,)
    best = np.maximum.accumulate(similar[[*chosen]], axis=0)  # (chosen, photos)
    return np.maximum(best, before).sum(axis=1)


def plain(points, count, labelled=(), certainty=1.0):
    """The greedy choice by its definition."""
    chosen = []
    for _ in range(count):
        left = sorted(set(range(len(points))) - set(labelled) - set(chosen))
        values = [worth(points, [*chosen, i], labelled, certainty)[-1] for i in left]
        chosen.append(left[int(np.argmax(values))])
    return chosen


def test_two_photos_by_hand():
    """Three photos at 0, 30 and 60 degrees: the middle one first, then, as good, the first."""
    angles = np.radians([0, 30, 60])
    points = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    assert [*Coverage(points)] == [1, 0, 2]


@pytest.mark.parametrize("labelled", [(), (3, 50)])
@pytest.mark.parametrize("uncertain", [False, True])
def test_it_is_the_greedy_choice(rng, labelled, uncertain):
    points, _ = clusters([40, 30, 20, 10], spread=0.3)
    certainty = rng.random(100) if uncertain else np.ones(100)
    found = [*islice(Coverage(points, np.array(labelled, int), certainty), 30)]
    expected = plain(points, 30, labelled, certainty)  # of two that are worth the same, any
    np.testing.assert_allclose(
        worth(points, found, labelled, certainty),
        worth(points, expected, labelled, certainty),
        1e-5,
    )


def test_every_cluster_comes_first():
    """Also the small ones, the largest first."""
    points, which = clusters([100, 50, 25, 12, 6])
    assert which[[*islice(Coverage(points), 5)]].tolist() == [0, 1, 2, 3, 4]


def test_what_is_labelled_is_covered():
    points, which = clusters([60, 50, 40, 30])
    labelled = np.array([np.flatnonzero(which == 0)[0], np.flatnonzero(which == 2)[0]])
    assert which[[*islice(Coverage(points, labelled), 2)]].tolist() == [1, 3]


def test_what_is_in_doubt_counts_more():
    """Of two clusters with a labelled photo each, the one whose class is not clear."""
    points, which = clusters([40, 40])
    labelled = np.array([np.flatnonzero(which == 0)[0], np.flatnonzero(which == 1)[0]])
    for doubtful in (0, 1):
        certainty = np.where(which == doubtful, 0.5, 1.0)
        assert which[next(Coverage(points, labelled, certainty))] == doubtful


def test_a_copy_is_chosen_once():
    points, _ = clusters([20, 20], spread=0.3)
    near = points + 0.002 * np.random.default_rng(1).normal(size=points.shape)
    three = np.concatenate([points, points, normalised(near).astype(np.float32)])
    found = [*Coverage(three)]
    assert len(found) == 40
    assert len({position % 40 for position in found}) == 40
    assert [*Coverage(three, np.arange(40))] == []


def test_all_come_in_the_end():
    points, _ = clusters([30, 3], spread=0.3)
    assert sorted(Coverage(points)) == [*range(33)]
    assert [*Coverage(points[:1])] == [0]


def test_many_photos_are_counted_by_a_part(monkeypatch):
    monkeypatch.setattr(coverage, "GROUND", 200)
    points, which = clusters([2000, 1000, 500])
    choice = Coverage(points)
    assert len(choice.targets) == 200
    found = [*islice(choice, 3)]
    assert which[found].tolist() == [0, 1, 2]


def test_a_signal_ends_it(monkeypatch):
    def ends():
        raise KeyboardInterrupt

    monkeypatch.setattr(coverage, "raise_if_ending", ends)
    with pytest.raises(KeyboardInterrupt):
        Coverage(clusters([10])[0])
