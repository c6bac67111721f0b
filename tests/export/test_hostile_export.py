"""Exports of strangers: an encoder takes nothing from outside of its folder."""

import json
import os
import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ssah_tf import Encoder
from ssah_tf.data.decode import RULE
from ssah_tf.export.manifest import NAME, OWN, own_checksum
from ssah_tf.export.verify import verify
from ssah_tf.system.errors import SsahError


def model_with_data_at(folder, location):
    """An ONNX file whose only weight lies in another file."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        weight.external_data.add(key=key, value=value)
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4]) for n in ("images", "codes")]
    node = helper.make_node("Add", ["images", "w"], ["codes"])
    graph = helper.make_graph([node], "g", value[:1], value[1:], [weight])
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    keys = ("model_id", "bits", "image_size", "backbone", "recipe_hash", "product_version")
    helper.set_model_props(model, {**dict.fromkeys(keys, "4"), "decode_rule": str(RULE)})
    (folder / "encoder.onnx").write_bytes(model.SerializeToString())
    return folder


@pytest.mark.parametrize("place", ["../secret", "absolute", "link", "a/../../secret"])
def test_external_data_of_onnx_stays_in_the_folder(tmp_path, place, monkeypatch):
    folder = tmp_path / "export"
    (folder / "a").mkdir(parents=True)
    secret = tmp_path / "secret"
    secret.write_bytes(np.arange(4, dtype=np.float32).tobytes())
    os.symlink(secret, folder / "link")
    monkeypatch.chdir(folder)
    location = str(secret) if place == "absolute" else place
    with pytest.raises(SsahError, match=r"encoder\.onnx: cannot be loaded") as caught:
        Encoder.load(model_with_data_at(folder, location))
    assert "xternal data path" in str(caught.value)
    (folder / "inside").write_bytes(secret.read_bytes())  # the model is right but for its place
    Encoder.load(model_with_data_at(folder, "inside"))


def write_about(folder, about):
    """A manifest that says what somebody wants, with a checksum of itself that is right."""
    (folder / NAME).write_text(json.dumps({**about, OWN: own_checksum(about)}))


def test_a_manifest_may_be_laid_out_anew(exported, tmp_path):
    folder = shutil.copytree(exported[1], tmp_path / "export")
    about = json.loads((folder / NAME).read_bytes())
    (folder / NAME).write_text(json.dumps(about, indent=4, sort_keys=True))
    verify(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"model_id": "0"},
        {"bits": 8},
        {"image_size": 224},
        {"verified": {}},
        {"more": 1},
        {OWN: "0"},
    ],
)
def test_an_edited_manifest_is_told(exported, tmp_path, change):
    folder = shutil.copytree(exported[1], tmp_path / "export")
    about = json.loads((folder / NAME).read_bytes())
    (folder / NAME).write_text(json.dumps(about | change))
    with pytest.raises(SsahError, match=r"encoder\.json: changed since the export"):
        verify(folder)
    if not change.keys() & {"verified", "more", OWN}:  # even with a checksum that was made anew
        write_about(folder, about | change)
        with pytest.raises(
            SsahError, match=f"{next(iter(change))} is .* in the manifest and .*onnx"
        ):
            verify(folder)


def test_manifests_of_other_versions(exported, tmp_path):
    folder = shutil.copytree(exported[1], tmp_path / "export")
    about = json.loads((folder / NAME).read_bytes())
    (folder / NAME).write_text(json.dumps(about | {"format": 3}))
    line = (
        r"made by a newer version of ssah-tf \(format 3, .* up to 2\): pip install --upgrade ssah"
    )
    with pytest.raises(SsahError, match=line):
        verify(folder)
    old = {key: value for key, value in about.items() if key not in ("format", OWN)}
    (folder / NAME).write_text(json.dumps(old))
    with pytest.raises(SsahError, match=r"older version .*: run `ssah export` again$"):
        verify(folder)
    (folder / NAME).write_text(json.dumps(about | {"format": "x"}))
    with pytest.raises(SsahError, match="not an export of ssah-tf"):
        verify(folder)


@pytest.mark.parametrize("name", ["../secret", "saved_model/../../secret", "absolute"])
def test_manifest_names_no_file_outside(exported, tmp_path, name):
    shutil.copytree(exported[1], tmp_path / "export")
    (tmp_path / "secret").write_text("secret")
    about = json.loads((tmp_path / "export" / "encoder.json").read_bytes())
    about["files"][str(tmp_path / "secret") if name == "absolute" else name] = "0"
    write_about(tmp_path / "export", about)
    with pytest.raises(SsahError, match="names a file outside of its folder"):
        verify(tmp_path / "export")


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b", "gone"])
def test_manifest_names_what_cannot_be_there(exported, tmp_path, name):
    shutil.copytree(exported[1], tmp_path / "export")
    about = json.loads((tmp_path / "export" / "encoder.json").read_bytes())
    about["files"][name] = "0"
    write_about(tmp_path / "export", about)
    with pytest.raises(SsahError, match=r"is missing$") as caught:
        verify(tmp_path / "export")
    assert len(str(caught.value)) < 500


def test_damaged_reference_images(exported, tmp_path):
    from ssah_tf.export.manifest import write_manifest

    folder = tmp_path / "export"
    shutil.copytree(exported[1], folder)
    about = json.loads((folder / "encoder.json").read_bytes())
    np.savez(folder / "reference.npz", images=np.array([print], object))
    write_manifest(folder, {k: v for k, v in about.items() if k != "files"})
    with pytest.raises(SsahError, match=r"reference\.npz: missing or damaged"):
        verify(folder)


def test_our_own_files_have_no_external_data(exported):
    for path in exported[1].glob("*.onnx"):
        model = onnx.load(path, load_external_data=False)
        assert not any(w.external_data for w in model.graph.initializer)
