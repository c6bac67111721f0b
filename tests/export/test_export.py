import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from PIL import Image

from ssah_tf import Encoder
from ssah_tf.data import load_fashion
from ssah_tf.data.decode import RULE
from ssah_tf.encoding.encoder import KEYS
from ssah_tf.export import export as stage
from ssah_tf.export.card import model_card
from ssah_tf.export.export import export
from ssah_tf.export.graph import encoder_function, pack
from ssah_tf.export.identity import model_id
from ssah_tf.export.manifest import read_manifest
from ssah_tf.export.onnx_codes import FIXED_BATCH, LOGITS
from ssah_tf.export.onnx_model import write_onnx
from ssah_tf.export.verify import bits_apart, compare, decided, verify
from ssah_tf.models import HNet
from ssah_tf.models.backbones import BACKBONES, first_weights
from ssah_tf.system.errors import RunError, SsahError
from ssah_tf.training.batch_statistics import take_statistics

#: Backbones at their smallest, on the built-in images at a size that each can take.
SMALL = {
    "resnet20": ("model.options.width=8",),
    "alexnet": ("model.options.units=32", "data.image_size=64"),
    "efficientnet_lite0": ("data.image_size=32",),
}
#: Networks of so many layers that rounding can turn up to five bits in a hundred thousand.
DEEP = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "keras")


@pytest.mark.parametrize("bits", [8, 12, 48, 63])
def test_pack_is_packbits(rng, bits):
    logits = rng.normal(size=(20, bits)).astype(np.float32)
    logits[0, :3] = (0.0, -0.0, -1e-30)
    np.testing.assert_array_equal(pack(tf.constant(logits)), np.packbits(logits >= 0, axis=1))


def assert_equal_codes(run, folder, images, name="convnet"):
    """0 bits differ between the trained encoder, ONNX Runtime and the SavedModel."""
    about, hnet = read_manifest(folder), run.encoder()
    assert name in DEEP or about["int8"]["bits_changed"] < 0.1
    assert about["verified"]["images"] == images
    assert about["verified"]["bits"] == (12 + hnet.appearance_bits) * images
    encoder = Encoder.load(folder)
    pixels = load_fashion().read(np.arange(5000, 5200), encoder.image_size)
    expected = hnet.encode([pixels])
    np.testing.assert_array_equal(encoder.encode(pixels), expected)
    assert len(np.unique(expected, axis=0)) > 3


def test_codes_equal(exported):
    assert_equal_codes(*exported, 600)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_codes_equal_for_every_backbone(name, evaluated, tmp_path, monkeypatch):
    """As `test_codes_equal`, with the other networks."""
    monkeypatch.setattr(stage, "SAMPLE", 300)
    run = evaluated(tmp_path / "run", f"model.backbone={name}", *SMALL[name])
    export(run, load_fashion(), tmp_path / "out", int8=True, force=True)
    assert_equal_codes(run, tmp_path / "out", 300, name)


@pytest.mark.slow
def test_a_run_in_bfloat16(evaluated, tmp_path):
    """Trained in half precision; saved, evaluated and exported in float32, like any other."""
    run = evaluated(tmp_path / "run", "train.precision=bfloat16", "model.options.width=8")
    about = export(run, load_fashion(), tmp_path / "out")
    assert about["verified"]["artefacts"] == {"encoder.onnx": 0, "saved_model/1": 0}
    kinds = {w.data_type for w in onnx.load(tmp_path / "out" / "encoder.onnx").graph.initializer}
    assert onnx.TensorProto.BFLOAT16 not in kinds


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKBONES)
def test_no_decided_bit_of_480_000_differs(name, tmp_path):
    """At its own width, 48 bits, 10,000 images: all built-in ones, and 4,000 of them mirrored."""
    size = 64 if name in DEEP else {"alexnet": 64, "resnet20": 32}.get(name, 28)
    options = {"network": "MobileNetV2", "weights": "none"} if name == "keras" else {}
    pixels = load_fashion().read(np.arange(6000), size)
    pixels = np.concatenate([pixels, pixels[:4000, :, ::-1]])
    keras.utils.set_random_seed(0)
    hnet = HNet(BACKBONES[name](**options), 48)
    hnet.build((None, size, size, 3))
    take_statistics(hnet, [pixels[start : start + 64] for start in range(0, 640, 64)])
    encode = encoder_function(hnet, size)
    about = dict.fromkeys(KEYS, "0") | {"bits": "48", "image_size": str(size)}
    about["decode_rule"] = str(RULE)
    write_onnx(encode, tmp_path / "encoder.onnx", 18, about)
    batches = [pixels[i : i + 250] for i in range(0, 10_000, 250)]
    expected = hnet.encode(batches)
    found = Encoder.load(tmp_path).encode(pixels)
    assert found.shape == (10_000, 6)
    logits = np.concatenate([encode(batch)["logits"] for batch in batches])
    assert np.bitwise_count((found ^ expected) & decided(logits)).sum() == 0
    assert bits_apart(found, expected) <= (24 if name in DEEP else 2)
    assert len(np.unique(expected, axis=0)) > 100


def test_onnx_file(exported):
    """Named dynamic batch, uint8 in and out, the full check, and metadata inside."""
    run, folder = exported
    model = onnx.load(folder / "encoder.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [v.version for v in model.opset_import if v.domain == ""] == [18]
    (given,) = model.graph.input
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim] == [
        "batch",
        28,
        28,
        3,
    ]
    codes, logits, appearance = model.graph.output
    assert [d.dim_param or d.dim_value for d in codes.type.tensor_type.shape.dim] == ["batch", 2]
    assert (codes.name, logits.name, appearance.name) == ("codes", "logits", "appearance")
    assert appearance.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    about = {p.key: p.value for p in model.metadata_props}
    assert about["bits"] == "12"
    assert about["appearance_bits"] == str(run.encoder().appearance_bits) != "0"
    assert about["image_size"] == "28"
    assert about["model_id"] == model_id(run.encoder(), 28)


@pytest.mark.slow
def test_oldest_opset(exported, tmp_path):
    run, _ = exported
    export(run, load_fashion(), tmp_path / "out", opset=13)
    model = onnx.load(tmp_path / "out" / "encoder.onnx")
    assert [v.version for v in model.opset_import if v.domain == ""] == [13]
    with pytest.raises(SsahError, match="opset 19: choose from 13 to 18"):
        export(run, load_fashion(), tmp_path / "new", opset=19)
    assert not (tmp_path / "new").exists()


def test_padding_bits_are_zero(exported):
    """12 bits are two bytes, the last four bits zero; logits have the signs of the codes."""
    _, folder = exported
    encoder = Encoder.load(folder)
    pixels = load_fashion().pixels[:50]
    codes, logits = encoder.encode(pixels), encoder.logits(pixels)
    assert codes.shape == (50, 2)
    assert not (codes[:, 1] & 0b1111).any()
    np.testing.assert_array_equal(np.unpackbits(codes, axis=1, count=12), logits >= 0)


def test_saved_model_signatures(exported, tmp_path):
    run, folder = exported
    served = tf.saved_model.load(str(folder / "saved_model" / "1")).signatures
    assert set(served) == {
        "serving_default",
        "serving_bytes",
        "logits",
        "appearance_bytes",
        "float_logits",
        "about",
    }
    about = served["about"](of=tf.constant(["?", "!"]))
    model_id = Encoder.load(folder).model_id.encode()
    assert {name: [*value.numpy()] for name, value in about.items()} == {
        "model_id": [model_id] * 2,
        "bits": [12] * 2,
        "image_size": [28] * 2,
    }
    pixels = load_fashion().pixels[:5]
    encoder = Encoder.load(folder)
    expected = encoder.encode(pixels)
    np.testing.assert_array_equal(served["serving_default"](images=pixels)["codes"], expected)
    both = served["logits"](images=pixels)
    np.testing.assert_array_equal(both["codes"], expected)
    np.testing.assert_allclose(both["logits"], encoder.logits(pixels), atol=1e-4)
    assert set(served["serving_default"].structured_outputs) == {"codes"}  # REST answers in rows
    full = np.concatenate([both["codes"], both["appearance"]], axis=1)
    np.testing.assert_array_equal(full, encoder.full_codes(pixels))
    np.testing.assert_array_equal(full, run.encoder().full_codes([pixels]))
    files = []
    for k, kind in enumerate(("JPEG", "PNG", "JPEG")):
        path = tmp_path / f"{k}.{kind.lower()}"
        noise = np.random.default_rng(k).integers(0, 256, (90 - k, 70 + 40 * k, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path, kind)
        files.append(path)
    content = tf.constant([path.read_bytes() for path in files])
    np.testing.assert_array_equal(
        served["serving_bytes"](bytes=content)["codes"], encoder.encode(files)
    )
    both = served["appearance_bytes"](bytes=content)
    full = np.concatenate([both["codes"], both["appearance"]], axis=1)
    np.testing.assert_array_equal(full, encoder.full_codes(files))
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"images must be uint8 \(batch, 28, 28"
    ):
        served["serving_default"](images=tf.zeros((1, 20, 20, 3), tf.uint8))


@pytest.mark.slow
def test_saved_model_cli_reads_it(exported):
    _, folder = exported
    command = [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "show", "--dir"]
    which = ["--tag_set", "serve", "--signature_def", "serving_default"]
    done = subprocess.run(
        [*command, str(folder / "saved_model" / "1"), *which],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "dtype: DT_UINT8" in done.stdout
    assert "outputs['codes']" in done.stdout


def test_card_and_manifest(exported):
    run, folder = exported
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    report = json.loads(run.metrics_path.read_bytes())
    about = verify(folder)
    assert f"**{report['retrieval']['map_tie_aware']:.4f}**" in card
    assert report["protocol"] in card
    assert about["model_id"] in card
    assert "the last 4 of them 0" in card
    others = [LOGITS, FIXED_BATCH.format(3)]
    assert about["verified"]["artefacts"] == dict.fromkeys(
        ["encoder.onnx", "saved_model/1", "encoder.tflite", *others], 0
    )
    assert about["verified"]["bits"] == 64 * (12 + run.encoder().appearance_bits)
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(about["files"]) == files - {"encoder.json"}


@pytest.mark.parametrize(
    ("backbone", "options", "words"),
    [
        ("convnet", {}, "`convnet`, trained from scratch"),
        ("alexnet", {}, "`alexnet`, trained from scratch"),
        ("efficientnet_lite0", {"weights": "none"}, "trained from scratch"),
        ("efficientnet_lite0", {}, "`efficientnet_lite0`, which began with ImageNet weights"),
        ("keras", {"network": "ResNet50"}, "`keras`, which began with ImageNet weights"),
        ("alexnet", {"weights": "weights/alexnet.pth"}, "began with the weights of `alexnet.pth`"),
    ],
)
def test_card_says_what_the_weights_were_before(exported, backbone, options, words):
    run, folder = exported
    first = Path(first_weights(backbone, options)).name
    known = json.loads((folder / "model_card.json").read_bytes())
    about = {**known, "backbone": backbone, "weights": first}
    card = model_card(about, json.loads(run.metrics_path.read_bytes()))
    assert words in card
    assert ("from scratch" in card) == (first == "none")


def test_model_id_follows_weights_and_preprocessing(exported):
    hnet = exported[0].encoder()
    before = model_id(hnet, 28)
    assert before == model_id(exported[0].encoder(), 28)
    assert before != model_id(hnet, 32)
    kernel = hnet.hash_layer.kernel
    kernel.assign(kernel.numpy() * np.float32(1.0000001))
    assert before != model_id(hnet, 28)


def test_verify_finds_what_was_changed(exported, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(exported[1], folder)
    (folder / "MODEL_CARD.md").write_text("better numbers")
    with pytest.raises(SsahError, match=r"MODEL_CARD\.md: changed since the export"):
        verify(folder)
    (folder / "MODEL_CARD.md").unlink()
    with pytest.raises(SsahError, match=r"MODEL_CARD\.md' is missing"):
        verify(folder)
    (folder / "encoder.json").write_text("[]")
    with pytest.raises(SsahError, match="not an export of ssah-tf"):
        verify(folder)


def test_killed_between_old_and_new(exported, tmp_path, monkeypatch):
    """The old export is put back by the next call, even if that fails, too."""
    run, _ = exported
    folder = tmp_path / "out"
    shutil.copytree(exported[1], folder)
    folder.rename(stage.old_of(folder))
    with pytest.raises(SsahError, match="opset 19"):
        export(run, load_fashion(), folder, opset=19)
    assert Encoder.load(folder).model_id == model_id(run.encoder(), 28)


def test_undecided_bits_alone_may_differ(exported, tmp_path):
    """One bit turned whose logit is all but 0: counted. One whose logit is not: refused."""
    names = ["encoder.onnx", LOGITS, FIXED_BATCH.format(3)]
    for name in names:
        shutil.copy(exported[1] / name, tmp_path)
    folder = tmp_path
    pixels = load_fashion().pixels[:3]
    encoder = Encoder.load(folder)
    logits, appearance = encoder.logits(pixels), np.ones((3, encoder.appearance_bits))
    turned = encoder.full_codes(pixels)
    turned[1, 0] ^= 0b0100_0000
    logits[1, 1] = 0.9e-4
    assert compare(folder, pixels, turned, decided(logits, appearance)) == dict.fromkeys(names, 1)
    logits[1, 1] = -1.1e-4
    total = 3 * (12 + encoder.appearance_bits)
    with pytest.raises(SsahError, match=rf"encoder\.onnx: 1 of {total} bits differ from the"):
        compare(folder, pixels, turned, decided(logits, appearance))
    with pytest.raises(
        SsahError, match=r"encoder\.onnx: codes of \d+ bytes instead of 2, those of"
    ):
        compare(folder, pixels, turned[:, :2], decided(logits))


@pytest.mark.slow
def test_export_that_fails_leaves_the_old_one(exported, tmp_path, monkeypatch):
    """Codes that differ stop the export; so does a folder that is something else."""
    monkeypatch.setattr(stage, "SAMPLE", 300)
    run, _ = exported
    folder = tmp_path / "out"
    export(run, load_fashion(), folder)
    before = (folder / "encoder.json").read_bytes()
    right = Encoder.full_codes

    def others(encoder, images):
        codes = right(encoder, images)
        strong = np.argwhere(np.abs(encoder.logits(images)) > 0.1)[:3]
        for row, bit in strong:
            codes[row, bit // 8] ^= 128 >> bit % 8
        return codes

    monkeypatch.setattr(Encoder, "full_codes", lambda self, images: others(self, images))
    with pytest.raises(SsahError, match=r"encoder\.onnx: 3 of [\d,]+ bits differ from the trained"):
        export(run, load_fashion(), folder)
    assert (folder / "encoder.json").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="holds something that is no export"):
        export(run, load_fashion(), tmp_path / "mine")


@pytest.mark.slow
def test_command_line_from_run_to_codes(exported, tmp_path, monkeypatch, capsys):
    """`ssah export`, `verify`, `encode`: the codes are those of the trained encoder."""
    from ssah_tf.cli import app as cli

    run, _ = exported
    photos = tmp_path / "photos"
    photos.mkdir()
    pixels = load_fashion().pixels[:10]
    for k, image in enumerate(pixels):
        Image.fromarray(image).save(photos / f"{k}.png")
    (photos / "bad.jpg").write_bytes(b"")

    def ssah(*arguments):
        monkeypatch.setattr(sys, "argv", ["ssah", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert caught.value.code == 0
        return capsys.readouterr()

    out = ssah("export", run.folder, "--output", tmp_path / "out").out
    bits = 12 + run.encoder().appearance_bits
    undecided = r"[1-9] of {0} bits \(their logits 0 but for rounding\)"  # by the processor
    assert re.search(rf"(0 of {{0}} bits|{undecided}) differ".format(f"{6000 * bits:,}"), out)
    line = f"files unchanged; 0 of {64 * bits:,} bits differ"
    assert line in ssah("verify", tmp_path / "out").out
    done = ssah("encode", tmp_path / "out", photos, "--output", tmp_path / "codes.npy")
    assert "10 codes of 12 bits" in done.out
    assert "bad.jpg: empty, or not an image" in done.err
    codes = np.load(tmp_path / "codes.npy")
    np.testing.assert_array_equal(codes, run.encoder().encode([pixels]))
