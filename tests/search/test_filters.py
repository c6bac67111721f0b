"""Any label can be written in a condition, and labels that look equal are equal."""

import pytest

from ssah_tf.search.filters import alternatives, has_label, quoted
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


def test_labels_of_an_older_index_that_look_equal():
    photos = Table([["Caf\u00e9"], ["Cafe\u0301", "dog"], ["dog\u200b"], [], ["salt|pepper"]])
    assert has_label(photos, "Cafe\u0301").tolist() == [True, True, False, False, False]
    assert has_label(photos, "dog").tolist() == [False, True, True, False, False]
    assert has_label(photos, '"salt|pepper"').tolist() == [False, False, False, False, True]
    assert has_label(photos, '"salt|pepper"|dog').tolist() == [False, True, True, False, True]
    with pytest.raises(SsahError, match=r'has the label .salt.; there are .*"salt\|pepper"'):
        has_label(photos, "salt")
