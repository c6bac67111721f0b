"""Conditions on photos: `label=beach|sea`, `path=img_1`, `folder=2019/may`, `date>=2024-05`."""

import os
import re
import threading
import unicodedata
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from ssah_tf.data.names import class_name
from ssah_tf.search.index import Index
from ssah_tf.search.path_pattern import has_path
from ssah_tf.search.photo_table import PhotoTable
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import as_unicode, near, printable

#: Separates the labels of which a photo must have one.
OR = "|"
#: Stands around a label that has an `OR` in it, and a label so quoted with what ends it.
QUOTE = '"'
QUOTED = re.compile(r'\s*"((?:[^"]|"")*)"\s*(?=\||$)')
#: A condition: what it is on, how that compares, and to what.
CONDITION = re.compile(r"([a-z]+)\s*(>=|<=|=|<|>)(.*)", re.DOTALL)
#: What a date is compared by -> that of Arrow. Dates are cut to the length of the one given.
COMPARED = {
    "=": "equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}
#: Length of a date -> its form.
DATES = {4: "%Y", 7: "%Y-%m", 10: "%Y-%m-%d"}
#: What makes a path a pattern, not a word.
PATTERN = re.compile(r"[*?\[]")
#: Sets of conditions whose photos are kept.
FILTERS = 8
#: Conditions of a search, and characters of one, at most.
MOST, LONGEST = 20, 4_000


class UnknownLabel(SsahError):
    """A label that no photo has."""


@dataclass(frozen=True)
class Subset:
    """The photos that meet some conditions.

    Attributes:
        ids: int64 `(m,)`, ascending.
        codes: An index of these alone; `None` where the codes are in a database.
    """

    ids: np.ndarray
    codes: Index | None


class RecentFilters:
    """Keeps what was found for the last few sets of conditions; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, ...], Future[Subset]] = OrderedDict()

    def get(self, conditions: tuple[str, ...], find: Callable[[], Subset]) -> Subset:
        """What was found for the conditions, or is found now.

        Who asks for the same meanwhile waits for it; who asks for anything else does not.
        """
        with self._lock:
            new = conditions not in self._kept
            if new:
                self._kept[conditions] = Future()
                if len(self._kept) > FILTERS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(conditions)
            found = self._kept[conditions]
        if new:
            self._find(conditions, found, find)
        return found.result()

    def _find(
        self, conditions: tuple[str, ...], found: Future[Subset], find: Callable[[], Subset]
    ) -> None:
        """Find it; what fails is tried anew next time."""
        try:
            found.set_result(find())
        except BaseException as error:
            with self._lock:
                if self._kept.get(conditions) is found:
                    del self._kept[conditions]
            found.set_exception(error)


def matching(photos: PhotoTable, conditions: Sequence[str], base: str = os.sep) -> np.ndarray:
    """Which photos meet all conditions.

    Args:
        photos: The photos.
        conditions: Each one of

            - `label=NAME`, `label=NAME|NAME` (one of them), `label="NAME"` for a name with a `|` or
              a quote in it, see `alternatives`, or `label=` (no label at all);
            - `path=WORD`, see `has_word`, or `path=PATTERN` with `*`, `?` or `[...]` over the whole
              path;
            - `folder=PATH`: in it, or in a folder below;
            - `date>=2024-05-31`, `<=`, `>`, `<` or `=`, also with a month or a year.
        base: What `folder` is relative to, and the part of a path that no word is looked for in.

    Returns:
        bool `(n,)`.

    Raises:
        SsahError: Another form, or more or longer ones than `MOST` and `LONGEST`.
        UnknownLabel: A label that no photo has.
    """
    if len(conditions) > MOST:
        raise SsahError(f"filter: at most {MOST} conditions, received {len(conditions):,}")
    keep = np.ones(len(photos), bool)
    for condition in conditions:
        if len(condition) > LONGEST:
            raise SsahError(f"filter: at most {LONGEST:,} characters, received {len(condition):,}")
        found = CONDITION.fullmatch(condition)
        name, how, value = found.groups() if found else ("", "", "")
        if name == "date":
            keep &= has_date(photos, how, value.strip())
        elif name == "label" and how == "=":
            keep &= has_label(photos, value)
        elif name == "folder" and how == "=" and value:
            keep &= in_folder(photos, value, base)
        elif name == "path" and how == "=" and PATTERN.search(value):
            keep &= has_path(photos, value)
        elif name == "path" and how == "=" and value:
            keep &= has_word(photos, value, base)
        else:
            raise SsahError(
                f"filter {printable(condition)!r}: expected label=NAME, label=NAME|NAME, "
                "path=WORD, path=PATTERN, folder=PATH or date>=DATE, for example path=*/may/* or "
                "date>=2024-05-31"
            )
    return keep


def alternatives(value: str) -> list[str]:
    """The labels of a condition, as `class_name` has them: separated by `|`, except in quotes.

    A label may stand between double quotes, as in `"salt|pepper"`; a quote in it is doubled.

    Raises:
        SsahError: A quote is not closed, or something follows it.
    """
    found = []
    rest = value
    while True:
        quote = QUOTED.match(rest)
        if quote:
            name, rest = quote[1].replace(QUOTE * 2, QUOTE), rest[quote.end() :]
        elif rest.lstrip().startswith(QUOTE):
            raise SsahError(
                f'filter label={printable(value)}: expected NAME or "NAME", a quote in it doubled, '
                "and | before the next"
            )
        else:
            name, bar, rest = rest.partition(OR)
            rest = bar + rest
        found.append(class_name(name))
        if not rest:
            return found
        rest = rest.removeprefix(OR)


def quoted(name: str) -> str:
    """A label as it is written in a condition."""
    if OR in name or name.startswith(QUOTE):
        return QUOTE + name.replace(QUOTE, QUOTE * 2) + QUOTE
    return name


def names_labels(conditions: Sequence[str]) -> bool:
    """Whether one of the conditions is on labels."""
    return any(condition.partition("=")[0].strip() == "label" for condition in conditions)


def has_label(photos: PhotoTable, value: str) -> np.ndarray:
    """Photos with one of the labels, or without any if the value is empty."""
    import pyarrow
    import pyarrow.compute as compute

    column = photos.table["labels"].combine_chunks()
    counts: np.ndarray = compute.list_value_length(column).to_numpy()
    if not value:
        none: np.ndarray = counts == 0
        return none
    names = column.flatten()
    there: dict[str, list[str]] = {}
    for name in compute.unique(names).to_pylist():
        there.setdefault(class_name(name), []).append(name)
    wanted = []
    for name in alternatives(value):
        if name not in there:
            shown = near(name, there, 1) or sorted(there)[:5]
            hint = f"; there are {', '.join(printable(quoted(n)) for n in shown)}" if shown else ""
            raise UnknownLabel(f"no photo of the index has the label {printable(name)!r}{hint}")
        wanted += there[name]
    one = compute.is_in(names, value_set=pyarrow.array(wanted, pyarrow.string()))
    rows = np.repeat(np.arange(len(counts)), counts)[one.to_numpy(zero_copy_only=False)]
    found = np.zeros(len(counts), bool)
    found[rows] = True
    return found


def label_counts(photos: PhotoTable) -> dict[str, int]:
    """Label, as `class_name` has it -> number of photos; the most frequent first, then by name."""
    import pyarrow.compute as compute

    found: Counter[str] = Counter()
    for one in compute.value_counts(photos.table["labels"].combine_chunks().flatten()).to_pylist():
        found[class_name(one["values"])] += one["counts"]
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def has_word(photos: PhotoTable, word: str, base: str) -> np.ndarray:
    """Photos with a word in their path below a folder; an absolute path is one in the whole path.

    Capital and small letters are alike, and so are letters that are composed in another way.
    """
    above = "" if os.path.isabs(word) else base.rstrip(os.sep) + os.sep
    wanted = alike(word)
    fits = (wanted in alike(path.removeprefix(above)) for path in photos.paths())
    return np.fromiter(fits, bool, len(photos))


def in_folder(photos: PhotoTable, folder: str, base: str) -> np.ndarray:
    """Photos in a folder, which may be relative to another one, or below it."""
    inside = os.path.normpath(os.path.join(as_unicode(base), folder)).rstrip(os.sep) + os.sep
    fits = (as_unicode(path).startswith(inside) for path in photos.paths())
    return np.fromiter(fits, bool, len(photos))


def alike(text: str) -> str:
    """A text in small letters, each composed in one way."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def has_date(photos: PhotoTable, how: str, value: str) -> np.ndarray:
    """Photos that were taken on a day, or in a month or a year; before or after it.

    Raises:
        SsahError: It is no date, or the index has no dates yet.
    """
    import pyarrow.compute as compute

    try:
        datetime.strptime(value, DATES[len(value)])
    except (KeyError, ValueError):
        raise SsahError(
            f"filter date{how}{printable(value)}: expected a date such as 2024-05-31, 2024-05 or "
            "2024"
        ) from None
    if len(photos) and not compute.any(compute.not_equal(photos.table["taken_from"], "")).as_py():
        raise SsahError("the index has no dates yet: run `ssah index` again, which reads them")
    taken = photos.table["taken"].combine_chunks()
    cut = compute.utf8_slice_codeunits(taken, 0, len(value))
    fits = compute.and_(compute.call_function(COMPARED[how], [cut, value]),
                        compute.not_equal(taken, ""))  # fmt: skip
    found: np.ndarray = fits.to_numpy(zero_copy_only=False)
    return found
