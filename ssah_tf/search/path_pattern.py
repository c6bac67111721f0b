"""Shell patterns over the paths of photos, matched in linear time by RE2, which PyArrow carries."""

import re

import numpy as np

from ssah_tf.search.photo_table import PhotoTable
from ssah_tf.system.errors import SsahError

#: `*`, `?` and `[...]` in a pattern, at most: RE2 then needs little memory, whatever they are.
WILDCARDS = 32
#: What a pattern is made of. `[` without an end is itself, as in `fnmatch`.
TOKEN = re.compile(r"(?P<any>\*+)|(?P<one>\?)|\[(?P<no>!?+)(?P<set>\]?+[^\]]*)\]|(?P<self>.)", re.S)
#: Two ends of a range in brackets, or a character.
MEMBER = re.compile(r"(.)-(.)|(.)", re.S)
#: Bytes of a name that is no text, as `os.fsdecode` has them -> characters that UTF-8 can carry.
AS_TEXT = {0xDC80 + byte: 0x10FF80 + byte for byte in range(0x80)}


def has_path(photos: PhotoTable, pattern: str) -> np.ndarray:
    """Photos whose whole path fits a shell pattern; capital and small letters differ.

    Args:
        photos: The photos.
        pattern: With `*`, `?`, `[abc]`, `[a-c]` and `[!abc]`, as in `fnmatch`.

    Returns:
        bool `(n,)`.

    Raises:
        SsahError: It has more than `WILDCARDS` wildcards.
    """
    import pyarrow
    import pyarrow.compute as compute

    column = photos.table["path"]
    if column.type != pyarrow.string():  # some names are no text
        column = pyarrow.array([path.translate(AS_TEXT) for path in photos.paths()])
    fits = compute.match_substring_regex(column, expression(pattern))
    found: np.ndarray = fits.to_numpy(zero_copy_only=False)
    return found


def expression(pattern: str) -> str:
    """A shell pattern as RE2 has it.

    Raises:
        SsahError: It has more than `WILDCARDS` wildcards.
    """
    tokens = list(TOKEN.finditer(pattern.translate(AS_TEXT)))
    wildcards = sum(token["self"] is None for token in tokens)
    if wildcards > WILDCARDS:
        raise SsahError(
            f"filter path: at most {WILDCARDS} wildcards (*, ?, [...]), received {wildcards:,}"
        )
    return "(?s)\\A" + "".join(map(translated, tokens)) + "\\z"


def translated(token: re.Match[str]) -> str:
    """A token as RE2 has it."""
    if token["any"]:
        return ".*"
    if token["one"]:
        return "."
    if token["self"]:
        return literal(token["self"])
    members = ""
    for first, last, one in MEMBER.findall(token["set"]):
        if one or first <= last:
            members += literal(one) if one else f"{literal(first)}-{literal(last)}"
    if not members:  # ranges that run backwards
        return "." if token["no"] else "[^\\x{0}-\\x{10FFFF}]"
    return f"[{'^' if token['no'] else ''}{members}]"


def literal(character: str) -> str:
    """A character as itself."""
    if character.isascii() and not character.isalnum():
        return f"\\x{{{ord(character):x}}}"
    return character
