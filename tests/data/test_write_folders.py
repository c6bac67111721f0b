from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data import load_fashion, load_images
from ssah_tf.data.write_folders import write_class_folders
from ssah_tf.system.errors import DataError


def some(images, count=60):
    return replace(
        images,
        ids=images.ids[4970 : 4970 + count],
        labels=images.labels[4970 : 4970 + count],
        digests=images.digests[4970 : 4970 + count],
        pixels=images.pixels[4970 : 4970 + count],
    )


def test_what_is_written_is_read_alike(tmp_path):
    """30 images of `train`, 30 of `test`, one of them without a label, one class with a slash."""
    images = some(load_fashion())
    labels = images.labels.copy()
    labels[0] = 0
    images = replace(images, labels=labels, classes=("T-shirt/top", *images.classes[1:]))
    assert write_class_folders(images, tmp_path / "photos") == 60
    read = load_images(str(tmp_path / "photos")).images
    assert set(read.official_queries) == {name for name in read.ids if name.startswith("test/")}
    assert len(read.official_queries) == 30
    for position, name in enumerate(images.ids):
        part, number = name.split("/")
        of = np.flatnonzero(labels[position])
        folder = images.classes[of[0]].replace("/", "-") if len(of) else "unlabelled"
        path = f"{part}/{folder}/{number}.png"
        pixels = np.asarray(Image.open(tmp_path / "photos" / path))
        np.testing.assert_array_equal(pixels, images.pixels[position])
        row = read.labels[read.ids.index(path)]
        assert [read.classes[i] for i in np.flatnonzero(row)] == [folder] * len(of)


def test_refusals(tmp_path):
    images = some(load_fashion(), 3)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(DataError, match="is there already: name another folder"):
        write_class_folders(images, tmp_path / "full")
    with pytest.raises(DataError, match="files already"):
        write_class_folders(replace(images, pixels=None), tmp_path / "new")
    with pytest.raises(DataError, match="several labels"):
        write_class_folders(replace(images, labels=np.ones_like(images.labels)), tmp_path / "new")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="is there already"):
        write_class_folders(images, tmp_path / "file")
    assert not (tmp_path / "new").exists()
