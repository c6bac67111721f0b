import numpy as np
import pytest

from ssah_tf.data import load_fashion, make_split
from ssah_tf.data.image_set import content_digest


@pytest.fixture(scope="module")
def fashion():
    return load_fashion()


def test_what_it_holds(fashion):
    assert len(fashion) == 6000
    assert fashion.ids[0] == "train/00000"
    assert fashion.ids[4999:5001] == ("train/04999", "test/00000")
    assert fashion.ids[-1] == "test/00999"
    assert fashion.pixels.shape == (6000, 28, 28, 3)
    assert fashion.pixels.dtype == np.uint8
    assert not fashion.multi_label


def test_classes_are_balanced_in_both_parts(fashion):
    assert fashion.labels[:5000].sum(axis=0).tolist() == [500] * 10
    assert fashion.labels[5000:].sum(axis=0).tolist() == [100] * 10
    assert np.all(fashion.labels.sum(axis=1) == 1)


def test_grey_repeated_over_channels(fashion):
    np.testing.assert_array_equal(fashion.pixels[..., 0], fashion.pixels[..., 1])
    np.testing.assert_array_equal(fashion.pixels[..., 0], fashion.pixels[..., 2])
    assert fashion.digests[7] == content_digest(fashion.pixels[7, :, :, 0].tobytes())


def test_classes_look_like_their_names(fashion):
    """Trousers are narrow and tall; bags are wide; sneakers leave the upper third empty."""
    mean = {
        name: fashion.pixels[fashion.labels[:, k] == 1][..., 0].mean(axis=0)
        for k, name in enumerate(fashion.classes)
    }
    width = {name: int((image.mean(axis=0) > 20).sum()) for name, image in mean.items()}
    assert min(width, key=width.get) == "trouser"
    top = {name: image[:8].mean() for name, image in mean.items()}
    assert set(sorted(top, key=top.get)[:2]) == {"sneaker", "sandal"}


def test_official_split(fashion):
    queries = tuple(i for i in fashion.ids if i.startswith("test/"))
    split = make_split(
        fashion, labelled_per_class=30, validation_per_class=5, query_ids=queries, seed=0
    )
    assert set(split.query) == set(queries)
    assert len(split.labelled) == 250
    assert len(split.validation) == 50
    assert len(split.unlabelled) == 4700
    assert len(split.database) == 5000
    split.check(fashion)
