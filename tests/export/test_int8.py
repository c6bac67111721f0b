"""The encoder in 8-bit integers."""

import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest

from ssah_tf import Encoder
from ssah_tf.data import load_fashion
from ssah_tf.encoding.runtimes import LITERT_INTEGERS
from ssah_tf.export import int8 as stage
from ssah_tf.export.export import export
from ssah_tf.export.manifest import OWN, read_manifest, write_manifest
from ssah_tf.export.verify import INT8, INTEGERS, bits_apart, verify
from ssah_tf.system.errors import SsahError
from ssah_tf.system.onnx_session import EXACT_INTEGERS


def test_file(exported):
    """Integer arithmetic around the convolutions, the same inputs and outputs, metadata inside."""
    _, folder = exported
    model = onnx.load(folder / INT8)
    onnx.checker.check_model(model, full_check=True)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("DequantizeLinear") >= 2 * kinds.count("Conv") > 0
    assert onnx.TensorProto.INT8 in {weights.data_type for weights in model.graph.initializer}
    about, floats = (
        {p.key: p.value for p in onnx.load(folder / name).metadata_props}
        for name in (INT8, "encoder.onnx")
    )
    assert about["precision"] == "int8"
    assert about["model_id"] != floats["model_id"]
    assert {k: v for k, v in about.items() if k in floats and k != "model_id"} == {
        k: v for k, v in floats.items() if k != "model_id"
    }


def test_file_for_litert(exported):
    """Convolutions take and give integers; images and codes are what they are in floats."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(exported[1] / LITERT_INTEGERS))
    kinds = {tensor["index"]: tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    convolutions = [op for op in interpreter._get_ops_details() if op["op_name"] == "CONV_2D"]
    assert len(convolutions) >= 4
    for op in convolutions:
        images, kernel, bias = (kinds[number] for number in op["inputs"])
        assert (images, kernel, bias) == (np.int8, np.int8, np.int32)
        assert kinds[op["outputs"][0]] == np.int8
    signature = interpreter.get_signature_runner()
    assert signature.get_input_details()["images"]["dtype"] == np.uint8
    found = {name: info["dtype"] for name, info in signature.get_output_details().items()}
    assert found == {"codes": np.uint8, "logits": np.float32, "appearance": np.uint8}


@pytest.mark.parametrize("key", INTEGERS)
def test_numbers_are_those_of_its_codes(exported, key):
    """Bits changed and mAP, computed once more from codes of the two files."""
    from sklearn.metrics import pairwise_distances

    run, folder = exported
    images = load_fashion()
    file = INTEGERS[key]
    whole = json.loads((folder / "encoder.json").read_bytes())
    about = whole[key]
    assert about["model_id"] == Encoder.load(folder / file).model_id
    assert len({whole["model_id"], *(whole[key]["model_id"] for key in INTEGERS)}) == 3
    assert about["calibration_images"] == stage.CALIBRATION
    split = run.split
    codes = {}
    for name in ("encoder.onnx", file):
        encoder = Encoder.load(folder / name)
        codes[name] = [
            encoder.encode(images.pixels[images.positions(ids)])
            for ids in (split.query, split.database)
        ]
    apart = sum(bits_apart(a, b) for a, b in zip(*codes.values(), strict=True))
    assert about["bits_changed"] == pytest.approx(apart / (6000 * 12))
    assert 0 < about["bits_changed"] < 0.05
    # Precision of the nearest 100 by another library's distances, as a check on both numbers.
    labels = [
        images.labels[images.positions(ids)].argmax(1) for ids in (split.query, split.database)
    ]
    precision = {}
    for name, (query, database) in codes.items():
        unpacked = [
            np.unpackbits(part, axis=1, count=12).astype(bool) for part in (query, database)
        ]
        distances = pairwise_distances(unpacked[0][:200], unpacked[1], "hamming")
        nearest = distances.argsort(axis=1, kind="stable")[:, :100]
        precision[name] = (labels[1][nearest] == labels[0][:200, None]).mean()
    change = precision[file] - precision["encoder.onnx"]
    assert change == pytest.approx(about["map"] - about["map_float"], abs=0.05)


def test_card_and_verify_tell(exported):
    _, folder = exported
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    about = verify(folder)
    for key, file in INTEGERS.items():
        assert f"`{file}`: the same in 8-bit integers, model id `{about[key]['model_id']}`" in card
        assert f"{about[key]['bits_changed']:.2%} of the bits are others" in card
        with np.load(folder / "reference.npz") as arrays:
            codes = Encoder.load(folder / file).encode(arrays["images"])
            assert about["verified"][f"{key}_bits"] == bits_apart(codes, arrays["codes"])


def test_verify_refuses_integers_of_another_encoder(exported, tmp_path):
    """The file is whole by its checksum, but not the one that was measured."""
    folder = tmp_path / "out"
    shutil.copytree(exported[1], folder)
    shutil.copy(folder / "encoder.tflite", folder / LITERT_INTEGERS)
    about = read_manifest(exported[1])
    del about["files"], about[OWN]
    write_manifest(folder, about)
    with pytest.raises(SsahError, match=r"encoder\.int8\.tflite: another model id than in the man"):
        verify(folder)


@pytest.mark.slow
def test_a_fall_beyond_the_bound_is_refused(exported, tmp_path, monkeypatch):
    """An integer file that computes nonsense: refused, and the old export stays; or forced."""
    run, _ = exported

    def nonsense(source, target, images):
        model = onnx.load(source)
        limits = {n.input[1] for n in model.graph.node if n.op_type == "GreaterOrEqual"}
        for limit in (w for w in model.graph.initializer if w.name in limits):  # every bit 1
            limit.CopyFrom(onnx.numpy_helper.from_array(np.float32(-1e9), limit.name))
        about = {p.key: p.value for p in model.metadata_props}
        onnx.helper.set_model_props(model, {**about, "model_id": "other"})
        onnx.save(model, target)

    folder = tmp_path / "out"
    shutil.copytree(exported[1], folder)
    before = (folder / "encoder.json").read_bytes()
    monkeypatch.setattr("ssah_tf.export.export.write_int8", nonsense)
    with pytest.raises(
        SsahError, match=r"encoder\.int8\.onnx: mAP falls from 0\.\d+ to 0\.1\d+, by more than"
    ):
        export(run, load_fashion(), folder, int8=True)
    assert (folder / "encoder.json").read_bytes() == before
    about = export(run, load_fashion(), folder, int8=True, force=True)
    assert about["int8"]["map"] < about["int8"]["map_float"] - 0.01
    assert Encoder.load(folder / INT8).model_id == "other"


EMULATED = """
import sys
import numpy as np
import onnxruntime

file, images, exact, out = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
if exact == "exact":
    options.add_session_config_entry({entry})
session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
np.save(out, session.run(["codes"], {{"images": np.load(images)}})[0])
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="QEMU's user mode is not installed")
def test_a_processor_without_vnni(exported, tmp_path):
    """A Haswell, emulated, gives the codes of this machine with the entry, and others without."""
    _, folder = exported
    pixels = load_fashion().pixels[:200]
    np.save(tmp_path / "images.npy", pixels)
    script = EMULATED.format(entry=", ".join(map(repr, EXACT_INTEGERS)))
    found = {}
    for exact in ("exact", "default"):
        out = tmp_path / f"{exact}.npy"
        emulator = ["qemu-x86_64", "-cpu", "Haswell", sys.executable, "-c", script]
        words = [*emulator, folder / INT8, tmp_path / "images.npy", exact, out]
        subprocess.run(words, check=True, capture_output=True)
        found[exact] = np.load(out)
    expected = Encoder.load(folder / INT8).encode(pixels)
    np.testing.assert_array_equal(found["exact"], expected)
    assert bits_apart(found["default"], expected) > 0
