import numpy as np
import pytest

from ssah_tf.metrics import relevance


def test_shared_labels_by_hand():
    query = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], dtype=np.uint8)
    database = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 1, 0]], dtype=bool)
    np.testing.assert_array_equal(
        relevance(query, database),
        [
            [True, True, False, False],
            [False, True, False, True],
            [False, False, False, False],
        ],
    )


@pytest.mark.parametrize("classes", [1, 9, 21, 64, 65, 200])
def test_matches_matrix_product(classes):
    rng = np.random.default_rng(classes)
    query = (rng.random((20, classes)) < 2 / (classes + 2)).astype(np.int64)
    database = (rng.random((30, classes)) < 2 / (classes + 2)).astype(np.uint8)
    expected = query @ database.astype(np.int64).T > 0
    assert expected.any() and not expected.all()
    np.testing.assert_array_equal(relevance(query, database), expected)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1, 2]), r"received shape \(3,\), expected multi-hot"),
        (np.zeros((2, 0), np.uint8), r"received shape \(2, 0\)"),
        (np.zeros((2, 3), np.float32), "received dtype float32"),
        (np.full((2, 3), 2, np.uint8), "received values from 2 to 2, expected 0 and 1"),
        (np.full((2, 3), -1), "received values from -1 to -1"),
    ],
)
def test_refuses(labels, message):
    good = np.ones((2, 3), np.uint8)
    with pytest.raises(ValueError, match=f"query_labels: {message}"):
        relevance(labels, good)
    with pytest.raises(ValueError, match=f"database_labels: {message}"):
        relevance(good, labels)


def test_refuses_other_number_of_classes():
    with pytest.raises(ValueError, match="received 3 classes, expected 4"):
        relevance(np.ones((2, 3), np.uint8), np.ones((2, 4), np.uint8))
