"""A file is known again by its content, of several by what the paths share."""

from ssah_tf.search.moved import inherited, moved
from ssah_tf.search.photo_table import Photo


def photo(path, digest, *labels):
    return Photo(path, digest, 1, 2, labels)


def test_a_renamed_file_and_a_moved_folder():
    gone = {3: photo("/d/a/x.jpg", "11"), 5: photo("/d/b/x.jpg", "11"), 7: photo("/d/y.jpg", "22")}
    new = {"/e/b/x.jpg": "11", "/e/a/x.jpg": "11", "/d/z.jpg": "22", "/d/other.jpg": "33"}
    assert moved(new, gone) == {"/e/a/x.jpg": 3, "/e/b/x.jpg": 5, "/d/z.jpg": 7}


def test_each_is_taken_once_the_one_of_the_same_folder_first():
    gone = {1: photo("/d/a/x.jpg", "11"), 2: photo("/d/b/y.jpg", "11")}
    assert moved({"/d/b/z.jpg": "11"}, gone) == {"/d/b/z.jpg": 2}
    both = {"/d/a/x2.jpg": "11", "/d/b/y2.jpg": "11", "/d/c/z.jpg": "11"}
    assert moved(both, gone) == {"/d/a/x2.jpg": 1, "/d/b/y2.jpg": 2}
    assert moved({}, gone) == moved(both, {}) == {}


def test_copies_have_the_labels_of_the_copy_whose_path_is_most_alike():
    known = {
        1: photo("/d/a/x.jpg", "11", "sea"),
        2: photo("/d/b/x.jpg", "11", "dog"),
        3: photo("/d/c.jpg", "22", "cat"),
        4: photo("/d/e.jpg", "22"),
        5: photo("/d/f.jpg", "33"),
    }
    new = {
        "/copy/b/x.jpg": "11",
        "/copy/x.jpg": "11",  # "sea" or "dog": nobody knows
        "/d/a/z.jpg": "11",
        "/d/g.jpg": "22",
        "/copy/f.jpg": "33",
    }
    assert inherited(new, known) == {
        "/copy/b/x.jpg": ("dog",),
        "/d/a/z.jpg": ("sea",),
        "/d/g.jpg": ("cat",),
    }
