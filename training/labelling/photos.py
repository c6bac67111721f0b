"""Photos to label: all of a folder, with the labels that some of them have already."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.data.files import read_all
from ssah_tf.data.label_table import can_be_named
from ssah_tf.data.labels import Labels, label_rows, read_labels, sparse_zeros
from ssah_tf.data.scan import PassedOver, scan
from ssah_tf.system.errors import DataError
from ssah_tf.system.text import printable

#: Seconds for which a file must stand still before it is a new photo: it may be written still.
SETTLE = 2.0


@dataclass(frozen=True)
class Photos:
    """Photos to label.

    Attributes:
        images: Those that can be read; labels where they are known.
        bad: Files that cannot be read -> the reason.
        unnamed: Photos that no label file can name.
        unused: Paths of the label file that are none of the photos.
        unlabelled: Whether there is a label file, and none of its rows has a label.
        passed: What the scan of the folder left out.
    """

    images: ImageSet
    bad: dict[str, str] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    unlabelled: bool = False
    passed: PassedOver = field(default_factory=PassedOver)

    def lines(self) -> list[str]:
        """What a person should know beside the files that cannot be read, a line each."""
        found = []
        if self.unnamed:
            found.append(
                f"left out: {len(self.unnamed):,} photos whose names no label file can hold, for "
                f"example {printable(self.unnamed[0])}"
            )
        if self.unused:
            found.append(
                f"labels: {len(self.unused):,} paths are none of the photos, for example "
                f"{printable(self.unused[0])}"
            )
        if self.unlabelled:
            found.append("labels: no row has a label yet")
        return found


def load_photos(
    root: Path,
    labels: Path | None,
    exclude: Sequence[str] = (),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Photos:
    """Load the photos below a folder.

    Args:
        root: The folder.
        labels: A label file; see `read_labels`. Rows without a label are photos like any other.
        exclude: Patterns of what is passed over; see `scan.Exclude`.
        progress: Is called with how many files are read, and how many there are.

    Raises:
        DataError: No such folder, no photo in it that can be read, or a label file of other photos.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    table = Labels(root, (), {}) if labels is None else read_labels(labels)
    found = scan(root, exclude)
    names = [name for name in found.paths if can_be_named(name)]
    if not names:
        left_out = f" ({line})" if (line := found.passed.line()) else ""
        raise DataError(f"{root}: no photos in this folder{left_out}")
    rows, unused = label_rows(table, names)
    if table.of and len(unused) == len(table.of):
        raise DataError(
            f"{labels}: none of its {len(table.of):,} paths is a photo below {root}, for example "
            f"{printable(unused[0])!r}; paths are relative to that folder"
        )
    digests, bad = read_all(root, names, progress)
    good = np.flatnonzero([digest != "" for digest in digests])
    if not len(good):
        raise DataError(f"{root}: no photo can be read, for example {next(iter(bad.values()))}")
    images = ImageSet(
        name=root.resolve().name,
        ids=tuple(names[i] for i in good),
        labels=rows if len(good) == len(names) else rows[good],
        classes=table.classes,
        digests=tuple(digests[i] for i in good),
        root=root,
    )
    unnamed = [name for name in found.paths if not can_be_named(name)]
    unlabelled = labels is not None and not images.labels.any()
    return Photos(images, bad, unnamed, unused, unlabelled, found.passed)


def new_photos(images: ImageSet, exclude: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Photos that have come into the folder of a set since; none if the folder is away.

    Args:
        images: The photos that are known.
        exclude: See `load_photos`.

    Returns:
        (path, digest) of each that can be read; those that are just being written come later.
    """
    root = images.root
    assert root is not None
    known, names = set(images.ids), list[str]()
    with suppress(DataError):
        found = scan(root, exclude).paths
        names = [name for name in found if name not in known and can_be_named(name)]
    names = [name for name in names if stands_still(os.path.join(root, name))]
    digests, _ = read_all(root, names)
    return [(name, digest) for name, digest in zip(names, digests, strict=True) if digest]


def stands_still(path: str) -> bool:
    """Whether a file is there, and has not been changed in the last moment."""
    try:
        return not 0 <= time.time() - os.stat(path).st_mtime < SETTLE
    except OSError:
        return False


def with_more(images: ImageSet, added: Sequence[tuple[str, str]]) -> ImageSet:
    """A set with more images at its end, without a label.

    Args:
        images: The set.
        added: (path, digest) of each.
    """
    ids, digests = zip(*added, strict=True) if added else ((), ())
    none = sparse_zeros(len(added), len(images.classes))
    return replace(
        images,
        ids=images.ids + ids,
        digests=images.digests + digests,
        labels=np.concatenate([images.labels, none]),
    )
