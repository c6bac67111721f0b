"""Class folders of images: `ROOT/<class>/...`, and `ROOT/unlabelled/...` for images without one."""

import os
from pathlib import Path

import numpy as np

from ssah_tf.data.image_set import ImageSet, content_digest, decoder_pool
from ssah_tf.data.images import SUFFIXES, decode, printable
from ssah_tf.errors import DataError, ImageError

#: A folder of one of these names holds images without a label instead of a class.
UNLABELLED = frozenset({"unlabelled", "unlabeled"})

#: Share of unreadable files above which a folder is refused.
MAX_BAD_SHARE = 0.1


def load_class_folders(root: str | Path) -> tuple[ImageSet, dict[str, str]]:
    """Scan class folders; every file is decoded once, so that training meets no bad file.

    Symbolic links to folders are not followed; hidden files and folders are passed over.

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
    found = [
        (path.relative_to(root).parts[0], path) for path in image_files(root) if path.parent != root
    ]
    contents = list(decoder_pool().map(lambda entry: check(entry[1]), found))

    bad = {
        path.relative_to(root).as_posix(): reason
        for (_, path), (_, reason) in zip(found, contents, strict=True)
        if reason
    }
    good = [
        (name, path, digest)
        for (name, path), (digest, reason) in zip(found, contents, strict=True)
        if not reason
    ]
    if found and len(bad) > MAX_BAD_SHARE * len(found):
        example = next(iter(bad.values()))
        raise DataError(
            f"{root}: {len(bad)} of {len(found)} image files cannot be read "
            f"(at most {MAX_BAD_SHARE:.0%} may be bad), for example {example}"
        )
    classes = sorted({name for name, _, _ in good if name.lower() not in UNLABELLED})
    if len(classes) < 2:
        raise DataError(
            f"{root}: {len(classes)} class folders with images, at least 2 are needed "
            f"(expected {root}/<class>/*.jpg)"
        )
    column = {name: i for i, name in enumerate(classes)}
    labels = np.zeros((len(good), len(classes)), dtype=np.uint8)
    for row, (name, _, _) in enumerate(good):
        if name in column:
            labels[row, column[name]] = 1
    return ImageSet(
        name=root.resolve().name,
        ids=tuple(path.relative_to(root).as_posix() for _, path, _ in good),
        labels=labels,
        classes=tuple(classes),
        digests=tuple(digest for _, _, digest in good),
        root=root,
    ), bad


def image_files(folder: Path) -> list[Path]:
    """Image files below `folder` by their ending, sorted, without following links to folders."""
    paths = []
    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths += [
            Path(parent, name)
            for name in sorted(files)
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
    return paths


def refuse(error: OSError) -> None:
    """Stop at a folder that cannot be listed: its images would be missing without a word."""
    raise DataError(f"{printable(str(error.filename))}: cannot be listed ({error.strerror})")


def check(path: Path) -> tuple[str, str]:
    """Content hash of a readable image, or the reason why it cannot be read."""
    if path.exists() and not path.is_file():
        return "", f"{printable(str(path))}: not a regular file"
    try:
        content = path.read_bytes()
        decode(content, 8, name=str(path))
    except ImageError as error:
        return "", str(error)
    except OSError as error:
        return "", f"{printable(str(path))}: {error.strerror}"
    return content_digest(content), ""
