"""Photos to label: all of a folder, with the labels that some of them have already."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.data.files import read_all
from ssah_tf.data.label_table import can_be_named
from ssah_tf.data.labels import Labels, label_rows, read_labels
from ssah_tf.data.scan import PassedOver, scan
from ssah_tf.system.errors import DataError
from ssah_tf.system.text import printable


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
