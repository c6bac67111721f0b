"""Every place that images can come from, by the name that a recipe gives it."""

from dataclasses import dataclass, field
from pathlib import Path

from ssah_tf.data.fashion import load_fashion
from ssah_tf.data.image_set import ImageSet
from ssah_tf.data.sources.class_folders import load_class_folders
from ssah_tf.data.sources.keras_sets import load_keras_set
from ssah_tf.data.sources.label_file import load_labelled_folder
from ssah_tf.data.sources.tfds_sets import load_tfds_set
from ssah_tf.system.errors import DataError

#: How sources begin that are names of sets, not folders.
DOWNLOADED = ("keras:", "tfds:")


@dataclass(frozen=True)
class Loaded:
    """An image set, and what was left out of it.

    Attributes:
        images: The set.
        bad: Files that cannot be read -> the reason.
        missing: Paths of the label file for which there is no image.
    """

    images: ImageSet
    bad: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def load_images(source: str | None, labels: str | None = None) -> Loaded:
    """Load `fashion`, `keras:NAME`, `tfds:NAME`, class folders, or a folder with a label file.

    Args:
        source: Name of a set, or path of a folder; `None` is an error that asks for one.
        labels: Label file, for a folder only; see `read_labels`.

    Raises:
        DataError: No such source, or one that cannot be used; one line.
    """
    if source is None:
        raise DataError("this recipe brings no images: name their folder with --data")
    if source == "fashion" or source.startswith(DOWNLOADED):
        if labels is not None:
            raise DataError(f"{source} has its own labels: leave --labels out")
        if source.startswith("keras:"):
            return Loaded(load_keras_set(source.removeprefix("keras:")))
        if source.startswith("tfds:"):
            return Loaded(*load_tfds_set(source.removeprefix("tfds:")))
        return Loaded(load_fashion())
    if labels is not None:
        return Loaded(*load_labelled_folder(Path(source), Path(labels)))
    return Loaded(*load_class_folders(Path(source)))
