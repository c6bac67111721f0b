"""A review of an index in a database: the same files are moved, the same labels handed on."""

import itertools
import json
import subprocess
import sys
import urllib.request

import pytest

from ssah_tf.search.backends.schemes import locked, shown
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.system.errors import SsahError

NAMES = map("reviewed{}".format, itertools.count())


@pytest.fixture(params=["postgres", pytest.param("milvus", marks=pytest.mark.slow)])
def there(request, tmp_path, monkeypatch, duplicated_at):
    """An index with duplicates in a database."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return duplicated_at(request.getfixturevalue(request.param)(next(NAMES)))


def test_set_aside_undone_and_restored(there, ssah):
    """Labels go to what is kept, in the database, and back; the numbers of photos stay."""
    before, labels = there.names(), there.labelled()
    review = there.review()
    assert [[member.kind for member in group] for group in review.groups] == [
        ["first", "copy"], ["first", "copy", "near"],
    ]  # fmt: skip
    review.set_aside(0, {1})
    assert there.labelled() == labels | {"june/b.jpg": ("dog", "cat")}
    review.undo()
    assert (there.names(), there.labelled()) == (before, labels)
    review.set_aside(0, {1})
    review.set_aside(1, {4})
    there.sync()
    with PhotoIndex.open(there.place) as index:
        assert len(index.missing) == 3
        assert len(index.photos) == 3
    assert there.review().state(None)["groups"] == 0
    said = ssah("duplicates", there.place, "--restore", there.aside)
    assert (said.code, said.out) == (0, "3 photos are back\n"), said.err
    there.sync()
    assert (there.names(), there.labelled()) == (before, labels)


def test_the_index_is_in_use(there):
    """A step that has labels to hand on is refused as a whole; one that has none is not."""
    before, review = there.names(), there.review()
    with locked(there.place):
        with pytest.raises(SsahError, match="is in use by another process"):
            review.set_aside(0, {1})
        assert there.names() == before
        review.set_aside(1, {2, 4})
    assert len(there.names()) == len(before) - 1
    assert review.undo() == []


@pytest.mark.slow
def test_as_a_person_types_it(there, tmp_path):
    """The page, by its command; no password is printed."""
    words = ["duplicates", there.place, "--review", "--set-aside", "aside", "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ssah_tf.cli", *words, "--radius", "1"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout.readline() == "2 groups, 5 photos\n"
    url = process.stdout.readline().split("review page: ")[1].split("/ ")[0]
    body = json.dumps({"group": 0, "keep": [1]}).encode()
    request = urllib.request.Request(
        f"{url}/duplicates/set-aside", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["set_aside"] == 1
    process.terminate()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"ssah duplicates {shown(there.place)} --restore aside" in out
    assert there.labelled()["june/b.jpg"] == ("dog", "cat")


def test_a_database_that_is_away(there, monkeypatch):
    """Nothing moves, and a line says so."""
    before, review = there.names(), there.review()
    address = there.place
    review.labels.place = address.replace("reviewed", "gone")
    with pytest.raises(SsahError) as caught:
        review.set_aside(0, {1})
    assert len(str(caught.value).splitlines()) == 1
    assert there.names() == before
