"""Shell patterns over paths mean what they mean in `fnmatch`, and cost little whatever they are."""

import fnmatch
import random
import re

import pyarrow
import pytest

from ssah_tf.search.path_pattern import WILDCARDS, expression, has_path
from ssah_tf.search.photo_table import path_column
from ssah_tf.system.errors import SsahError


class Table:
    """Photos that have paths, and nothing else."""

    def __init__(self, *paths):
        self.table = pyarrow.table({"path": path_column(pyarrow, paths)})
        self.names = list(paths)

    def paths(self):
        return self.names


#: `\udc80` stands for a byte that is no text.
CHARACTERS = "ab]^![-\\\n.é*?\0{|&~\U0001f600/(\udc80"


@pytest.mark.parametrize("count", [1000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_as_fnmatch_has_it(count):
    """The independent reference is the standard library's, on patterns of awkward characters."""
    random.seed(count)

    def text(longest, characters=CHARACTERS):
        return "".join(random.choices(characters, k=random.randrange(longest)))

    fitted = 0
    for number in range(count):
        pattern = text(9)
        paths = [text(7, CHARACTERS[: -1 - number % 2]) for _ in range(12)]
        paths.append(pattern.replace("*", "ab").replace("?", "é"))
        fits = re.compile(fnmatch.translate(pattern)).match
        expected = [fits(path) is not None for path in paths]
        assert has_path(Table(*paths), pattern).tolist() == expected, (pattern, paths)
        fitted += sum(expected)
    assert fitted > count / 2


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/p/may/*", ["/p/may/a.jpg", "/p/may/\udcff.jpg"]),
        ("*/?.jpg", ["/p/may/a.jpg", "/p/may/\udcff.jpg", "/p/june/é.jpg"]),
        ("*[!a-z].jpg", ["/p/may/\udcff.jpg", "/p/june/é.jpg"]),
        ("*\udcff*", ["/p/may/\udcff.jpg"]),
        ("*/MAY/*", []),
        ("*[z-a]*", []),
        ("*jpg*" * 6, []),
    ],
)
def test_patterns(pattern, found):
    photos = Table("/p/may/a.jpg", "/p/may/\udcff.jpg", "/p/june/é.jpg")
    assert [
        p for p, fits in zip(photos.paths(), has_path(photos, pattern), strict=True) if fits
    ] == found


def test_so_many_wildcards():
    assert expression("*a" * WILDCARDS).count(".*") == WILDCARDS
    assert has_path(Table("a" * 5000), "**a?[a]" * (WILDCARDS // 3)).tolist() == [True]
    for one in ("*a", "?", "[a]"):
        with pytest.raises(SsahError, match=r"^filter path: at most 32 wildcards .* received 33$"):
            expression(one * (WILDCARDS + 1))
