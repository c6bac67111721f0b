"""Image files on disk: read once, and taken into a set or listed with the reason why not."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ssah_tf.data.decode import decode, refuse, regular
from ssah_tf.data.image_set import ImageSet, content_digest
from ssah_tf.data.threads import decoder_pool
from ssah_tf.system.errors import DataError, ImageError
from ssah_tf.system.signals import raise_if_ending
from ssah_tf.system.text import printable

#: Share of unreadable files above which a folder is refused.
MAX_BAD_SHARE = 0.1
#: Files that one thread reads in a row.
CHUNK = 64
#: Bytes below which a file is read by one thread: for small ones two only wait for each other.
SMALL = 16_384


def read_all(
    root: Path,
    ids: Sequence[str],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[str], dict[str, str]]:
    """Read and decode every file once, so that training meets no bad one.

    Args:
        root: Folder of the files.
        ids: Their paths relative to it.
        progress: Is called with how many files are read, and how many there are.

    Returns:
        The content digest of each file, "" for a bad one; and the bad files with their reasons.
    """
    small: list[int] = []
    large: list[int] = []
    for position, name in enumerate(ids):
        (small if is_small(os.path.join(root, name)) else large).append(position)
    tasks = [small] + [large[i : i + CHUNK] for i in range(0, len(large), CHUNK)]

    def run(task: list[int]) -> list[tuple[str, str]]:
        results = []
        for position in task:
            raise_if_ending()
            results.append(check(os.path.join(root, ids[position])))
        return results

    digests, bad, done = [""] * len(ids), {}, 0
    for task, results in zip(tasks, decoder_pool().map(run, tasks), strict=True):
        for position, (digest, reason) in zip(task, results, strict=True):
            digests[position] = digest
            if reason:
                bad[ids[position]] = reason
        done += len(task)
        progress(done, len(ids))
    return digests, {name: bad[name] for name in ids if name in bad}


def is_small(path: str) -> bool:
    """Whether the file has fewer than `SMALL` bytes, or none that can be asked for."""
    try:
        return os.path.getsize(path) < SMALL
    except OSError:
        return True


def check(path: str) -> tuple[str, str]:
    """Content digest of a readable image, or the reason why it cannot be read."""
    try:
        regular(path, path)
        with open(path, "rb") as stream:
            content = stream.read()
        decode(content, 8, name=path, damaged=refuse)
    except ImageError as error:
        return "", str(error)
    except OSError as error:
        return "", f"{printable(path)}: {error.strerror}"
    return content_digest(content), ""


def file_set(
    root: Path,
    ids: Sequence[str],
    labels: np.ndarray,
    classes: Sequence[str],
    queries: frozenset[str] = frozenset(),
) -> tuple[ImageSet, dict[str, str]]:
    """The image set of files, without those that cannot be read.

    Args:
        root: Folder of the files.
        ids: Their paths relative to it.
        labels: uint8 `(files, classes)`, multi-hot.
        classes: Class names.
        queries: Ids of the official queries.

    Returns:
        The set, and the bad files with the reason of each.

    Raises:
        DataError: More than `MAX_BAD_SHARE` of the files are bad.
    """
    digests, bad = read_all(root, ids)
    if ids and len(bad) > MAX_BAD_SHARE * len(ids):
        example = next(iter(bad.values()))
        raise DataError(
            f"{root}: {len(bad)} of {len(ids)} image files cannot be read "
            f"(at most {MAX_BAD_SHARE:.0%} may be bad), for example {example}"
        )
    good = np.flatnonzero([digest != "" for digest in digests]).tolist()
    return ImageSet(
        name=root.resolve().name,
        ids=tuple(ids[i] for i in good),
        labels=labels if len(good) == len(ids) else labels[good],
        classes=tuple(classes),
        digests=tuple(digests[i] for i in good),
        root=root,
        official_queries=tuple(ids[i] for i in good if ids[i] in queries),
    ), bad
