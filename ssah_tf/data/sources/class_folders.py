"""Class folders of images: `ROOT/<class>/...`, and `ROOT/unlabelled/...` for images without one."""

from collections.abc import Sequence
from pathlib import Path

from ssah_tf.data.files import file_set
from ssah_tf.data.labels import sparse_zeros
from ssah_tf.data.names import class_name
from ssah_tf.data.scan import scan
from ssah_tf.data.sources.loaded import Loaded
from ssah_tf.data.sources.split_folders import (
    QUERY,
    UNLABELLED,
    class_folder,
    looks_like_split,
    split_folders,
)
from ssah_tf.data.sources.unlabelled import unlabelled
from ssah_tf.system.errors import DataError
from ssah_tf.system.text import printable


def folder_class(name: str) -> str:
    """The class of a folder of this name; one of invisible characters alone keeps its name."""
    return class_name(name) or name


def load_class_folders(root: str | Path, exclude: Sequence[str] = ()) -> Loaded:
    """Scan class folders; every file is decoded once, so that training meets no bad file.

    `ROOT/train/<class>/...` and `ROOT/test/<class>/...` make an official split, perhaps with
    `ROOT/val/<class>/...`: the images of `test` are its queries. See `split_folders`. A folder with
    fewer than two classes is one of images without labels.

    Args:
        root: Folder that holds one folder a class, nested folders allowed.
        exclude: Patterns of what is passed over; see `scan.Exclude`.

    Returns:
        The set of readable images, and what was left out of it.

    Raises:
        DataError: No such folder, no image in it, or too many unreadable files.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder (expected class folders: {root}/<class>/*.jpg)")
    found = scan(root, exclude)
    parts = split_folders(found.paths)
    of = {name: folder_class(class_folder(name, parts)) for name in found.paths}
    ids = [name for name in found.paths if of[name]]
    passed = found.passed.and_files("beside class folders", len(of) - len(ids))
    classes = sorted({of[name] for name in ids if of[name].lower() not in UNLABELLED})
    if len(classes) < 2:
        return unlabelled(root, found, (f"{len(classes)} class folders, so no image has a label",))
    column = {name: i for i, name in enumerate(classes)}
    labels = sparse_zeros(len(ids), len(classes))
    for row, name in enumerate(ids):
        if of[name] in column:
            labels[row, column[of[name]]] = 1
    queries = frozenset(name for name in ids if parts.get(name.split("/")[0]) == QUERY)
    images, bad = file_set(root, ids, labels, classes, queries)
    notes = [
        f"{printable(folder)} is left out: it has no class folder of the others"
        for folder, part in parts.items()
        if not part
    ]
    if folders := looks_like_split(found.paths):
        notes.append(
            f"{printable(', '.join(folders))} are taken for classes: as a split they would need "
            "class folders in common"
        )
    return Loaded(images, bad, passed=passed, parts=parts, notes=tuple(notes))
