import numpy as np
import pytest

from ssah_tf.losses import OrthoHash
from ssah_tf.losses.target_loss import class_targets, distinct_targets


def test_by_hand_with_a_known_target():
    """A code on its target: cos 1, others as the targets say; margin 0.2, scale 3."""
    loss = OrthoHash(scale=3.0, margin=0.2)
    loss.build((None, 16), (None, 3))
    targets = loss.targets.numpy()
    labels = np.eye(3, dtype=np.float32)
    cosines = targets @ targets.T / 16
    scores = 3 * (cosines - 0.2 * labels)
    expected = np.mean(np.log(np.exp(scores).sum(axis=1)) - np.diag(scores))
    np.testing.assert_allclose(loss(targets, labels, targets, labels), expected, rtol=1e-5)


def test_several_labels_share_the_target_distribution():
    loss = OrthoHash(scale=1.0, margin=0.0)
    loss.build((None, 16), (None, 3))
    code, labels = np.ones((1, 16), np.float32), np.float32([[1, 1, 0]])
    scores = loss.targets.numpy().sum(axis=1) / 16
    expected = np.log(np.exp(scores).sum()) - (scores[0] + scores[1]) / 2
    np.testing.assert_allclose(loss(code, labels, code, labels), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("classes", "bits"),
    [
        (10, 48),
        (2, 1),
        (3, 2),
        (7, 4),
        (10, 12),
        (100, 64),
        (3000, 16),
        (2, 2100),
        (1, 4),
        (4, 4),
        (4, 5),
        (8, 4),
        (8, 9),
    ],
)
def test_targets(classes, bits):
    targets = class_targets(classes, bits, seed=0)
    assert targets.shape == (classes, bits)
    assert set(np.unique(targets)) == {-1.0, 1.0}
    np.testing.assert_array_equal(targets, class_targets(classes, bits, seed=0))


def test_targets_are_rows_of_a_hadamard_matrix_up_to_2048():
    """All of its columns but the order of rows: any two rows differ in half of them."""
    targets = class_targets(3, 2048, seed=0, tries=1)
    np.testing.assert_array_equal(targets @ targets.T, 2048 * np.eye(3))
    larger = class_targets(3, 2049, seed=0, tries=1)
    assert abs(larger.mean()) < 0.1
    assert np.any(larger @ larger.T != 2049 * np.eye(3))


@pytest.mark.parametrize(("classes", "bits"), [(1, 2), (3, 4), (7, 8), (15, 16)])
@pytest.mark.parametrize("seed", range(3))
def test_as_many_classes_as_rows_that_are_not_constant(classes, bits, seed):
    """Every row but the first of the matrix, every column: all orthogonal, also to that one."""
    targets = class_targets(classes, bits, seed=seed, tries=1)
    np.testing.assert_array_equal(targets @ targets.T, bits * np.eye(classes))
    assert not targets.sum(axis=1).any()


def test_more_tries_never_bring_targets_nearer():
    """The same draws in the same order: the best of more of them is at least as good."""

    def overlap(tries):
        targets = class_targets(10, 24, seed=3, tries=tries)
        return (targets @ targets.T - 48 * np.eye(10)).max()

    overlaps = [overlap(tries) for tries in range(1, 40)]
    assert overlaps == sorted(overlaps, reverse=True)
    assert overlaps[-1] < overlaps[0]


def test_an_image_without_a_label_costs_nothing():
    loss = OrthoHash()
    loss.build((None, 16), (None, 3))
    codes = np.ones((1, 16), np.float32)
    assert loss.sample_losses(codes, np.zeros((1, 3), np.float32)).numpy().tolist() == [0]


def test_targets_are_far_apart():
    targets = class_targets(10, 48, seed=0)
    overlap = targets @ targets.T - 48 * np.eye(10)
    assert overlap.max() <= 8  # at least 20 of 48 bits differ; random signs give about 16


def test_targets_fitted_to_codes_by_hand():
    """Mean codes (.1, -.6, .5, -.2) and (-.3, .4, .9, .6); the third class has no image."""
    loss = OrthoHash()
    loss.build((None, 4), (None, 3))
    before = loss.targets.numpy()
    codes = np.float32([[0.5, -0.9, 0.2, 0.1], [-0.3, -0.3, 0.8, -0.5], [-0.3, 0.4, 0.9, 0.6]])
    labels = np.uint8([[1, 0, 0], [1, 0, 0], [0, 1, 0]])
    loss.fit_targets(codes, labels)
    targets = loss.targets.numpy()
    assert targets[:2].tolist() == [[1, -1, 1, -1], [-1, 1, 1, 1]]
    np.testing.assert_array_equal(targets[2], before[2])
    loss.fit_targets(np.float32([[0.5, 0, 0, -0.1], [-0.5, 0, 0, -0.1]]), labels[:2])
    assert loss.targets.numpy()[0].tolist() == [1, 1, 1, -1]  # undecided bits are set
    assert loss.trainable_variables == []


def test_an_image_with_several_labels_counts_for_each(rng):
    """As the product of labels and codes says, for more images than classes, some without any."""
    codes = rng.normal(size=(40, 30)).astype(np.float32)
    labels = (rng.random((40, 7)) < 0.3).astype(np.uint8)
    labels[3] = labels[:, 5] = 0
    loss = OrthoHash()
    loss.build((None, 30), (None, 7))
    before = loss.targets.numpy()
    loss.fit_targets(codes, labels)
    sums = labels.T.astype(float) @ codes
    sums[5] = before[5]
    assert len(np.unique(sums > 0, axis=0)) == 7  # so that no bit is flipped
    np.testing.assert_array_equal(loss.targets.numpy(), np.sign(sums))


def test_equal_targets_are_distinct_targets_where_they_are_least_certain():
    same = np.ones((4, 3))
    certainty = np.array([[3, 1, 2]] * 4)
    apart = distinct_targets(same, certainty)
    assert apart.tolist() == [[1, 1, 1], [1, -1, 1], [1, 1, -1], [1, -1, -1]]
    assert distinct_targets(np.ones((3, 1)), np.ones((3, 1))).tolist() == [
        [1],
        [-1],
        [-1],
    ]  # no third
