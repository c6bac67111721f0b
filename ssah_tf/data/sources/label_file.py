"""A folder of images, nested as it may be, with its labels in a file."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ssah_tf.data.files import file_set
from ssah_tf.data.labels import label_rows, normalise, read_labels
from ssah_tf.data.scan import Scan, listed, scan, why_missing
from ssah_tf.data.sources.loaded import Loaded
from ssah_tf.data.sources.unlabelled import unlabelled
from ssah_tf.system.errors import DataError
from ssah_tf.system.text import printable


def load_labelled_folder(
    root: str | Path, labels: str | Path, exclude: Sequence[str] = ()
) -> Loaded:
    """Scan a folder and give its images the labels of a file; see `read_labels` for its forms.

    Images that a `.csv` or `.jsonl` file does not name are unlabelled; those that a research list
    does not name are left out. A file of which no row has a label gives none to any image.

    Args:
        root: Folder of the images.
        labels: The label file, or a folder of list files.
        exclude: Patterns of what is passed over; see `scan.Exclude`.

    Returns:
        The set of readable images, and what was left out of it.

    Raises:
        DataError: No such folder or file, a wrong line, no label fits any image, fewer than two
            classes, or too many unreadable files.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    table = read_labels(labels)
    found = scan(root, exclude)
    ids, passed = found.paths, found.passed
    if table.complete:
        ids = [name for name in ids if normalise(name) in table.of]
        passed = passed.and_files("not in the lists", len(found.paths) - len(ids))
    rows, unused = label_rows(table, ids)
    why = {path: why_missing(str(root), path, exclude, found.passed) for path in unused}
    unread = {path: reason for path, reason in why.items() if reason is not None}
    missing = [path for path in unused if path not in unread]
    if not ids or len(unused) == len(table.of):
        example = printable(unused[0]) if unused else "no row"
        reasons = f"; files that are passed over: {listed(Counter(unread.values()))}"
        raise DataError(
            f"{labels}: none of its {len(table.of)} paths is an image below {root}, for example "
            f"{example!r}; paths are relative to that folder{reasons if unread else ''}"
        )
    if not any(table.of.values()):
        notes = (f"{printable(str(labels))}: no row has a label",)
        return unlabelled(root, Scan(ids, passed), notes)
    used = rows.any(axis=0).sum()
    if used < 2:
        raise DataError(f"{labels}: {used} classes with images, at least 2 are needed")
    queries = frozenset(name for name in ids if normalise(name) in table.queries)
    images, bad = file_set(root, ids, rows, table.classes, queries)
    return Loaded(images, bad, missing, unread, passed)
