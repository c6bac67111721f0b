"""Which known photo a new file is, or is a copy of: by content, then by what the paths share."""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping

from ssah_tf.search.photo_table import Photo


def moved(new: Mapping[str, str], gone: Mapping[int, Photo]) -> dict[str, int]:
    """The photo that each new file was, as far as one of its content is gone.

    Of several with one content that is taken whose path ends alike, most of all first (a folder
    that moved), then one of the same folder (a file that was renamed), then any: each once.

    Args:
        new: Path -> digest of its content.
        gone: Photos whose files are no longer there, by id.

    Returns:
        Path -> id.
    """
    digests = set(new.values())
    left = {number: photo for number, photo in gone.items() if photo.digest in digests}
    old = {photo.digest for photo in left.values()}
    paths = [path for path, digest in new.items() if digest in old]
    found: dict[str, int] = {}
    for level in levels([*paths, *(photo.path for photo in left.values())]):
        there: dict[tuple[str, str], list[int]] = defaultdict(list)
        for number in sorted(left, reverse=True):
            key = level_key(left[number].path, level)
            if key is not None:
                there[left[number].digest, key].append(number)
        for path in paths:
            key = level_key(path, level)
            if path not in found and key is not None and (owners := there.get((new[path], key))):
                found[path] = owners.pop()
                del left[found[path]]
        if not left or len(found) == len(paths):
            break
    return found


def inherited(new: Mapping[str, str], known: Mapping[int, Photo]) -> dict[str, tuple[str, ...]]:
    """The labels that new copies of known photos have: those of the copy whose path is most alike.

    Where the copies that are equally alike have different labels, nobody knows which: none.

    Args:
        new: Path -> digest of its content.
        known: Photos by id.

    Returns:
        Path -> labels, of those that have some.
    """
    digests = set(new.values())
    copies = [photo for photo in known.values() if photo.digest in digests]
    of = {photo.digest for photo in copies if photo.labels}
    left = [path for path, digest in new.items() if digest in of]
    copies = [photo for photo in copies if photo.digest in of]
    found: dict[str, tuple[str, ...]] = {}
    for level in levels([*left, *(photo.path for photo in copies)]):
        there: dict[tuple[str, str], set[tuple[str, ...]]] = defaultdict(set)
        for photo in copies:
            key = level_key(photo.path, level)
            if key is not None:
                there[photo.digest, key].add(photo.labels)
        for path in left:
            key = level_key(path, level)
            if path not in found and key is not None and (new[path], key) in there:
                labels = there[new[path], key] - {()}
                found[path] = labels.pop() if len(labels) == 1 else ()
    return {path: labels for path, labels in found.items() if labels}


def levels(paths: list[str]) -> Iterator[int]:
    """How many last parts of two paths must be equal: all, fewer, ..., 1; 0 the folder; -1 none."""
    return iter(range(max((path.count("/") for path in paths), default=-2), -2, -1))


def level_key(path: str, level: int) -> str | None:
    """What must be equal at a level of `levels`; `None` if the path has too few parts."""
    if level < 1:
        return os.path.dirname(path) if level == 0 else ""
    parts = path.rsplit("/", level)
    return "/".join(parts[1:]) if len(parts) > level else None
