"""The map: clusters apart, copies together, kept by content."""

import numpy as np
import pytest

from ssah_tf.system.errors import SsahError
from ssah_tf.training.hash_layer.label_views import normalised
from ssah_tf.training.labelling import layout as module
from ssah_tf.training.labelling.layout import around, clusters_of, layout_of, places_of


@pytest.fixture
def clusters(rng):
    """Points of four clusters, and which they are of."""
    which = rng.permutation(np.arange(240) % 4)
    points = 4 * np.eye(16)[which] + 0.3 * rng.normal(size=(240, 16))
    return normalised(points).astype(np.float32), which


def digests_of(count):
    return tuple(f"{number * 7919 % 997:064x}" for number in range(count))


def agreement(places, which):
    """How often the nearest other photo on the map is of the same cluster."""
    far = ((places[:, None] - places) ** 2).sum(axis=2)
    np.fill_diagonal(far, np.inf)
    return (which[far.argmin(axis=1)] == which).mean()


@pytest.mark.parametrize("anchors", [1000, 120])
def test_clusters_are_apart(clusters, monkeypatch, anchors):
    """Whether t-SNE places all photos, or half of them, by which the others are placed."""
    monkeypatch.setattr(module, "ANCHORS", anchors)
    points, which = clusters
    places = places_of(points)
    assert (places.dtype, places.shape) == (np.float32, (240, 2))
    assert (places.min(), places.max()) == (pytest.approx(0, abs=1e-6), pytest.approx(1, abs=1e-6))
    assert agreement(places, which) > 0.97
    assert len(np.unique(places, axis=0)) == 240
    assert np.array_equal(places, places_of(points))


def test_around_a_placed_photo():
    """The photo itself in its place; the others around it, the most alike innermost, none so far as
    half the way to the next placed photo."""
    placed = np.array([[0.0, 0.0], [1.0, 0.0]])
    cosine = np.array([np.inf, np.inf, 0.2, 0.9, 0.5])
    far = np.hypot(*around(placed, np.array([0, 1, 0, 0, 0]), cosine).T)
    assert far[:2].tolist() == [0, 0]
    assert 0 < far[3] < far[4] < far[2] == pytest.approx(0.5)


def test_clusters_and_their_examples(clusters):
    points, which = clusters
    sizes = np.array([100, 80, 40, 20])
    order = np.concatenate([np.flatnonzero(which == c)[: min(n, 60)] for c, n in enumerate(sizes)])
    chosen = points[order]
    found, examples = clusters_of(places_of(chosen), chosen)
    counts = np.bincount(found)
    assert counts.tolist() == sorted(counts.tolist(), reverse=True)
    assert found[examples].tolist() == [*range(len(counts))]
    assert len(counts) == len(chosen) // module.MEMBERS
    of = which[order]
    pure = sum(np.bincount(of[found == cluster]).max() for cluster in range(len(counts)))
    assert pure / len(chosen) > 0.95


def test_it_is_kept_by_content(clusters, tmp_path, monkeypatch):
    """In another order it is the same map; with another photo or other features it is another."""
    points, _ = clusters
    digests, file = digests_of(240), tmp_path / "map.npz"
    assert layout_of(points, points, digests, file, make=False) is None
    assert not file.exists()
    made = layout_of(points, points, digests, file, make=True)

    def refuse(_):
        raise AssertionError("made anew")

    monkeypatch.setattr(module, "places_of", refuse)
    other = np.arange(240)[::-1]
    again = layout_of(points[other], points[other], [digests[i] for i in other], file, make=False)
    assert again.key == made.key
    assert np.array_equal(again.places, made.places[other])
    assert np.array_equal(again.clusters, made.clusters[other])
    assert np.array_equal(other[again.examples], made.examples)
    for rows, changed in ((240, points + 1), (239, points)):
        assert layout_of(changed[:rows], points[:rows], digests[:rows], file, make=False) is None
    file.write_bytes(file.read_bytes()[:-100])
    assert layout_of(points, points, digests, file, make=False) is None


def test_copies_lie_at_one_place(clusters, tmp_path):
    points, _ = clusters
    twice = np.concatenate([points, points[:10]])
    digests = (*digests_of(240), *digests_of(10))
    found = layout_of(twice, twice, digests, tmp_path / "map.npz", make=True)
    assert np.array_equal(found.places[240:], found.places[:10])
    assert np.array_equal(found.clusters[240:], found.clusters[:10])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_few_photos(clusters, tmp_path, count):
    points = clusters[0][:count, : max(1, count // 2)]
    found = layout_of(points, points, digests_of(count), tmp_path / "map.npz", make=True)
    assert found.places.shape == (count, 2)
    assert np.isfinite(found.places).all()
    assert len(found.examples) == 1


def test_the_same_photo_many_times(tmp_path):
    """Different files whose features are alike to the last bit."""
    points = np.full((30, 4), 0.5, np.float32)
    found = layout_of(points, points, digests_of(30), tmp_path / "map.npz", make=True)
    assert np.isfinite(found.places).all()


def test_it_cannot_be_written(clusters, tmp_path):
    points = clusters[0][:20]
    with pytest.raises(SsahError, match="cannot be written"):
        layout_of(points, points, digests_of(20), tmp_path / "gone" / "map.npz", make=True)
