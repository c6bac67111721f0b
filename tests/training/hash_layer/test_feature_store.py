"""Features in parts: computed once, checked, and gone on with after a kill."""

from dataclasses import replace

import numpy as np
import pytest

from ssah_tf.data import ImageSet, pipeline
from ssah_tf.models import HNet
from ssah_tf.models.backbones import BACKBONES
from ssah_tf.system.errors import RunError
from ssah_tf.training.hash_layer import feature_store as module
from ssah_tf.training.hash_layer.feature_store import FeatureStore
from ssah_tf.training.hash_layer.features import features_of


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return ImageSet(
        name="set",
        ids=tuple(map(str, range(150))),
        labels=np.ones((150, 1), np.uint8),
        classes=("any",),
        digests=tuple(f"{i:064x}" for i in range(150)),
        pixels=rng.integers(0, 256, (150, 28, 28, 3), dtype=np.uint8),
    )


def hnet_of(width=8):
    hnet = HNet(BACKBONES["convnet"](width=width), 12)
    hnet.build((None, 28, 28, 3))
    return hnet


@pytest.fixture(scope="module")
def hnet():
    return hnet_of()


@pytest.fixture
def computed(monkeypatch):
    """Parts of 64 images; counts the images whose features are computed."""
    seen = []
    original = module.feature_batches

    def counted(hnet, images, positions, size):
        for batch in original(hnet, images, positions, size):
            seen.append(len(batch))
            yield batch

    monkeypatch.setattr(module, "PART", 64)
    monkeypatch.setattr(module, "feature_batches", counted)
    return seen


def test_features_are_those_of_the_backbone_and_computed_once(tmp_path, images, hnet, computed):
    store, everything = FeatureStore(tmp_path / "features"), np.arange(150)[::-1]
    expected = features_of(hnet, images, everything, 28)
    np.testing.assert_array_equal(store(hnet, images, everything, 28), expected)
    assert sum(computed) == 150
    np.testing.assert_array_equal(store(hnet, images, everything, 28), expected)
    np.testing.assert_array_equal(
        FeatureStore(store.folder)(hnet, images, everything, 28), expected
    )
    assert sum(computed) == 150
    assert len(list(store.folder.iterdir())) == 3
    store.remove()
    assert not store.folder.exists()
    store.remove()


def test_large_images_come_in_smaller_batches(tmp_path, images, hnet, computed, monkeypatch):
    monkeypatch.setattr(pipeline, "USUAL", 24)
    store, everything = FeatureStore(tmp_path / "features"), np.arange(150)
    expected = features_of(hnet, images, everything, 28)
    np.testing.assert_array_equal(store(hnet, images, everything, 28), expected)
    assert max(computed) == 34
    assert len(list(store.folder.iterdir())) == 3
    np.testing.assert_array_equal(store(hnet, images, everything, 28), expected)
    assert sum(computed) == 150


def test_another_backbone_size_or_image_has_other_features(tmp_path, images, hnet, computed):
    store, some = FeatureStore(tmp_path / "features"), np.arange(64)
    store(hnet, images, some, 28)
    store(hnet_of(), images, some, 28)  # other weights
    store(hnet, images, some, 32)
    assert sum(computed) == 3 * 64
    found = store(hnet, images, some + 10, 28)
    assert sum(computed) == 3 * 64 + 10  # those that it had not seen
    np.testing.assert_allclose(found, features_of(hnet, images, some + 10, 28), atol=1e-5)
    store(hnet, images, some, 28)
    assert sum(computed) == 3 * 64 + 10


def test_a_content_is_computed_once(tmp_path, images, hnet, computed):
    """Of copies, whatever they are called and wherever they are."""
    copies = replace(images, digests=images.digests[:75] * 2)
    found = FeatureStore(tmp_path / "features")(hnet, copies, np.arange(150), 28)
    assert sum(computed) == 75
    np.testing.assert_array_equal(found[75:], found[:75])
    np.testing.assert_allclose(found[:75], features_of(hnet, images, np.arange(75), 28), atol=1e-5)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, images, hnet):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="the folder cannot be made"):
        FeatureStore(tmp_path / "file" / "features")(hnet, images, np.arange(3), 28)


@pytest.mark.parametrize("damage", ["cut", "turned", "other", "empty"])
def test_a_damaged_part_is_computed_anew(tmp_path, images, hnet, computed, damage):
    store, everything = FeatureStore(tmp_path / "features"), np.arange(150)
    expected = store(hnet, images, everything, 28)
    first, second, _ = sorted(store.folder.iterdir())
    content = bytearray(first.read_bytes())
    if damage == "cut":
        first.write_bytes(content[: len(content) // 2])
    elif damage == "turned":
        arrays = dict(np.load(first))
        arrays["features"][0, 0] += 1  # the digest is of what it was
        np.savez(first, **arrays)
    elif damage == "other":
        np.savez(first, something=np.arange(3))
    else:
        first.write_bytes(b"")
    intact = second.read_bytes()
    computed.clear()
    np.testing.assert_array_equal(store(hnet, images, everything, 28), expected)
    assert sum(computed) in (64, 22)  # the last part is smaller
    assert second.read_bytes() == intact


def test_an_interrupted_computation_keeps_its_parts(tmp_path, images, hnet, computed):
    """Ended after the second of three parts, it goes on with the third."""
    parts = []

    def interrupt():
        parts.append(1)
        if len(parts) == 2:
            raise KeyboardInterrupt

    store, everything = FeatureStore(tmp_path / "features", after=interrupt), np.arange(150)
    with pytest.raises(KeyboardInterrupt):
        store(hnet, images, everything, 28)
    computed.clear()
    found = FeatureStore(store.folder)(hnet, images, everything, 28)
    assert sum(computed) == 22
    np.testing.assert_array_equal(found, features_of(hnet, images, everything, 28))


def test_a_bar_is_told_how_many_are_done(tmp_path, images, hnet, computed):
    from contextlib import nullcontext

    told = []
    store = FeatureStore(
        tmp_path / "features",
        lambda what: nullcontext(lambda done, total: told.append((done, total))),
    )
    store(hnet, images, np.arange(64), 28)
    told.clear()
    store(hnet, images, np.arange(150), 28)
    assert told == [(64, 150), (128, 150), (150, 150)]
