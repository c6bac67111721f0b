"""Files for runtimes that want floats or a fixed batch, and codes that others have made."""

import re
import shutil

import numpy as np
import onnx
import pytest
import tensorflow as tf

from ssah_tf import Encoder
from ssah_tf.data import load_fashion
from ssah_tf.export.onnx_codes import FIXED_BATCH, LOGITS, codes_by
from ssah_tf.export.verify import INT8, verify, verify_codes
from ssah_tf.system.errors import SsahError


def refused(said):
    """The one line that a command ended with."""
    assert said.code == 1
    (line,) = said.err.splitlines()
    return line


def shapes(values):
    return [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values]


def test_floats_in_logits_out(exported):
    """One input, one output, no cast, no packing; the signs are the codes."""
    _, folder = exported
    model = onnx.load(folder / LOGITS)
    (given,), (logits,) = model.graph.input, model.graph.output
    assert {given.type.tensor_type.elem_type, logits.type.tensor_type.elem_type} == {
        onnx.TensorProto.FLOAT
    }
    assert shapes([given, logits]) == [["batch", 28, 28, 3], ["batch", 12]]
    assert "Cast" not in {node.op_type for node in model.graph.node}
    pixels = load_fashion().pixels[:70]
    codes, model_id = codes_by(folder / LOGITS, pixels)
    encoder = Encoder.load(folder)
    np.testing.assert_array_equal(codes, encoder.encode(pixels))
    assert model_id == encoder.model_id
    served = tf.saved_model.load(str(folder / "saved_model" / "1")).signatures["float_logits"]
    found = served(images=tf.constant(pixels, tf.float32))["logits"]
    np.testing.assert_array_equal(np.packbits(found >= 0, axis=1), codes)


def test_a_fixed_batch(exported):
    _, folder = exported
    path = folder / FIXED_BATCH.format(3)
    model = onnx.load(path)
    assert {shape[0] for shape in shapes([*model.graph.input, *model.graph.output])} == {3}
    pixels = load_fashion().pixels[:7]
    codes, _ = codes_by(path, pixels)
    np.testing.assert_array_equal(codes, Encoder.load(folder).full_codes(pixels))


def test_they_are_proven_and_not_loaded(exported):
    _, folder = exported
    proven = verify(folder)["verified"]["artefacts"]
    for name, form in (
        (LOGITS, "floats to logits"),
        (FIXED_BATCH.format(3), "3 images at once"),
    ):
        assert proven[name] == 0
        with pytest.raises(SsahError, match=rf"other runtimes \({form}\); load the encoder\.onnx"):
            Encoder.load(folder / name)


def test_codes_of_others(exported, ssah, tmp_path):
    """As .npy, in hexadecimal, as bytes; with the appearance codes or without."""
    _, folder = exported
    images = np.load(folder / "reference.npz")["images"]
    encoder = Encoder.load(folder)
    codes, whole = encoder.encode(images), encoder.full_codes(images)
    np.save(tmp_path / "codes.npy", codes)
    (tmp_path / "codes.txt").write_text("".join(f"{row.tobytes().hex()}\n" for row in codes))
    lines = [",".join(map(str, row)) for row in whole]
    (tmp_path / "codes.csv").write_text("\n".join(lines))
    for name, bits in (("codes.npy", 12), ("codes.txt", 12), ("codes.csv", 12 + 16)):
        output = ssah("verify", folder, "--codes", tmp_path / name)
        assert f"codes.{name[-3:]}: 0 of {len(images) * bits:,} bits differ" in output.out
    codes[3, 0] ^= 0b11
    assert verify_codes(folder, codes)["differ"] == 2
    np.save(tmp_path / "codes.npy", codes)
    line = refused(ssah("verify", folder, "--codes", tmp_path / "codes.npy"))
    assert "codes.npy: 2 of 768 bits differ from" in line
    for bad in (codes[1:], codes[:, :1], codes.astype(np.int32), codes[0]):
        with pytest.raises(SsahError, match=r"codes must be uint8 \(64, 2\).*Received"):
            verify_codes(folder, bad)


def test_files_of_others(exported, ssah, tmp_path):
    """Converted to half precision the model id stays, and codes change: both are said."""
    _, folder = exported
    assert (
        "onnx: 0 of 1,792 bits differ"
        in ssah("verify", folder, "--model", folder / "encoder.onnx").out
    )
    line = refused(ssah("verify", folder, "--model", folder / INT8))
    assert re.search(r"int8.onnx: [1-9]\d* of 1,792 bits differ from [^;]*$", line)
    model = onnx.load(folder / "encoder.onnx")
    kernel = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    changed = onnx.numpy_helper.to_array(kernel) * np.float32(0.8)
    kernel.CopyFrom(onnx.numpy_helper.from_array(changed, kernel.name))
    onnx.save(model, tmp_path / "half.onnx")
    line = refused(ssah("verify", folder, "--model", tmp_path / "half.onnx"))
    assert re.search("half.onnx: .* bits differ .*same id, other codes", line)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.npy", None, "none.npy: not packed codes"),
        ("text.npy", b"text", "text.npy: not packed codes"),
        ("bad.csv", b"1,2\n3,x", "bad.csv: not packed codes"),
        ("large.csv", b"1,256", "large.csv: not packed codes"),
        ("uneven.csv", b"1,2\n3", "uneven.csv: not packed codes"),
        ("hex.csv", b"0g", "hex.csv: not packed codes"),
        ("binary.csv", b"\xff\xfe", "binary.csv: not packed codes"),
    ],
)
def test_bad_codes(exported, ssah, tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert message in refused(ssah("verify", exported[1], "--codes", tmp_path / name))


def test_bad_models(exported, ssah, tmp_path):
    _, folder = exported
    (tmp_path / "text.onnx").write_text("text")
    line = refused(ssah("verify", folder, "--model", tmp_path / "text.onnx"))
    assert "text.onnx: cannot be loaded" in line
    model = onnx.load(folder / LOGITS)
    for dim in model.graph.input[0].type.tensor_type.shape.dim[1:3]:
        dim.dim_value = 32
    onnx.save(model, tmp_path / "larger.onnx")
    line = refused(ssah("verify", folder, "--model", tmp_path / "larger.onnx"))
    assert "takes images [32, 32, 3], these are [28, 28, 3]" in line
    line = refused(ssah("verify", folder, "--model", "a.onnx", "--codes", "a.npy"))
    assert "--model and --codes: name one of them" in line
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "reference.npz").unlink()
    line = refused(ssah("verify", copy, "--model", folder / "encoder.onnx"))
    assert "reference.npz" in line
