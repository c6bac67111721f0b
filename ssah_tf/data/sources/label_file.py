"""A folder of images, nested as it may be, with its labels in a file."""

from pathlib import Path

from ssah_tf.data.files import file_set, image_files
from ssah_tf.data.image_set import ImageSet
from ssah_tf.data.labels import label_rows, normalise, read_labels
from ssah_tf.system.errors import DataError
from ssah_tf.system.text import printable


def load_labelled_folder(
    root: str | Path, labels: str | Path
) -> tuple[ImageSet, dict[str, str], list[str]]:
    """Scan a folder and give its images the labels of a file; see `read_labels` for its forms.

    Images that a `.csv` or `.jsonl` file does not name are unlabelled; those that a research list
    does not name are left out.

    Args:
        root: Folder of the images.
        labels: The label file, or a folder of list files.

    Returns:
        The set of readable images, the unreadable files with their reasons, and the paths of the
        label file for which there is no image.

    Raises:
        DataError: No such folder or file, a wrong line, no label fits any image, fewer than two
            classes, or too many unreadable files.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    table = read_labels(labels)
    ids = image_files(root)
    if table.complete:
        ids = [name for name in ids if normalise(name) in table.of]
    rows, missing = label_rows(table, ids)
    if not ids or len(missing) == len(table.of):
        example = printable(missing[0]) if missing else "no row"
        raise DataError(
            f"{labels}: none of its {len(table.of)} paths is an image below {root}, for example "
            f"{example!r}; paths are relative to that folder"
        )
    used = rows.any(axis=0).sum()
    if used < 2:
        raise DataError(f"{labels}: {used} classes with images, at least 2 are needed")
    queries = frozenset(name for name in ids if normalise(name) in table.queries)
    images, bad = file_set(root, ids, rows, table.classes, queries)
    return images, bad, missing
