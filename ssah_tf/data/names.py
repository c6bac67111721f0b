"""Class names: those that look equal are equal, and those that look like an accident are told."""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

#: Characters without width that change no picture of a name: soft hyphen, spaces of width 0, byte
#: order mark, marks of direction and of mathematics.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)
#: Joiners: of Indic, Arabic and emoji they change the picture, elsewhere not.
JOINERS = "\u200c\u200d"
#: Letters from here on may be joined, or kept apart, by them.
JOINED = "\u0600"
#: How programs write a cell that is empty.
EMPTY = frozenset({"nan", "none", "null", "n/a", "na", "<na>", "nat", "undefined", "#n/a"})
#: Quotes of any kind; those that no name begins with, and those that no name ends with.
QUOTES = "\"'`\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
OPENING, CLOSING = '"\u201c\u201e\u00ab', "\u201d\u00bb"


@lru_cache(maxsize=65536)
def class_name(text: str) -> str:
    """A class name as it is compared, stored and shown.

    Composed Unicode (NFC); every space a plain one, none at the ends; no characters without width.
    Joiners stay between letters of scripts, and between emoji, that they join.
    """
    if text.isascii():
        return text.strip()
    text = unicodedata.normalize("NFC", INVISIBLE.sub("", text))
    text = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text).strip()
    kept = [
        c
        for before, c, after in zip(" " + text, text, text[1:] + " ", strict=False)
        if c not in JOINERS or min(before, after) >= JOINED
    ]
    return unicodedata.normalize("NFC", "".join(kept)).strip()


def odd_names(classes: Sequence[str]) -> list[str]:
    """Class names that are probably an accident of the program that wrote a table, with the cure.

    Args:
        classes: The class names.

    Returns:
        A line each.
    """
    found = []
    for name in classes:
        if name.casefold() in EMPTY:
            found.append(f"{name!r} is a class: an empty cell? leave the label empty")
        elif name[0] in "[(" and name[-1] in "])" and re.search("[\"',]", name):
            found.append(f"{name!r} is a class: a list? write its labels as x;y")
        elif (
            (name[0] in QUOTES and name[-1] in QUOTES) or name[0] in OPENING or name[-1] in CLOSING
        ):
            found.append(f'{name!r} is a class: stray quotes? put " around the whole field only')
    return found
