import numpy as np
import pytest

from ssah_tf.metrics.relevance import LabelLists, Members, check_labels, relevant_counts


def relevant(query, database):
    """Whether each query shares a label with each database image, as the evaluation computes it."""
    lists, members = LabelLists.of(query), Members(LabelLists.of(database))
    found = np.zeros((len(query), len(database)), bool)
    for i in range(len(query)):
        near = members.of(lists[i])
        assert (np.diff(near) > 0).all()
        found[i, near] = True
    np.testing.assert_array_equal(
        relevant_counts(lists, LabelLists.of(database)), found.sum(axis=1)
    )
    return found


def test_shared_labels_by_hand():
    query = np.array([[1, 0, 1], [0, 1, 0], [0, 0, 0]], dtype=np.uint8)
    database = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [0, 1, 0]], dtype=bool)
    np.testing.assert_array_equal(
        relevant(query, database),
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
    np.testing.assert_array_equal(relevant(query, database), expected)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1, 2]), r"received shape \(3,\), expected multi-hot"),
        (np.zeros((2, 0), np.uint8), r"received shape \(2, 0\)"),
        (np.zeros((2, 3, 1), np.uint8), r"received shape \(2, 3, 1\)"),
        (np.uint8([[0, 1], [1, 3]]), "received values from 0 to 3"),
        (np.int8([[0, 1], [1, -2]]), "received values from -2 to 1"),
        (np.zeros((2, 3), np.float32), "received dtype float32"),
        (np.full((2, 3), 2, np.uint8), "received values from 2 to 2, expected 0 and 1"),
        (np.full((2, 3), -1), "received values from -1 to -1"),
    ],
)
def test_refuses(labels, message):
    with pytest.raises(ValueError, match=f"^query_labels: {message}"):
        check_labels("query_labels", labels)


def test_labels_may_be_all_the_same():
    for labels in (np.zeros((2, 3), np.uint8), np.ones((2, 3), bool), np.zeros((0, 3), np.int64)):
        assert check_labels("labels", labels) is labels


def test_refuses_other_number_of_rows():
    labels = np.ones((2, 3), np.uint8)
    assert check_labels("labels", labels, 2) is labels
    with pytest.raises(
        ValueError, match=r"^labels: received 2 rows, expected 3, one for each code"
    ):
        check_labels("labels", labels, 3)


def test_lists_of_some_images():
    labels = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]], np.uint8)
    lists = LabelLists.of(labels)
    assert [lists[i].tolist() for i in range(3)] == [[0, 2], [], [1]]
    taken = lists.take(np.array([2, 0, 1, 0]))
    assert [taken[i].tolist() for i in range(len(taken))] == [[1], [0, 2], [], [0, 2]]
    assert taken.sizes().tolist() == [1, 2, 0, 2]
    assert len(lists.take(np.zeros(0, np.int64))) == 0
