"""A folder of images of which none has a label: its sub-folders are no classes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssah_tf.data.files import file_set
from ssah_tf.data.scan import Scan, scan
from ssah_tf.data.sources.loaded import Loaded
from ssah_tf.system.errors import DataError

#: Stands for a label file where there are no labels, whatever the sub-folders are called.
NONE = "none"


def load_unlabelled(root: str | Path, exclude: Sequence[str] = ()) -> Loaded:
    """Scan a folder for images without labels.

    Args:
        root: The folder.
        exclude: Patterns of what is passed over; see `scan.Exclude`.

    Returns:
        The set of readable images, without classes, and what was left out of it.

    Raises:
        DataError: No such folder, no image in it, or too many unreadable files.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    return unlabelled(root, scan(root, exclude), ())


def unlabelled(root: Path, found: Scan, notes: tuple[str, ...]) -> Loaded:
    """The set of all images that a scan has found, without labels.

    Args:
        root: The folder.
        found: What was found in it.
        notes: Why there are no labels, a line each.

    Raises:
        DataError: See `load_unlabelled`.
    """
    if not found.paths:
        left_out = f" ({line})" if (line := found.passed.line()) else ""
        raise DataError(f"{root}: no images in this folder{left_out}")
    images, bad = file_set(root, found.paths, np.zeros((len(found.paths), 0), np.uint8), ())
    return Loaded(images, bad, passed=found.passed, notes=notes)
