"""Any label can be written in a condition, and labels that look equal are equal."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

from ssah_tf.search.filters import (
    FILTERS,
    MOST,
    RecentFilters,
    Subset,
    alternatives,
    has_label,
    matching,
    quoted,
)
from ssah_tf.search.photo_table import PhotoTable
from ssah_tf.system.errors import SsahError


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("a", ["a"]),
        ("a|b", ["a", "b"]),
        (' a | "b" ', ["a", "b"]),
        ('"salt|pepper"', ["salt|pepper"]),
        ('"salt|pepper"|dog', ["salt|pepper", "dog"]),
        ('dog|"salt|pepper"', ["dog", "salt|pepper"]),
        ('"say ""hi"""', ['say "hi"']),
        ('5" disk', ['5" disk']),
        ('"""x"""', ['"x"']),
        ("a=b", ["a=b"]),
        ("Cafe\u0301", ["Caf\u00e9"]),
        ("trail ", ["trail"]),
        ("do\u200bg", ["dog"]),
        ("|", ["", ""]),
    ],
)
def test_alternatives(value, names):
    assert alternatives(value) == names


@pytest.mark.parametrize("value", ['"a', '"a"b', '"', 'x|"a', '"a" "b"'])
def test_quotes_that_do_not_close(value):
    with pytest.raises(SsahError, match=r"filter label=.*a quote in it doubled") as caught:
        alternatives(value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["a", "a|b", '"', '"a"', 'a"b|"c', "|", '""|""', "a=b", "*", "\\"])
def test_what_is_quoted_is_read_again(name):
    assert alternatives(quoted(name)) == [name]
    assert alternatives(f"x|{quoted(name)}|y") == ["x", name, "y"]


class Table(PhotoTable):
    """Photos that have labels, and nothing else."""

    def __init__(self, labels):
        import pyarrow

        self.table = pyarrow.table(
            {"labels": pyarrow.array(labels, pyarrow.list_(pyarrow.string()))}
        )
        self.ids = np.arange(len(labels))


def test_labels_of_an_older_index_that_look_equal():
    photos = Table([["Caf\u00e9"], ["Cafe\u0301", "dog"], ["dog\u200b"], [], ["salt|pepper"]])
    assert has_label(photos, "Cafe\u0301").tolist() == [True, True, False, False, False]
    assert has_label(photos, "dog").tolist() == [False, True, True, False, False]
    assert has_label(photos, '"salt|pepper"').tolist() == [False, False, False, False, True]
    assert has_label(photos, '"salt|pepper"|dog').tolist() == [False, True, True, False, True]
    with pytest.raises(SsahError, match=r'has the label .salt.; there are .*"salt\|pepper"'):
        has_label(photos, "salt")


def test_conditions_are_few_and_short():
    photos = Table([["dog"]])
    assert matching(photos, ["label=dog"] * MOST).tolist() == [True]
    with pytest.raises(SsahError, match=r"^filter: at most 20 conditions, received 21$"):
        matching(photos, ["label=dog"] * (MOST + 1))
    for text in ("path=" + "*a" * 20_000, "label=" + "a|" * 20_000):
        with pytest.raises(
            SsahError, match=r"^filter: at most 4,000 characters, received 40,00[56]$"
        ):
            matching(photos, [text])


def test_other_conditions_do_not_wait():
    """One set is looked for; who wants it too waits, others are answered; it is found once."""
    recent, begun, go_on, found = RecentFilters(), Event(), Event(), []

    def slow():
        found.append("slow")
        begun.set()
        assert go_on.wait(30)
        return Subset(np.arange(3), None)

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(recent.get, ("path=a",), slow)
        assert begun.wait(30)
        second = pool.submit(recent.get, ("path=a",), slow)
        other = pool.submit(recent.get, ("path=b",), lambda: Subset(np.arange(1), None))
        try:
            assert other.result(30).ids.tolist() == [0]
            assert not second.done()
        finally:
            go_on.set()
        assert first.result(30) is second.result(30)
    assert found == ["slow"]


def test_what_failed_is_tried_anew():
    recent = RecentFilters()

    def fails():
        raise SsahError("not now")

    with pytest.raises(SsahError, match="not now"):
        recent.get(("path=a",), fails)
    assert recent.get(("path=a",), lambda: Subset(np.arange(2), None)).ids.tolist() == [0, 1]
    for number in range(FILTERS):
        recent.get((f"path={number}",), lambda: Subset(np.arange(1), None))
    with pytest.raises(SsahError, match="not now"):  # forgotten for newer ones
        recent.get(("path=a",), fails)
