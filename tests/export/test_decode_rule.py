"""What was made by an older rule of decoding says in one line what to do."""

import shutil

import numpy as np
import onnx
import pytest
from PIL import Image
from typer.testing import CliRunner

from ssah_tf import Encoder
from ssah_tf.cli.app import app
from ssah_tf.data import load_fashion
from ssah_tf.data.decode import RULE
from ssah_tf.export.export import export
from ssah_tf.export.identity import model_id
from ssah_tf.export.manifest import read_manifest
from ssah_tf.export.verify import verify
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.system.errors import SsahError
from ssah_tf.training.evaluate import measured_by_rule
from ssah_tf.training.run import Run

ADVICE = r"decoded by rule 1, this version decodes by rule 2: run `ssah export RUN` again, and"


def of_rule_one(source, target):
    """An ONNX file as version 0.1.0 wrote it: without a rule."""
    model = onnx.load(source)
    about = {entry.key: entry.value for entry in model.metadata_props}
    del about["decode_rule"]
    onnx.helper.set_model_props(model, about)
    onnx.save(model, target)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path / "photos"


def test_exports_carry_the_rule(exported):
    run, folder = exported
    assert RULE == 2
    assert read_manifest(folder)["decode_rule"] == RULE
    for name in ("encoder.onnx", "encoder.int8.onnx"):
        about = {entry.key: entry.value for entry in onnx.load(folder / name).metadata_props}
        assert about["decode_rule"] == str(RULE)
    assert model_id(run.encoder(), 28) == Encoder.load(folder).model_id


def test_export_of_rule_one(exported, tmp_path):
    folder = shutil.copytree(exported[1], tmp_path / "old")
    of_rule_one(folder / "encoder.onnx", folder / "encoder.onnx")
    with pytest.raises(SsahError, match=ADVICE) as caught:
        Encoder.load(folder)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(SsahError, match=r"checksum differs|by rule 1"):
        verify(folder)


def test_index_of_rule_one(exported, tmp_path, photos):
    """Searching refuses with the line; `ssah migrate` brings it to the new rule."""
    encoder = Encoder.load(exported[1])
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [photos])
    (kept,) = (tmp_path / "index").glob("encoder-*.onnx")
    of_rule_one(kept, kept)
    query, place = str(photos / "0.png"), str(tmp_path / "index")
    found = CliRunner().invoke(app, ["search", place, query])
    assert isinstance(found.exception, SsahError)
    assert "by rule 1" in str(found.exception)
    assert "`ssah migrate INDEX EXPORT`" in str(found.exception)
    found = CliRunner().invoke(app, ["migrate", place, str(exported[1])])
    assert found.exit_code == 0, found.output
    assert len(PhotoIndex.open(place)) == 3


@pytest.mark.slow
def test_run_of_rule_one(exported, tmp_path):
    """Its encoder can be exported; the numbers on the card are known to be older."""
    run = Run(shutil.copytree(exported[0].folder, tmp_path / "run"))
    assert measured_by_rule(run) == RULE
    arrays = dict(np.load(run.codes_path))
    np.savez(run.codes_path, **{k: v for k, v in arrays.items() if k != "decode_rule"})
    assert measured_by_rule(run) == 1
    export(run, load_fashion(), tmp_path / "out")
