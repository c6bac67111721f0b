import numpy as np
import pytest

from ssah_tf.data import load_images
from ssah_tf.system.errors import DataError, SsahError

MODULE = """
import numpy as np
import tensorflow_datasets as tfds


class SsahToy(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["a", "b/c"]),
        }
        return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self.rows(9), "test": self.rows(4)}

    def rows(self, count):
        for i in range(count):
            image = np.full((8 + i, 9, 3), 20 * i, np.uint8)
            yield i, {"image": image, "label": i % 2}

    def _generate_examples(self):
        raise NotImplementedError
"""


def test_without_tensorflow_datasets_one_line_says_what_to_install(monkeypatch, tmp_path):
    import sys

    monkeypatch.setenv("SSAH_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(SsahError, match=r"tfds:x needs tensorflow-datasets: pip install 'ssah-tf"):
        load_images("tfds:x")


def test_a_set_is_written_once_and_read_as_official_folders(monkeypatch, tmp_path):
    pytest.importorskip("tensorflow_datasets")
    package = tmp_path / "ssah_toy"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "ssah_toy.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SSAH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    import ssah_toy.ssah_toy  # noqa: F401  registers the builder

    images = load_images("tfds:ssah_toy").images
    assert len(images) == 13
    assert images.classes == ("a", "b-c")
    assert len(images.official_queries) == 4
    values = {images.read(np.array([i]), 8)[0, 0, 0, 0] for i in range(13)}
    assert values == {20 * i for i in range(9)}
    assert load_images("tfds:ssah_toy").images.ids == images.ids
    with pytest.raises(DataError) as caught:
        load_images("tfds:no_such_set_at_all")
    assert len(str(caught.value).splitlines()) == 1
    assert [p.name for p in (tmp_path / "cache" / "tfds").iterdir()] == ["ssah_toy"]
