from collections import Counter

import numpy as np
import pytest

from ssah_tf.data.sampling import BatchPlan, evenly


def plan_of(sizes, *, batch, ratio=2, seed=0, unlabelled=11):
    """Classes of the given sizes; labelled images at 100, 101, ..., unlabelled ones at 0, 1, ..."""
    labels = np.repeat(np.eye(len(sizes), dtype=np.uint8), sizes, axis=0)
    return labels, BatchPlan(
        labels,
        np.arange(100, 100 + len(labels)),
        np.arange(unlabelled),
        batch=batch,
        ratio=ratio,
        seed=seed,
    )


def test_classes_are_exactly_balanced():
    """Six a batch over three classes of unequal size: two of each, in every batch."""
    labels, plan = plan_of((2, 5, 9), batch=6)
    for step in range(40):
        assert labels[plan.labelled_rows(step)].sum(axis=0).tolist() == [2, 2, 2]


def test_classes_take_turns_across_batches():
    """Four a batch over three classes: any twelve draws in a row from the start are balanced."""
    labels, plan = plan_of((2, 5, 9), batch=4)
    rows = np.concatenate([plan.labelled_rows(step) for step in range(30)])
    for first in range(0, 120, 3):
        assert labels[rows[first : first + 3]].sum(axis=0).tolist() == [1, 1, 1]


def test_every_labelled_image_once_a_cycle():
    """Class b has five images: its draws 0-4, 5-9, ... are each all of them."""
    labels, plan = plan_of((2, 5, 9), batch=6)
    rows = np.concatenate([plan.labelled_rows(step) for step in range(45)])
    for which, size in enumerate((2, 5, 9)):
        mine = rows[labels[rows, which] == 1]
        assert len(mine) == 90
        for first in range(0, 90, size):
            assert len(set(mine[first : first + size])) == size


def test_every_unlabelled_image_once_a_cycle():
    """Eleven images, eight a step: cycles do not end with steps."""
    _, plan = plan_of((3, 3), batch=4)
    drawn = [plan.unlabelled_positions(step) for step in range(22)]
    assert all(part.shape == (4, 2) for part in drawn)
    flat = np.concatenate(drawn).reshape(-1)
    cycles = flat.reshape(-1, 11)
    assert all(sorted(cycle) == list(range(11)) for cycle in cycles)
    assert len({tuple(cycle) for cycle in cycles}) == len(cycles)  # a new order each time


def test_batch_larger_than_the_unlabelled_part():
    _, plan = plan_of((3, 3), batch=8, ratio=3, unlabelled=5)
    count = Counter(plan.unlabelled_positions(0).reshape(-1).tolist())
    assert sorted(count.values()) == [4, 5, 5, 5, 5]  # 24 = 4 cycles of 5, and 4 more


def test_step_depends_on_seed_and_step_alone():
    """Asked forwards, backwards and by a new plan: the same."""
    _, plan = plan_of((4, 6), batch=4, seed=3)
    forwards = [(plan.labelled_rows(s), plan.unlabelled_positions(s)) for s in range(20)]
    for s in reversed(range(20)):
        _, fresh = plan_of((4, 6), batch=4, seed=3)
        for asked in (plan, fresh):
            np.testing.assert_array_equal(asked.labelled_rows(s), forwards[s][0])
            np.testing.assert_array_equal(asked.unlabelled_positions(s), forwards[s][1])


def test_seed_changes_both_halves():
    _, one = plan_of((20, 20), batch=8, seed=1, unlabelled=50)
    _, other = plan_of((20, 20), batch=8, seed=2, unlabelled=50)
    assert one.labelled_rows(0).tolist() != other.labelled_rows(0).tolist()
    assert one.unlabelled_positions(0).tolist() != other.unlabelled_positions(0).tolist()


def test_classes_of_equal_size_have_their_own_orders():
    _, plan = plan_of((30, 30), batch=60)
    rows = plan.labelled_rows(0)
    assert rows[rows < 30].tolist() != (rows[rows >= 30] - 30).tolist()


def test_several_labels():
    """Row 1 has both labels: it comes in the turns of either class, and every row comes."""
    labels = np.array([[1, 0], [1, 1], [0, 1]], np.uint8)
    plan = BatchPlan(labels, np.arange(3), np.arange(0), batch=4, ratio=1, seed=0)
    rows = np.concatenate([plan.labelled_rows(step) for step in range(10)])
    # 20 turns of class a over rows 0, 1 and 20 of class b over rows 1, 2.
    assert Counter(rows.tolist()) == {0: 10, 1: 20, 2: 10}


def test_class_without_labelled_images_takes_no_turn():
    labels = np.array([[1, 0, 0], [0, 0, 1]], np.uint8)
    plan = BatchPlan(labels, np.arange(2), np.arange(0), batch=2, ratio=1, seed=0)
    for step in range(5):
        assert sorted(plan.labelled_rows(step)) == [0, 1]


def test_no_unlabelled_images():
    """The labelled ones stand in: by their positions, not by their rows."""
    _, plan = plan_of((3, 3), batch=3, ratio=2, unlabelled=0)
    assert sorted(plan.unlabelled_positions(4).reshape(-1)) == list(range(100, 106))


def test_ratio_zero():
    _, plan = plan_of((3, 3), batch=4, ratio=0)
    assert plan.unlabelled_positions(7).shape == (4, 0)


@pytest.mark.parametrize("count", [20, 21, 30, 39, 40, 41, 1000])
def test_every_class_keeps_its_share(count):
    """Twenty of more positions in the order of their classes: the last are there as the first."""
    chosen = evenly(np.arange(100, 100 + count), 20)
    assert len(chosen) == len(set(chosen)) == 20
    halves, _ = np.histogram(chosen, bins=2, range=(100, 100 + count))
    assert halves.min() >= 9


def test_few_positions_are_all_taken():
    """As many as are wanted or fewer."""
    assert evenly(np.array([4, 2, 9]), 3).tolist() == [4, 2, 9]
    assert evenly(np.array([], dtype=np.int64), 3).tolist() == []
