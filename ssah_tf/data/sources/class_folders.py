"""Class folders of images: `ROOT/<class>/...`, and `ROOT/unlabelled/...` for images without one."""

from pathlib import Path

from ssah_tf.data.files import file_set, image_files
from ssah_tf.data.image_set import ImageSet
from ssah_tf.data.labels import sparse_zeros
from ssah_tf.data.names import class_name
from ssah_tf.system.errors import DataError

#: A folder of one of these names holds images without a label instead of a class.
UNLABELLED = frozenset({"unlabelled", "unlabeled"})

#: Two folders of these names, and no other, make an official split; queries lie in the second one.
OFFICIAL = ("train", "test")


def folder_class(name: str) -> str:
    """The class of a folder of this name; one of invisible characters alone keeps its name."""
    return class_name(name) or name


def load_class_folders(root: str | Path) -> tuple[ImageSet, dict[str, str]]:
    """Scan class folders; every file is decoded once, so that training meets no bad file.

    `ROOT/train/<class>/...` and `ROOT/test/<class>/...` make an official split: the images of
    `test` are its queries. Links to folders are not followed; hidden ones are passed over.

    Args:
        root: Folder that holds one folder a class, nested folders allowed.

    Returns:
        The set of readable images, and the unreadable files with the reason of each.

    Raises:
        DataError: No such folder, fewer than two classes, or too many unreadable files.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder (expected class folders: {root}/<class>/*.jpg)")
    ids = [name for name in image_files(root) if "/" in name]
    official = {name.split("/")[0] for name in ids} == set(OFFICIAL)
    if official:
        ids = [name for name in ids if name.count("/") > 1]
    of = [folder_class(name.split("/")[1 if official else 0]) for name in ids]
    classes = sorted({name for name in of if name.lower() not in UNLABELLED})
    if len(classes) < 2:
        raise DataError(
            f"{root}: {len(classes)} class folders with images, at least 2 are needed "
            f"(expected {root}/<class>/*.jpg; for labels in a file add --labels FILE)"
        )
    column = {name: i for i, name in enumerate(classes)}
    labels = sparse_zeros(len(ids), len(classes))
    for row, name in enumerate(of):
        if name in column:
            labels[row, column[name]] = 1
    queries = frozenset(name for name in ids if official and name.startswith("test/"))
    return file_set(root, ids, labels, classes, queries)
