"""Labels of the photos of an index: from a label file, or from their class folders."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ssah_tf.data.labels import Labels, normalise, read_labels
from ssah_tf.data.sources.class_folders import folder_class
from ssah_tf.data.sources.split_folders import UNLABELLED, class_folder, split_folders
from ssah_tf.system.errors import DataError
from ssah_tf.system.text import printable

#: Stands for a label file where the folders are the classes.
FOLDERS = "folders"


class PhotoLabels:
    """Says which labels a photo has.

    Args:
        source: A label file (see `read_labels`), or "folders": a photo is of the class whose
            folder it lies in, as in training on class folders.
        sources: The files and folders of the index. Paths of a label file are relative to one of
            the folders, or absolute.

    Raises:
        DataError: The label file cannot be read.
    """

    def __init__(self, source: str, sources: Sequence[str | Path]):
        self.source = source
        self.roots = tuple(
            (path if os.path.isdir(path) else os.path.dirname(path)).rstrip("/") + "/"
            for path in map(os.path.abspath, sources)
        )
        self.table: Labels | None = None
        self.unused: list[str] = []
        if source != FOLDERS:
            self.table = read_labels(source)
        self.parts: dict[str, dict[str, str]] = {}

    def __call__(self, paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The labels of those photos of which anything is said, sorted.

        `unused` then has what the label file names besides.

        Args:
            paths: All photos of the sources, absolute: whether folders are a split, they say.

        Raises:
            DataError: The label file names none of them.
        """
        used: set[str] = set()
        if self.table is None:
            self.parts = {
                root: split_folders(path[len(root) :] for path in paths if path.startswith(root))
                for root in self.roots
            }
        found = {path: self.of_one(path, used) for path in paths}
        if self.table is not None:
            self.unused = [path for path in self.table.of if path not in used]
            if not used:
                raise DataError(
                    f"{self.source}: none of its {len(self.table.of)} paths is a photo of the "
                    f"index, for example {printable(self.unused[0])!r}; paths are relative to the "
                    "folder of photos"
                )
        return {path: labels for path, labels in found.items() if labels is not None}

    def of_one(self, path: str, used: set[str]) -> tuple[str, ...] | None:
        """The labels of a photo, `None` if nothing is said of it.

        The row of the label file joins those that are used.
        """
        inside = [root for root in self.roots if path.startswith(root)]
        if self.table is None:
            return folder_label(path, inside[0], self.parts[inside[0]]) if inside else None
        for key in (*(normalise(path[len(root) :]) for root in inside), normalise(path)):
            if key in self.table.of:
                used.add(key)
                return tuple(sorted({self.table.classes[i] for i in self.table.of[key]}))
        return None


def folder_label(path: str, root: str, parts: Mapping[str, str]) -> tuple[str, ...]:
    """The class folder that a photo lies in; none if it lies in no folder, or an unlabelled one."""
    name = folder_class(class_folder(path[len(root) :], parts))
    return () if not name or name.lower() in UNLABELLED else (name,)
