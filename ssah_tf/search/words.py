"""Which labels a typed word means."""

import re
import unicodedata
from collections.abc import Mapping

from ssah_tf.data.names import class_name
from ssah_tf.search.filters import UnknownLabel
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import near, printable

WORD = re.compile(r"[^\W_]+")
#: They part no words.
APOSTROPHES = re.compile("['\u2019]")
#: Labels of a hint.
NEAR, SHOWN = 3, 5


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared: capitals, accents and punctuation play no part.

    A text without letters and digits, an emoji say, is a word.
    """
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    plain = "".join(c for c in folded if not unicodedata.combining(c))
    return WORD.findall(APOSTROPHES.sub("", plain)) or plain.split()


def labels_like(word: str, labels: Mapping[str, int]) -> list[str]:
    """The labels that a word matches: it is a word of the label, or begins one.

    Of several words each must do so.

    Args:
        word: What was typed.
        labels: Label -> number of photos.

    Returns:
        The label that is the word itself first, then one of the same words, then those of most
        photos.

    Raises:
        UnknownLabel: There is none; the message names near ones.
        SsahError: No word is given, or there are no labels.
    """
    typed = words_of(word)
    if not typed:
        raise SsahError("no word to find labels by")
    if not labels:
        raise SsahError(
            "no photo of the index has a label: give some photos labels with `ssah index --labels`"
        )
    words = {label: words_of(label) for label in labels}
    found = [
        label
        for label, its in words.items()
        if all(any(one.startswith(start) for one in its) for start in typed)
    ]
    if not found:
        raise UnknownLabel(
            f"no label of the index matches {word!r}; {hint(' '.join(typed), words)}"
        )
    same = class_name(word)
    return sorted(found, key=lambda one: (one != same, words[one] != typed, -labels[one], one))


def hint(typed: str, words: Mapping[str, list[str]]) -> str:
    """Labels whose name, or a word of it, is near to what was typed; some labels if none is."""
    owners: dict[str, list[str]] = {}
    for label, its in words.items():
        for text in dict.fromkeys((" ".join(its), *its)):
            owners.setdefault(text, []).append(label)
    close = near(typed, owners, NEAR)
    found = list(dict.fromkeys(label for text in close for label in owners[text]))[:NEAR]
    if found:
        return f"near are {', '.join(map(printable, found))}"
    shown = ", ".join(map(printable, list(words)[:SHOWN]))
    more = len(words) - SHOWN
    return f"there are {shown}" + (f" and {more:,} more" if more > 0 else "")
