"""`ssah index --features`: the codes are those of the encoder, and the network does not run."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ssah_tf.cli.app import app
from ssah_tf.data.decode import RULE
from ssah_tf.encoding.encoder import KEYS, Encoder
from ssah_tf.encoding.feature_parts import features_in
from ssah_tf.encoding.hash_layer import NAME, UNDECIDED, HashLayer, codes_of_features
from ssah_tf.export.graph import encoder_function
from ssah_tf.export.hash_layer import arrays_of
from ssah_tf.export.identity import model_id
from ssah_tf.export.onnx_model import write_onnx
from ssah_tf.models import HNet
from ssah_tf.models.backbones import BACKBONES
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.training.batch_statistics import take_statistics
from ssah_tf.training.hash_layer.feature_store import FeatureStore
from ssah_tf.training.labelling.photos import load_photos

SIZE, PHOTOS, STORED = 28, 150, 140


@pytest.fixture(scope="module")
def made(tmp_path_factory, logical_cpus):
    """Photos, an export of an encoder, and a working folder with features of most photos."""
    root = tmp_path_factory.mktemp("features")
    rng = np.random.default_rng(0)
    (root / "photos").mkdir()
    for number in range(PHOTOS):
        low = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(low).resize((40, 32)).save(root / "photos" / f"{number:03d}.png")
    hnet = HNet(BACKBONES["convnet"](width=8), 12)
    hnet.build((None, SIZE, SIZE, 3))
    images = load_photos(root / "photos", None).images
    take_statistics(hnet, [images.read(np.arange(64), SIZE)])
    kernel = rng.normal(size=(hnet.backbone.feature_size, 20)).astype(np.float32)
    hnet = hnet.with_appearance(kernel, np.full(20, -0.1, np.float32))
    about = dict.fromkeys(KEYS, "0") | {"bits": "12", "appearance_bits": "20"}
    about |= {"image_size": str(SIZE), "decode_rule": str(RULE), "model_id": model_id(hnet, SIZE)}
    (root / "export").mkdir()
    write_onnx(encoder_function(hnet, SIZE), root / "export" / "encoder.onnx", 18, about)
    arrays_of(hnet, SIZE).write(root / "export" / NAME)
    FeatureStore(features_in(root / "work"))(hnet, images, np.arange(STORED), SIZE)
    return root


def index(made, output, *options):
    call = ["index", made / "export", made / "photos", "--output", output, *options]
    return CliRunner().invoke(app, list(map(str, call)))


def test_the_same_codes_without_the_network(made, tmp_path, monkeypatch):
    ran = []
    original = Encoder.full_codes

    def counted(self, images, batch=64):
        ran.append(len(images))
        return original(self, images, batch)

    monkeypatch.setattr(Encoder, "full_codes", counted)
    assert index(made, tmp_path / "plain").exit_code == 0
    assert sum(ran) == PHOTOS
    ran.clear()
    result = index(made, tmp_path / "quick", "--features", made / "work")
    assert result.exit_code == 0, result.output
    known = codes_of_features(Encoder.load(made / "export"), made / "work")
    # The first batch is compared; of the others those without features are left.
    assert sum(ran) < 64 + (PHOTOS - len(known)) + 5
    assert len(known) > STORED - 20
    plain, quick = (PhotoIndex.open(tmp_path / name) for name in ("plain", "quick"))
    assert plain.photos.paths() == quick.photos.paths()
    np.testing.assert_array_equal(plain.codes.full_codes, quick.codes.full_codes)
    assert len(np.unique(quick.codes.full_codes, axis=0)) > 20


def test_what_cannot_be_is_said_in_a_line(made, tmp_path):
    def refused(*options):
        result = index(made, tmp_path / "index", *options)
        assert result.exit_code == 1
        assert not (tmp_path / "index").exists()
        return str(result.exception)

    (tmp_path / "empty").mkdir()
    said = refused("--features", tmp_path / "empty")
    assert "no features of this encoder's backbone at 28 px" in said
    place = made / "export" / NAME
    layer, content = HashLayer.read(place), place.read_bytes()
    try:
        place.unlink()
        assert "the backbone of this encoder is not frozen" in refused("--features", made / "work")
        place.write_bytes(content[:-40])
        assert "damaged" in refused("--features", made / "work")
        replace(layer, mean=layer.mean[1:]).write(place)
        assert "do not fit" in refused("--features", made / "work")
        replace(layer, key="../x").write(place)
        assert "do not fit" in refused("--features", made / "work")
        replace(layer, model_id="another").write(place)
        assert "is of another encoder" in refused("--features", made / "work")
        replace(layer, beta=layer.beta + 1).write(place)  # as if features were others
        result = index(made, tmp_path / "other", "--features", made / "work")
        assert result.exit_code == 1
        assert "get other codes from their features" in str(result.exception)
    finally:
        place.write_bytes(content)


def test_logits_by_hand_and_bits_that_hang_on_rounding():
    """x W = 3, -2: (3 - 1) * 2 + 0 = 4 and (-2 + 2) * 1 + b; x V + c = 0.5."""

    def layer(beta):
        numbers = ([[1, 0], [0, -1]], [1, -2], [2, 1], [0, beta], [[0.5], [0]], [-1])
        return HashLayer("abc", "id", *(np.array(part, np.float32) for part in numbers))

    features = np.array([[3, 2]], np.float32)
    codes, sure = layer(1).full_codes(features)
    assert (codes.tolist(), sure.tolist()) == ([[0b1100_0000, 0b1000_0000]], [True])
    codes, sure = layer(-1).full_codes(features)
    assert (codes.tolist(), sure.tolist()) == ([[0b1000_0000, 0b1000_0000]], [True])
    assert layer(UNDECIDED / 2).full_codes(features)[1].tolist() == [False]
    assert replace(layer(1), margin=0.6).full_codes(features)[1].tolist() == [False]  # of 0.5


def test_margin_goes_with_the_file_and_older_files_have_none(made, tmp_path):
    layer = HashLayer.read(made / "export" / NAME)
    assert layer.margin == UNDECIDED
    replace(layer, margin=0.25).write(tmp_path / NAME)
    assert HashLayer.read(tmp_path / NAME).margin == 0.25
    with np.load(tmp_path / NAME) as arrays:
        older = {name: value for name, value in arrays.items() if name != "margin"}
    np.savez(tmp_path / NAME, **older)
    assert HashLayer.read(tmp_path / NAME).margin == UNDECIDED
