import hashlib
import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from ssah_tf.data import ImageSet, Split, make_split
from ssah_tf.data.split import draw as draw_quota
from ssah_tf.system.errors import DataError, RunError

PARTS = ("labelled", "validation", "unlabelled", "query", "database")


def image_set(labels, digests=None):
    labels = np.array(labels, np.uint8)
    n, classes = labels.shape
    return ImageSet(
        name="set",
        ids=tuple(f"i{k}" for k in range(n)),
        labels=labels,
        classes=tuple("abcdefgh"[:classes]),
        digests=tuple(digests or (f"d{k}" for k in range(n))),
    )


def balanced(per_class=20, classes=3):
    return image_set(np.repeat(np.eye(classes), per_class, axis=0))


def counts(images, ids):
    return images.labels[images.positions(ids)].sum(axis=0).tolist()


def draw(images, **changes):
    values = {"labelled_per_class": 6, "validation_per_class": 2, "query_per_class": 4}
    return make_split(images, **{**values, **changes})


def test_sizes_and_disjoint_parts():
    """20 a class: 4 queries, 6 labelled of which 2 for validation, 10 unlabelled."""
    images = balanced()
    split = draw(images)
    assert counts(images, split.query) == [4, 4, 4]
    assert counts(images, split.labelled) == [4, 4, 4]
    assert counts(images, split.validation) == [2, 2, 2]
    assert counts(images, split.unlabelled) == [10, 10, 10]
    trained = [*split.labelled, *split.validation, *split.unlabelled]
    assert len(trained) == len(set(trained)) == 48
    assert set(split.database) == set(trained)
    assert set(split.database).isdisjoint(split.query)
    assert set(split.database) | set(split.query) == set(images.ids)


def test_seed():
    images = balanced()
    assert draw(images, seed=3) == draw(images, seed=3)
    one, other = draw(images, seed=3), draw(images, seed=4)
    assert other.seed == 4
    for part in ("query", "labelled", "validation", "unlabelled"):
        assert getattr(one, part) != getattr(other, part)


def test_every_image_can_be_a_query():
    """The draw is random: over 40 seeds each of 15 images is a query at least once."""
    images = balanced(per_class=5)
    found = [
        set(draw(images, seed=s, labelled_per_class=2, validation_per_class=1).query)
        for s in range(40)
    ]
    assert all(len(query) == 3 for query in found)
    assert set.union(*found) == set(images.ids)


def test_protocol_says_what_a_number_means():
    protocol = draw(balanced(), seed=7).protocol
    for text in (
        "set, n-per-class: 12 queries (4 a class, at most a fifth)",
        "database of 48",
        "18 labels (6 a class; 6 of them for validation)",
        "30 unlabelled images",
        "the database holds 18 labelled training images and 30 unlabelled training images",
        "relevant = shares a label",
        "split seed 7",
    ):
        assert text in protocol
    assert len(protocol.splitlines()) == 1


def test_queries_are_at_most_a_fifth():
    """Classes of 20 and of 9 images: 20 // 5 = 4 and 9 // 5 = 1."""
    images = image_set(np.repeat(np.eye(2), (20, 9), axis=0))
    split = draw(images, query_per_class=50)
    assert counts(images, split.query) == [4, 1]


def test_official_queries():
    images = balanced()
    queries = ("i59", "i0", "i1")
    split = draw(images, query_ids=queries)
    assert set(split.query) == set(queries)
    assert len(split.database) == 57
    assert counts(images, split.labelled + split.validation) == [6, 6, 6]
    assert "3 official queries" in split.protocol


def test_all_labels():
    images = image_set([*np.repeat(np.eye(2), 10, axis=0), [0, 0], [0, 0]])
    split = draw(images, labelled_per_class=None)
    assert counts(images, split.query) == [2, 2]
    assert counts(images, split.validation) == [2, 2]
    assert counts(images, split.labelled) == [6, 6]
    assert split.unlabelled == ("i20", "i21")
    assert "16 labels (all of them; 4 of them for validation)" in split.protocol


def test_images_without_a_label():
    """They are unlabelled, never a query, never labelled; no one can say if they are relevant."""
    images = image_set([*np.zeros((30, 3)), *np.repeat(np.eye(3), 20, axis=0)])
    split = draw(images)
    without = {f"i{k}" for k in range(30)}
    assert without <= set(split.unlabelled)
    assert not without & set(split.database)
    assert len(split.database) == 48


@pytest.mark.parametrize("seed", range(5))
def test_exact_copies_are_no_queries(seed):
    """Half of the images of each class have a copy, one of them in another class."""
    digests = [f"d{k}" for k in range(60)]
    for start in (0, 20, 40):
        for k in range(0, 10, 2):
            digests[start + k] = digests[start + k + 1]
    digests[10] = digests[30]
    images = image_set(np.repeat(np.eye(3), 20, axis=0), digests)
    split = draw(images, seed=seed)
    assert counts(images, split.query) == [4, 4, 4]
    for name in split.query:
        assert digests.count(images.digests[int(name[1:])]) == 1


def test_quota_by_hand():
    """Two of each class. i0 has both labels; i3 is taken for b, though a is full by then."""
    images = image_set([[1, 1], [1, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
    order = np.array([5, 0, 1, 2, 3, 4])
    assert draw_quota(images, order, np.array([2, 2])).tolist() == [0, 1, 3]
    assert draw_quota(images, order, np.array([0, 1])).tolist() == [0]
    assert draw_quota(images, order, np.array([0, 0])).tolist() == []


def test_several_labels():
    """Image k has label k % 3 and, every fourth one, the next label too."""
    labels = np.eye(3, dtype=np.uint8)[np.arange(120) % 3]
    labels[::4] |= np.roll(labels[::4], 1, axis=1)
    images = image_set(labels)
    split = draw(images, labelled_per_class=10, validation_per_class=3, query_per_class=5)
    for ids, least in ((split.query, 5), (split.labelled + split.validation, 10)):
        found = counts(images, ids)
        assert min(found) >= least
        assert len(ids) <= 3 * least
    assert min(counts(images, split.validation)) >= 3
    assert min(counts(images, split.labelled)) > 0


@pytest.mark.parametrize(
    ("changes", "labelled", "validation"),
    [
        ({"labelled_per_class": 16}, 14, 2),
        ({"labelled_per_class": 16, "validation_per_class": 15}, 1, 15),
        ({"labelled_per_class": None, "validation_per_class": 15}, 1, 15),
        ({"labelled_per_class": 1, "validation_per_class": 0}, 1, 0),
    ],
)
def test_a_class_may_give_all_that_it_has(changes, labelled, validation):
    """Sixteen are left of each class besides its queries."""
    images = balanced()
    split = draw(images, **changes)
    assert counts(images, split.labelled) == [labelled] * 3
    assert counts(images, split.validation) == [validation] * 3
    assert split.seed == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labelled_per_class": None, "validation_per_class": 16}, "class 'a' has 16 images"),
        ({"labelled_per_class": 17}, "class 'a' has 16 images .* 17 labelled"),
        ({"validation_per_class": 16}, "class 'a' has 16 images"),
        ({"validation_per_class": 6}, "lower validation_per_class"),
        ({"query_per_class": 0}, "no query images"),
        ({"query_ids": ("i0", "nobody")}, "'nobody'"),
    ],
)
def test_refused(changes, message):
    with pytest.raises(DataError, match=message):
        draw(balanced(), **changes)


def test_without_queries_is_refused():
    with pytest.raises(ValueError, match="query_per_class or query_ids"):
        make_split(balanced(), labelled_per_class=5, validation_per_class=1)


def test_official_query_with_a_copy_is_refused():
    digests = [f"d{k}" for k in range(60)]
    digests[59] = "d0"
    images = image_set(np.repeat(np.eye(3), 20, axis=0), digests)
    with pytest.raises(DataError, match=r"'i0' has the same content as 'i59'"):
        draw(images, query_ids=("i0", "i1"))


@pytest.fixture
def images():
    return balanced(per_class=5, classes=2)


@pytest.fixture
def split():
    """Of ten images: i0 is the query, i1 to i9 are searched."""
    return Split(
        labelled=("i1", "i5"),
        validation=("i2", "i6"),
        unlabelled=("i3", "i4", "i7", "i8", "i9"),
        query=("i0",),
        database=tuple(f"i{k}" for k in range(1, 10)),
        seed=0,
        protocol="by hand",
    )


def test_check_passes(images, split):
    split.check(images)
    replace(split, validation=(), unlabelled=()).check(images)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labelled": ()}, "no labelled images"),
        ({"query": ()}, "no query images"),
        ({"database": ()}, "no database images"),
        ({"validation": ("i1",)}, "'i1' is in labelled and in validation"),
        ({"unlabelled": ("i5",)}, "'i5' is in labelled and in unlabelled"),
        ({"unlabelled": ("i2",)}, "'i2' is in unlabelled and in validation"),
        ({"labelled": ("i1", "i1")}, "'i1' is in labelled and in labelled"),
        ({"query": ("i0", "i0")}, "twice in the query part"),
        ({"database": ("i1", "i1")}, "twice in the database part"),
        ({"query": ("i0", "i1")}, "query image 'i1'"),
        ({"unlabelled": ("i0",)}, "query image 'i0'"),
        ({"database": ("i0", "i1")}, "query image 'i0'"),
        ({"labelled": ("gone",)}, "'gone'"),
        ({"query": ("gone",)}, "'gone'"),
        ({"database": ("gone",)}, "'gone'"),
    ],
)
def test_check_refuses(images, split, changes, message):
    with pytest.raises(DataError, match=message):
        replace(split, **changes).check(images)


@pytest.mark.parametrize("copy", [1, 2, 3, 9])
def test_check_refuses_a_copy_of_a_query(images, split, copy):
    digests = list(images.digests)
    digests[copy] = digests[0]
    with pytest.raises(DataError, match=rf"'i0' has the same content as 'i{copy}'"):
        split.check(replace(images, digests=tuple(digests)))


def test_save_and_load(split, tmp_path):
    path = tmp_path / "split.json"
    odd = replace(split, query=("a b/漢字 'é'\n.png", "\udcff.png"), seed=5)
    odd.save(path)
    assert Split.load(path) == odd
    split.save(path)
    assert Split.load(str(path)) == split
    assert [p.name for p in tmp_path.iterdir()] == ["split.json"]


def test_save_nowhere(split, tmp_path):
    with pytest.raises(RunError, match="cannot be written"):
        split.save(tmp_path / "none" / "split.json")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "[{}]",
        lambda text: "3",
        lambda text: "null",
        lambda text: json.dumps(list(json.loads(text))),
        lambda text: text.replace('"query"', '"queries"'),
        lambda text: text.replace('"seed": 0', '"seed": 0, "more": 1'),
        lambda text: text.replace('"seed": 0, ', ""),
        lambda text: text.replace('"seed": 0', '"seed": "0"'),
        lambda text: text.replace('"by hand"', "null"),
        lambda text: text.replace('["i0"]', '"i0"'),
        lambda text: text.replace('["i0"]', "[0]"),
        lambda text: text.replace('["i0"]', "{}"),
        lambda text: "\x00" * 40,
    ],
)
def test_damaged_file(split, tmp_path, damage):
    path = tmp_path / "split.json"
    split.save(path)
    text = path.read_text()
    assert damage(text) != text
    path.write_text(damage(text))
    with pytest.raises(DataError) as caught:
        Split.load(path)
    assert str(caught.value).startswith(f"{path}: not a split file (")
    assert len(str(caught.value).splitlines()) == 1


def test_file_that_is_none(tmp_path):
    with pytest.raises(DataError, match=r"none\.json: no such file"):
        Split.load(tmp_path / "none.json")
    with pytest.raises(DataError, match="not a split file"):
        Split.load(tmp_path)
    (tmp_path / "latin").write_bytes(b'{"query": "\xe9"}')
    with pytest.raises(DataError, match="not a split file"):
        Split.load(tmp_path / "latin")


def awkward_set():
    """Ninety images: classes of 50, 25, 9 and 3; some with two labels, a copy, or no label."""
    rng = np.random.default_rng(5)
    labels = np.zeros((90, 4), np.uint8)
    labels[np.arange(87), np.repeat(np.arange(4), (50, 25, 9, 3))] = 1
    labels[rng.permutation(87)[:8], rng.integers(0, 3, 8)] = 1
    digests = [f"d{k}" for k in range(90)]
    for k in (20, 55, 70):
        digests[k] = digests[k + 1]
    return image_set(labels[rng.permutation(90)], digests)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "fc4fb0e8f5d8173d"),
        ({"seed": 7}, "1fc9e3a0cc0b21cf"),
        ({"labelled_per_class": None, "seed": 1}, "3e08083aa7fc4be5"),
        (
            {"labelled_per_class": None, "labelled_share": 0.6, "protocol": "fraction"},
            "643edc26f31a2c8b",
        ),
        ({"labelled_in_database": False, "seed": 2}, "1aa71c241f6c071e"),
        ({"query_ids": ("i3", "i0", "i4"), "query_per_class": None}, "36ab3e8828205ab2"),
        (
            {"as_available": True, "labelled_per_class": None, "query_per_class": 20},
            "c12530ebd53b879e",
        ),
        (
            {"as_available": True, "labelled_per_class": 8, "validation_per_class": 5},
            "4a9129e8fb0b87d7",
        ),
    ],
)
def test_drawn_splits_stay_as_they_are(changes, expected):
    """Old runs are gone on with and compared by their split: the same call draws the same one."""
    values = {"labelled_per_class": 2, "validation_per_class": 1, "query_per_class": 4}
    split = make_split(awkward_set(), **{**values, **changes})
    parts = {key: value for key, value in asdict(split).items() if key != "contents"}
    found = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    assert found == expected
