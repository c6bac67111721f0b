"""Image sets that are held in memory, as the files that a person would have."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from ssah_tf.data.image_set import ImageSet
from ssah_tf.system.errors import DataError


def write_class_folders(images: ImageSet, folder: str | Path) -> int:
    """Write a set as PNG files in class folders, which `load_class_folders` reads.

    `train/00012` of the class "bag" becomes `FOLDER/train/bag/00012.png`; an image without a label
    goes to `unlabelled`. The folder is there whole or not at all.

    Args:
        images: A set with its pixels in memory, and at most one label an image.
        folder: Must not exist, or be empty.

    Returns:
        The number of files.

    Raises:
        DataError: The set is of another kind, or the folder holds something.
    """
    folder = Path(folder)
    if images.pixels is None:
        raise DataError(f"{images.name}: its images are files already")
    if images.multi_label:
        raise DataError(f"{images.name}: images with several labels do not fit into class folders")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise DataError(f"{folder} is there already: name another folder")
    classes = [name.replace("/", "-") for name in images.classes]
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name, label, pixels in zip(images.ids, images.labels, images.pixels, strict=True):
            part, _, number = name.rpartition("/")
            known = np.flatnonzero(label)
            of = classes[known[0]] if len(known) else "unlabelled"
            path = partial / part / of / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        partial.replace(folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written ({error.strerror})") from None
    return len(images)
