"""Every place that images can come from, by the name that a recipe gives it."""

from collections.abc import Sequence
from pathlib import Path

from ssah_tf.data.fashion import load_fashion
from ssah_tf.data.sources.class_folders import load_class_folders
from ssah_tf.data.sources.keras_sets import load_keras_set
from ssah_tf.data.sources.label_file import load_labelled_folder
from ssah_tf.data.sources.loaded import Loaded
from ssah_tf.data.sources.tfds_sets import load_tfds_set
from ssah_tf.data.sources.unlabelled import NONE, load_unlabelled
from ssah_tf.system.errors import DataError

#: How sources begin that are names of sets, not folders.
DOWNLOADED = ("keras:", "tfds:")


def load_images(
    source: str | None, labels: str | None = None, exclude: Sequence[str] = ()
) -> Loaded:
    """Load `fashion`, `keras:NAME`, `tfds:NAME`, class folders, or a folder with a label file.

    Args:
        source: Name of a set, or path of a folder; `None` is an error that asks for one.
        labels: Label file, for a folder only; see `read_labels`. With "none" no image has a label,
            whatever the sub-folders are called.
        exclude: Patterns of what is passed over in a folder; see `scan.Exclude`.

    Raises:
        DataError: No such source, or one that cannot be used; one line.
    """
    if source is None:
        raise DataError("this recipe brings no images: name their folder with --data")
    if source == "fashion" or source.startswith(DOWNLOADED):
        if labels is not None:
            raise DataError(f"{source} has its own labels: leave --labels out")
        if exclude:
            raise DataError(f"{source} is no folder: leave --exclude out")
        if source.startswith("keras:"):
            return Loaded(load_keras_set(source.removeprefix("keras:")))
        if source.startswith("tfds:"):
            return load_tfds_set(source.removeprefix("tfds:"))
        return Loaded(load_fashion())
    if labels == NONE:
        return load_unlabelled(source, exclude)
    if labels is not None:
        return load_labelled_folder(Path(source), Path(labels), exclude)
    return load_class_folders(Path(source), exclude)
