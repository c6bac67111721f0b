"""What classes the features of an image speak for."""

import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression

from ssah_tf.training.hash_layer.label_views import (
    PENALTY,
    LabelViews,
    border_scores,
    cluster_scores,
    neighbour_graph,
    normalised,
    probabilities,
    whitened,
    with_one,
)


def clusters(count, seed=0, spread=0.3):
    """Points of length 1 around three orthogonal directions, and their classes."""
    rng = np.random.default_rng(seed)
    which = np.arange(3 * count) % 3
    points = np.eye(3, 8)[which] + spread * rng.normal(size=(3 * count, 8))
    return normalised(points).astype(np.float32), which


def test_one_seed_moves_to_the_middle_of_its_cluster():
    """By the unlabelled points the mean comes to the middle, so that more of them are found."""
    points, which = clusters(60, seed=3, spread=0.5)
    found = cluster_scores(points, np.arange(3), np.eye(3, dtype=np.float32))
    by_seeds = (points @ points[:3].T).argmax(axis=1)
    before = (by_seeds[3:] == which[3:]).mean()
    assert (found.argmax(axis=1) == which)[3:].mean() > before + 0.05


def test_an_image_with_two_labels_counts_for_each_by_half():
    """So two of them are what one of each class would be."""
    points, which = clusters(60, seed=3, spread=0.6)
    points[1] = points[0]
    apart = np.eye(3, dtype=np.float32)[which[:6]]
    together = apart.copy()
    together[:2] = [1, 1, 0]
    one, other = (cluster_scores(points, np.arange(6), labels) for labels in (apart, together))
    np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.parametrize("several", [False, True])
def test_the_regression_is_that_of_scikit_learn(several):
    points, which = clusters(40, spread=0.4)
    labels = np.eye(3, dtype=np.float32)[which[:60]]
    if several:
        labels[::4, 0] = 1
    found = probabilities(border_scores(points, np.arange(60), labels), several)
    seen = with_one(points)
    model = LogisticRegression(C=1 / PENALTY, fit_intercept=False, max_iter=2000, tol=1e-8)
    if several:
        columns = [model.fit(seen[:60], column).predict_proba(seen)[:, 1] for column in labels.T]
        wanted = np.column_stack(columns)
    else:
        wanted = model.fit(seen[:60], which[:60]).predict_proba(seen)
    np.testing.assert_allclose(found, wanted, atol=0.02)


def test_the_graph_joins_neighbours():
    """Symmetric, without loops, and passing on never makes more of what there is."""
    points, which = clusters(60, spread=0.1)
    graph = tf.sparse.to_dense(neighbour_graph(points)).numpy()
    np.testing.assert_allclose(graph, graph.T, atol=1e-6)
    np.testing.assert_array_equal(graph.diagonal(), 0)
    assert np.abs(np.linalg.eigvalsh(graph)).max() <= 1 + 1e-5
    same = which[:, None] == which
    assert graph[same].sum() > 50 * graph[~same].sum()
    # Of nine neighbours, the nearest nine; an edge may be there for the other end alone.
    cosine = points @ points.T - 2 * np.eye(len(points))
    nearest = np.argsort(-cosine, axis=1)[:, :9]
    assert (np.take_along_axis(graph, nearest, axis=1) > 0).all()


def test_a_graph_of_few_images_has_no_edges():
    points, _ = clusters(1)
    assert not tf.sparse.to_dense(neighbour_graph(points)).numpy().any()


def test_whitened(rng):
    """Of length 1 and centred; loud directions are less loud, and a constant feature is nothing."""
    features = rng.normal(size=(500, 6)) * [10, 1, 1, 1, 1, 0] + 3
    points = whitened(features)
    assert points.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-5)
    assert points.shape == (500, 5)
    spread = points.std(axis=0)
    assert 1 < spread.max() / spread.min() < 10**0.5
    assert np.isfinite(whitened(np.ones((4, 3)))).all()


def test_neighbours_draw_together():
    """After its moves a point is nearer to the middle of its class than before."""
    points, which = clusters(60, spread=0.4)
    views = LabelViews(points)
    before = whitened(np.sign(points) * np.sqrt(np.abs(points)))

    def nearness(rows):
        means = normalised(np.stack([rows[which == c].mean(axis=0) for c in range(3)]))
        return (rows * means[which]).sum(axis=1).mean()

    near = [nearness(rows) for rows in (before, *views.points)]
    assert near[0] < near[1] < near[2]


def test_features_of_any_sign():
    """A network may give features below zero: their roots keep the sign."""
    points, which = clusters(60, spread=0.2)
    scores = LabelViews(points - 0.5).scores(np.arange(6), np.eye(3, dtype=np.uint8)[which[:6]])
    assert scores.shape == (2, 180, 3)
    assert np.isfinite(scores).all()
    for view in scores:
        assert (view.argmax(axis=1) == which).mean() > 0.9
