"""The whole evaluation: by hand on four images, and against loops and scikit-learn on more."""

import json
import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from ssah_tf.metrics import evaluate_retrieval, hamming_distances, pack_codes
from ssah_tf.metrics import retrieval as retrieval_module


def at_distances(distances, bits):
    """Codes at these distances from the code of zeros: so many ones in front."""
    return np.packbits(np.arange(bits) < np.asarray(distances)[:, None], axis=1)


def random_set(seed, count, bits, classes=5, labels=1):
    rng = np.random.default_rng(seed)
    multi_hot = np.zeros((count, classes), np.uint8)
    for _ in range(labels):
        multi_hot[np.arange(count), rng.integers(classes, size=count)] = 1
    return pack_codes(rng.choice([-1, 1], (count, bits))), multi_hot


@pytest.fixture
def four_images():
    """12 bits. Query 0 sees distances 0 1 1 2 with relevance 1 0 1 1; query 1, its complement,
    sees 12 11 11 10 and has nothing relevant."""
    database = at_distances([0, 1, 1, 2], 12)
    query = at_distances([0, 12], 12)
    return {
        "query_codes": query,
        "query_labels": np.array([[1, 0, 0], [0, 0, 1]], np.uint8),
        "database_codes": database,
        "database_labels": np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 0]], np.uint8),
        "bits": 12,
    }


def test_by_hand(four_images):
    """Query 0: tie-aware AP 31/36, at k = 2 AP 3/4 and P 3/4; query 1 counts 0 in all."""
    result = evaluate_retrieval(**four_images, cutoffs=(2, 100), radius=1)
    assert (result.queries, result.database, result.bits) == (2, 4, 12)
    assert result.average_precision == pytest.approx((31 / 36, 0), abs=1e-12)
    assert result.map_tie_aware == pytest.approx(31 / 72, abs=1e-12)
    assert result.map_tie_aware_at_k == pytest.approx({2: 3 / 8, 100: 31 / 72}, abs=1e-12)
    assert result.precision_at_k == pytest.approx({2: 3 / 8, 100: 3 / 200}, abs=1e-12)
    assert result.queries_without_relevant == 1
    assert result.map_per_class == pytest.approx((31 / 36, None, 0), abs=1e-12)
    # Radius 1: query 0 has 2 of 3 relevant, query 1 an empty ball.
    assert result.precision_in_radius == pytest.approx(1 / 3, abs=1e-12)
    assert result.empty_ball_share == 0.5
    precision = [1 / 2, 1 / 3] + [3 / 8] * 11
    recall = [1 / 6, 1 / 3] + [1 / 2] * 11
    assert result.radius_precision == pytest.approx(precision, abs=1e-12)
    assert result.radius_recall == pytest.approx(recall, abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_sorted_numbers_take_the_database_in_a_random_order(four_images, seed):
    """Query 0 sees 1 0 1 1 or 1 1 0 1, after which of the tied images the seed puts first.

    AP is (1 + 2/3 + 3/4) / 3 = 29/36 or (1 + 1 + 3/4) / 3 = 33/36; at k = 2 it is 1 by hits.
    """
    order = retrieval_module.database_order(4, seed).tolist()
    assert sorted(order) == [0, 1, 2, 3]
    relevant_last = order.index(1) < order.index(2)
    result = evaluate_retrieval(**four_images, cutoffs=(2, 100), seed=seed)
    expected = (29 if relevant_last else 33) / 72
    assert result.map_sorted == pytest.approx(expected, abs=1e-12)
    assert result.map_sorted_by_hits_at_k == pytest.approx({2: 1 / 2, 100: expected}, abs=1e-12)
    assert f"shuffled by seed {seed}," in result.definitions()["map_sorted"]


def test_seeds_order_ties_both_ways(four_images):
    found = {evaluate_retrieval(**four_images, seed=seed).map_sorted for seed in range(6)}
    assert len(found) == 2


def test_sorted_numbers_do_not_depend_on_the_order_of_the_classes():
    """All codes are equal: in class order the first class would find itself alone, with AP 1.

    Ties in random order give about the tie-aware number, whatever order the database has.
    """
    classes = np.repeat(np.arange(4), 500)
    for database in (classes, classes[::-1]):
        result = evaluate_retrieval(
            np.zeros((1, 1), np.uint8), np.eye(4, dtype=np.uint8)[:1],
            np.zeros((2000, 1), np.uint8), np.eye(4, dtype=np.uint8)[database], 8, cutoffs=(500,),
        )  # fmt: skip
        assert result.map_tie_aware == pytest.approx(1 / 4, abs=0.01)
        assert result.map_sorted == pytest.approx(result.map_tie_aware, abs=0.03)
        assert result.map_sorted_by_hits_at_k[500] == pytest.approx(1 / 4, abs=0.06)


def test_defaults_are_those_of_the_docs(four_images):
    result = evaluate_retrieval(**four_images)
    assert result.cutoffs == (100, 1000, 5000)
    assert (result.radius, result.seed, result.n_bootstrap) == (2, 0, 1000)
    assert result.precision_in_radius == pytest.approx(3 / 8, abs=1e-12)
    assert result.empty_ball_share == 0.5


def test_ball_holds_its_surface_and_queries_without_relevant_are_counted():
    """Three queries at distances 2, 3, 4 from the only image, radius 3: one ball of three empty.

    Only the last query shares no label with the image, and its mAP and recall are 0.
    """
    labels = np.array([[1, 0], [1, 0], [0, 1]], np.uint8)
    result = evaluate_retrieval(
        at_distances([2, 3, 4], 8), labels, at_distances([0], 8), labels[:1], 8, radius=3
    )
    assert result.empty_ball_share == pytest.approx(1 / 3, abs=1e-12)
    assert result.precision_in_radius == pytest.approx(2 / 3, abs=1e-12)
    assert result.queries_without_relevant == 1
    assert result.map_tie_aware == pytest.approx(2 / 3, abs=1e-12)
    assert result.radius_recall == pytest.approx([0, 0, 1 / 3] + [2 / 3] * 6, abs=1e-12)


def test_without_ties_equals_scikit_learn():
    """65 images at 65 distances, seen from both ends: both mAPs are the mean of scikit-learn's."""
    rng = np.random.default_rng(0)
    distances = rng.permutation(65)
    labels = np.eye(2, dtype=np.uint8)[rng.integers(2, size=65)]
    result = evaluate_retrieval(
        at_distances([0, 64], 64),
        np.eye(2, dtype=np.uint8),
        at_distances(distances, 64),
        labels,
        64,
        cutoffs=(3,),
    )
    expected = [
        average_precision_score(labels[:, 0], -distances),
        average_precision_score(labels[:, 1], distances),
    ]
    assert result.average_precision == pytest.approx(expected, abs=1e-12)
    assert result.map_sorted == pytest.approx(np.mean(expected), abs=1e-12)


@pytest.mark.parametrize(("bits", "classes", "labels"), [(12, 5, 1), (64, 21, 3), (130, 70, 4)])
def test_matches_shuffled_rankings(bits, classes, labels):
    """Tie-aware numbers are the mean over shuffled databases of the sorted ones.

    400 shuffles know the mean mAP of 15 queries to about 0.001 here; hence 0.005.
    """
    query, query_labels = random_set(1, 15, bits, classes, labels)
    database, database_labels = random_set(2, 60, bits, classes, labels)
    relevant = query_labels.astype(int) @ database_labels.T.astype(int) > 0
    distances = hamming_distances(query, database)
    rng = np.random.default_rng(3)
    ap, precision = [], []
    for _ in range(400):
        order = rng.permutation(60)
        order = order[np.argsort(distances[:, order], axis=1, kind="stable")]  # (15, 60)
        ranking = np.take_along_axis(relevant, order, axis=1)
        prefix = np.cumsum(ranking, axis=1) / np.arange(1, 61)
        ap.append(((prefix * ranking).sum(axis=1) / ranking.sum(axis=1).clip(1)).mean())
        precision.append(ranking[:, :7].mean())
    result = evaluate_retrieval(query, query_labels, database, database_labels, bits, cutoffs=(7,))
    assert result.map_tie_aware == pytest.approx(np.mean(ap), abs=0.005)
    assert result.precision_at_k[7] == pytest.approx(np.mean(precision), abs=0.005)


def test_small_chunks_give_the_same(monkeypatch):
    """One query a chunk, and a last chunk that is not full, against all queries at once."""
    query, query_labels = random_set(1, 23, 24)
    database, database_labels = random_set(2, 50, 24)
    whole = evaluate_retrieval(query, query_labels, database, database_labels, 24)
    for elements in (1, 200):
        monkeypatch.setattr(retrieval_module, "_CHUNK_ELEMENTS", elements)
        chunked = evaluate_retrieval(query, query_labels, database, database_labels, 24)
        assert chunked == whole


def test_a_query_with_two_labels_counts_in_both_classes():
    """Both queries see the database 1 0 (distances 0, 1). Labels {a, b}: AP 1; label b: AP 1/2."""
    result = evaluate_retrieval(
        at_distances([0, 0], 8),
        np.array([[1, 1], [0, 1]], np.uint8),
        at_distances([0, 1], 8),
        np.array([[1, 0], [0, 1]], np.uint8),
        8,
    )
    assert result.average_precision == pytest.approx((1, 1 / 2), abs=1e-12)
    assert result.map_per_class == pytest.approx((1, 3 / 4), abs=1e-12)


def test_bootstrap_interval():
    query, query_labels = random_set(1, 100, 12)
    database, database_labels = random_set(2, 50, 12)
    sets = (query, query_labels, database, database_labels, 12)
    result = evaluate_retrieval(*sets, seed=4)
    low, high = result.map_interval
    assert low < result.map_tie_aware < high
    spread = np.std(result.average_precision) / 10
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.15)
    assert evaluate_retrieval(*sets, seed=4).map_interval == (low, high)
    assert evaluate_retrieval(*sets, seed=5).map_interval != (low, high)
    assert evaluate_retrieval(*sets, n_bootstrap=0).map_interval is None


def test_one_is_a_rank():
    """Two queries, two images: the first finds its own kind first, the second the other kind."""
    codes, labels = np.uint8([[0], [255]]), np.uint8([[1, 0], [0, 1]])
    result = evaluate_retrieval(codes, labels, codes, labels[[0, 0]], 8, cutoffs=(1,))
    assert result.precision_at_k == {1: 0.5}
    assert result.map_sorted_by_hits_at_k == {1: 0.5}


def test_radius_may_be_the_whole_length_and_classes_many(four_images):
    """All four images are in the ball: three are relevant to one query, none to the other."""
    many = np.zeros((4, 297), np.uint8)
    labels = {
        "query_labels": np.hstack([four_images["query_labels"], many[:2]]),
        "database_labels": np.hstack([four_images["database_labels"], many]),
    }
    result = evaluate_retrieval(**four_images | labels, radius=12, n_bootstrap=1)
    assert result.precision_in_radius == pytest.approx(3 / 8, abs=1e-12)
    assert result.map_tie_aware == pytest.approx(31 / 72, abs=1e-12)
    assert len(result.map_per_class) == 300


@pytest.mark.parametrize("bits", [1, 7, 9])
def test_equal_codes_of_odd_lengths(bits):
    """All at distance 0, one of two relevant: P@1 is 1/2, and so is everything at any radius."""
    codes = np.zeros((2, (bits + 7) // 8), np.uint8)
    labels = np.uint8([[1, 0], [0, 1]])
    result = evaluate_retrieval(codes, labels, codes, labels, bits, cutoffs=(1,), radius=0)
    assert result.precision_at_k == {1: 0.5}
    assert result.radius_precision == (0.5,) * (bits + 1)


def test_the_interval_is_a_list_in_json(four_images):
    result = evaluate_retrieval(**four_images)
    low, high = result.map_interval
    assert result.to_dict()["map_interval"] == [low, high]
    assert evaluate_retrieval(**four_images, n_bootstrap=0).to_dict()["map_interval"] is None


def test_to_dict_is_json_ready(four_images):
    result = evaluate_retrieval(**four_images, cutoffs=(100, 2, 2))
    assert result.cutoffs == (2, 100)
    as_dict = result.to_dict()
    read = json.loads(json.dumps(as_dict, allow_nan=False))
    assert read == as_dict
    assert read["map_tie_aware_at_k"]["2"] == pytest.approx(3 / 8, abs=1e-12)
    assert read["map_per_class"][1] is None
    assert (read["queries"], read["database"], read["bits"], read["radius"]) == (2, 4, 12, 2)
    assert "min(R, k)" in read["definitions"]["map_tie_aware_at_k"]
    assert "relevant images found there" in read["definitions"]["map_sorted_by_hits_at_k"]
    described = set(read["definitions"]) - {"relevant"}
    plain = {"queries", "database", "bits", "radius", "n_bootstrap", "seed", "definitions"}
    assert described == set(read) - plain


def test_memory_stays_below_one_byte_a_pair():
    """2,000 x 20,000 pairs are 40 MB at one byte each and 160 MB as float32."""
    query, query_labels = random_set(1, 2000, 64)
    database, database_labels = random_set(2, 20_000, 64)
    tracemalloc.start()
    evaluate_retrieval(query, query_labels, database, database_labels, 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25e6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query_codes": np.zeros((2, 2), np.float32)}, "query_codes: received dtype float32"),
        ({"database_codes": np.zeros((4, 2))}, "database_codes: received dtype float64"),
        ({"query_codes": np.zeros((0, 2), np.uint8)}, "query_codes: received no codes"),
        ({"database_codes": np.zeros((0, 2), np.uint8)}, "database_codes: received no codes"),
        ({"query_codes": np.zeros((2, 3), np.uint8)}, "query_codes: received 3 bytes.*expected 2"),
        ({"database_codes": np.zeros(8, np.uint8)}, r"database_codes: received shape \(8,\)"),
        ({"bits": 17}, "query_codes: received 2 bytes a code, expected 3 for 17 bits"),
        ({"bits": 11}, "query_codes: received ones in the padding after bit 11"),
        ({"bits": "12"}, "bits: received '12'"),
        ({"query_labels": np.array([0, 1])}, r"query_labels: received shape \(2,\)"),
        ({"query_labels": np.ones((3, 3), np.uint8)}, "query_labels: received 3 rows, expected 2"),
        ({"query_labels": np.ones((2, 4), np.uint8)}, "received 4 classes, expected 3"),
        ({"query_labels": np.ones((2, 2), np.uint8)}, "received 2 classes, expected 3"),
        (
            {"database_labels": np.ones((3, 3), bool)},
            "database_labels: received 3 rows, expected 4",
        ),
        ({"database_labels": np.ones((4, 3))}, "database_labels: received dtype float64"),
        ({"database_labels": np.full((4, 3), 7)}, "database_labels: received values from 7 to 7"),
        ({"cutoffs": (0,)}, r"cutoffs: received \(0,\), expected whole numbers >= 1"),
        ({"cutoffs": (2.5,)}, r"cutoffs: received \(2.5,\)"),
        ({"cutoffs": (5, -1)}, r"cutoffs: received \(5, -1\)"),
        ({"cutoffs": (True,)}, r"cutoffs: received \(True,\)"),
        ({"radius": 13}, "radius: received 13, expected a whole number from 0 to 12"),
        ({"radius": -1}, "radius: received -1"),
        ({"radius": 1.5}, "radius: received 1.5"),
        ({"radius": True}, "radius: received True"),
        ({"n_bootstrap": 1.5}, "n_bootstrap: received 1.5"),
        ({"n_bootstrap": -1}, "n_bootstrap: received -1, expected a whole number >= 0"),
    ],
)
def test_refuses(four_images, change, message):
    with pytest.raises(ValueError, match=message) as caught:
        evaluate_retrieval(**four_images | change)
    assert "\n" not in str(caught.value)
