"""Labels propagated to near images."""

import numpy as np

from ssah_tf.training.hash_layer.label_propagation import assignment, propagate_labels


def clusters(count, seed=0, spread=0.3):
    """Points around three orthogonal directions, and their classes."""
    rng = np.random.default_rng(seed)
    classes = np.arange(3 * count) % 3
    points = np.eye(8, dtype=np.float32)[classes] + spread * rng.normal(size=(3 * count, 8))
    return points.astype(np.float32), classes


def test_the_neighbourhood_gives_the_label():
    points, classes = clusters(50)
    labels = np.eye(3, dtype=np.uint8)[classes[:3]]
    rows, given = propagate_labels((points,), labels, 0.5)
    assert len(rows) == round(0.5 * 147)
    assert (np.diff(rows) > 0).all()
    assert rows[0] >= 3
    np.testing.assert_array_equal(given.sum(axis=1), 1)
    assert (given.argmax(axis=1) == classes[rows]).mean() > 0.95


def test_the_uncertain_are_left_alone():
    """A point halfway between two classes, among clear ones, gets none."""
    points, classes = clusters(20, spread=0.05)
    points[30] = (points[classes == 0].mean(axis=0) + points[classes == 1].mean(axis=0)) / 2
    rows, _ = propagate_labels((points,), np.eye(3, dtype=np.uint8)[classes[:3]], 56 / 57)
    np.testing.assert_array_equal(rows, np.delete(np.arange(3, 60), 27))


def test_one_seed_moves_to_the_middle_of_its_cluster():
    """The seed of class 0 lies off its cluster, nearer to some of its points than others; by the
    unlabelled points the mean comes to the middle, so that more of them are found."""
    points, classes = clusters(60, seed=3, spread=0.5)
    labels = np.eye(3, dtype=np.uint8)[classes[:3]]
    rows, given = propagate_labels((points,), labels, 1.0)
    centred = points - points.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    by_seeds = assignment(centred[3:], centred[:3]).argmax(axis=1)
    before = (by_seeds == classes[3:]).mean()
    assert (given.argmax(axis=1) == classes[rows]).mean() > before + 0.05


def test_views_count_the_same():
    """A view is not heard more for its scale; an empty class is given to nobody."""
    points, classes = clusters(50)
    noise = np.random.default_rng(1).normal(size=(150, 4)).astype(np.float32)
    labels = np.zeros((3, 5), np.uint8)
    labels[np.arange(3), [0, 2, 4]] = 1
    small = propagate_labels((points, noise), labels, 0.5)
    large = propagate_labels((points, 1000 * noise), labels, 0.5)
    for one, other in zip(small, large, strict=True):
        np.testing.assert_array_equal(one, other)
    rows, given = small
    assert not given[:, [1, 3]].any()
    found = np.array([0, 0, 1, 1, 2])[given.argmax(axis=1)]
    assert (found == classes[rows]).mean() > 0.9


def test_images_with_several_labels_or_none():
    """One labelled image shows two classes, so that the means of both move towards the other; an
    image without a class counts for none. Each image is given one class all the same."""
    points, classes = clusters(50)
    points[0] += points[1]
    labels = np.eye(3, dtype=np.uint8)[classes[:6]]
    labels[0, 1] = 1
    labels[5] = 0
    rows, given = propagate_labels((points,), labels, 0.5)
    np.testing.assert_array_equal(given.sum(axis=1), 1)
    assert (given.argmax(axis=1) == classes[rows]).mean() > 0.95


def test_an_image_with_two_labels_counts_for_each_by_half():
    """So two of them are what one of each class would be; the classes overlap, so that it shows."""
    points, classes = clusters(60, seed=3, spread=0.6)
    points[1] = points[0] + points[1]
    points[0] = points[1]
    apart = np.eye(3, dtype=np.uint8)[classes[:6]]
    together = apart.copy()
    together[:2] = [1, 1, 0]
    for one, other in zip(
        *(propagate_labels((points,), x, 1.0) for x in (apart, together)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_assignment():
    """Cosines 1 and 0: odds of e^10 to 1."""
    got = assignment(np.float32([[1, 0]]), np.float32([[1, 0], [0, 1]]))
    np.testing.assert_allclose(got, [[1 / (1 + np.exp(-10)), 1 / (1 + np.exp(10))]], rtol=1e-5)
