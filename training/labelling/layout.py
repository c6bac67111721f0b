"""A map of all photos: a place in the plane for each, so that alike ones lie near each other."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssah_tf.data.label_round import Layout
from ssah_tf.data.sampling import evenly
from ssah_tf.system.files import atomic_path
from ssah_tf.system.reading import read_arrays
from ssah_tf.training.hash_layer.label_views import normalised
from ssah_tf.training.labelling.coverage import in_blocks

#: Photos that t-SNE places, at most; the others are placed by these.
ANCHORS = 4_000
#: Principal directions by which photos are compared.
DIRECTIONS = 50
#: Photos of a neighbourhood in the plane, as t-SNE takes it; and steps: later ones move little.
PERPLEXITY, STEPS = 30, 500
#: Clusters, at most, and photos of one on average, at least.
CLUSTERS, MEMBERS = 40, 8
#: Fewer photos lie by their two largest principal directions.
FEW = 8
#: Goes up when the same photos would get another map.
VERSION = 1

#: Places `(contents, 2)`, cluster of each, and an example of each cluster.
Kept = tuple[np.ndarray, np.ndarray, np.ndarray]


def layout_of(
    features: np.ndarray, points: np.ndarray, digests: Sequence[str], file: Path, make: bool
) -> Layout | None:
    """The map of some photos, which is kept in a file; copies lie at one place.

    It is known by the contents of the photos, wherever they lie, and by their features.

    Args:
        features: float32 `(photos, d)`.
        points: float32 `(photos, directions)`, of length 1, by principal directions, the largest
            first; see `points_of`.
        digests: Of the contents of the photos.
        file: Where the map is kept, `.npz`.
        make: Whether to make it if it is not kept.

    Returns:
        The map; `None` if it is not kept, and not to be made.

    Raises:
        RunError: It cannot be written.
    """
    names, first, copies = np.unique(np.array(digests), return_index=True, return_inverse=True)
    key = key_of(names, features, first)
    kept = read_layout(file, key, len(names))
    if kept is None:
        if not make:
            return None
        chosen = normalised(points[first, :DIRECTIONS]).astype(np.float32)
        places = places_of(chosen)
        kept = (places, *clusters_of(places, chosen))
        write_layout(file, key, kept)
    places, clusters, examples = kept
    return Layout(key, places[copies], clusters[copies], first[examples])


def places_of(points: np.ndarray) -> np.ndarray:
    """A place in the unit square for each point.

    Some, spread evenly, are placed by t-SNE (van der Maaten and Hinton, JMLR 2008) with the
    gradients of Barnes and Hut, from the two largest principal directions (Kobak and Berens, Nature
    Communications 2019). Each of the others lies beside the one of these that it is most like.

    Args:
        points: float32 `(photos, d)`, of length 1, the largest principal directions first.

    Returns:
        float32 `(photos, 2)`, from 0 to 1; the longer side of the map has length 1.
    """
    anchors = evenly(np.arange(len(points)), ANCHORS)
    placed = in_unit_square(embedded(points[anchors]))
    nearest, cosine = np.empty(len(points), np.int64), np.empty(len(points), np.float32)
    for rows in in_blocks(np.arange(len(points))):
        similar = points[rows] @ points[anchors].T  # (rows, anchors)
        nearest[rows], cosine[rows] = similar.argmax(axis=1), similar.max(axis=1)
    nearest[anchors], cosine[anchors] = np.arange(len(anchors)), np.inf
    return in_unit_square(placed[nearest] + around(placed, nearest, cosine))


def embedded(points: np.ndarray) -> np.ndarray:
    """Places of points by t-SNE, `(points, 2)`; see `places_of`."""
    plane = np.pad(points, [(0, 0), (0, 2)])[:, :2]
    if len(points) < FEW:
        return plane
    from sklearn.manifold import TSNE

    begin = plane / max(plane[:, 0].std(), 1e-9) * 1e-4
    perplexity = min(PERPLEXITY, (len(points) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, max_iter=STEPS, init=begin, random_state=0, n_jobs=-1)
    return tsne.fit_transform(points)


def around(placed: np.ndarray, nearest: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """Offsets from the point by which each one is placed: a spiral as of the seeds of a sunflower.

    It fills a disc up to half the way to other placed points, with the most alike ones innermost
    (Vogel, "A better way to construct the sunflower head", Mathematical Biosciences 1979).

    Args:
        placed: `(placed, 2)`.
        nearest: Row of `placed` for each point, `(points,)`.
        cosine: How like it each point is, `(points,)`; infinite for the placed point itself.

    Returns:
        float32 `(points, 2)`; zeros for the placed points themselves.
    """
    order = np.lexsort((-cosine, nearest))
    sizes = np.bincount(nearest, minlength=len(placed))
    rank = np.empty(len(nearest), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    radius = room(placed)[nearest] * np.sqrt(rank / np.maximum(sizes[nearest] - 1, 1))
    angle = rank * np.pi * (3 - np.sqrt(5))
    return (radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)).astype(np.float32)


def room(placed: np.ndarray) -> np.ndarray:
    """Half the distance from each place to the nearest other one, `(placed,)`."""
    from sklearn.neighbors import KDTree

    if len(placed) < 2:
        return np.zeros(len(placed))
    return KDTree(placed).query(placed, k=2)[0][:, 1] / 2


def in_unit_square(places: np.ndarray) -> np.ndarray:
    """Places moved and scaled so that the longer side goes from 0 to 1."""
    low, high = places.min(axis=0), places.max(axis=0)
    scale = max((high - low).max(), 1e-9)
    return ((places - (low + high) / 2) / scale + 0.5).astype(np.float32)


def clusters_of(places: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clusters of photos on the map, by k-means, and a photo that stands for each.

    Args:
        places: float32 `(photos, 2)`.
        points: float32 `(photos, d)`, of length 1.

    Returns:
        Number of the cluster of each photo, int64 `(photos,)`, the largest one is 0; and for each
        cluster the photo that is most like the mean of its photos, int64 `(clusters,)`.
    """
    from sklearn.cluster import KMeans

    count = min(max(1, len(places) // MEMBERS), CLUSTERS, len(np.unique(places, axis=0)))
    found = KMeans(count, n_init=1, random_state=0).fit_predict(places)
    numbers, found, sizes = np.unique(found, return_inverse=True, return_counts=True)
    rank = np.empty(len(numbers), np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(numbers))
    clusters = rank[found]
    examples = np.empty(len(numbers), np.int64)
    for cluster in range(len(numbers)):
        members = np.flatnonzero(clusters == cluster)
        examples[cluster] = members[(points[members] @ points[members].mean(axis=0)).argmax()]
    return clusters, examples


def key_of(names: np.ndarray, features: np.ndarray, rows: np.ndarray) -> str:
    """What the map is known by: contents, their features, and how it is made.

    Args:
        names: Of the contents, ascending.
        features: float32 `(photos, d)`.
        rows: A row of the features for each content.
    """
    method = (VERSION, ANCHORS, DIRECTIONS, PERPLEXITY, STEPS, CLUSTERS, MEMBERS)
    digest = hashlib.sha256(repr(method).encode() + names.tobytes())
    for some in in_blocks(rows):
        digest.update(features[some].astype(np.float32).tobytes())
    return digest.hexdigest()[:16]


def read_layout(file: Path, key: str, count: int) -> Kept | None:
    """Places, clusters and examples of a map that is kept; `None` if it is another, or damaged.

    Args:
        file: See `layout_of`.
        key: See `key_of`.
        count: Contents.
    """
    try:
        arrays = read_arrays(file)
        places, clusters, examples = arrays["places"], arrays["clusters"], arrays["examples"]
        whole = (
            str(arrays["key"]) == key
            and (places.shape, clusters.shape) == ((count, 2), (count,))
            and set(np.unique(clusters)) == set(range(len(examples)))
            and bool(np.isin(examples, np.arange(count)).all())
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (places, clusters, examples) if whole else None


def write_layout(file: Path, key: str, kept: Kept) -> None:
    """Keep a map, whole or not at all.

    Raises:
        RunError: It cannot be written.
    """
    places, clusters, examples = kept
    with atomic_path(file) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, key=np.array(key), places=places, clusters=clusters, examples=examples)
