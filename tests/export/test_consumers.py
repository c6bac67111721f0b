"""Programs other than ours read an export, and get the codes of the trained encoder."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image, ImageCms
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from ssah_tf import Encoder
from ssah_tf.data import load_fashion
from ssah_tf.export.verify import INT8, bits_apart
from ssah_tf.export.warmup import MODEL_NAME, PLACE

SERVING = Path(__file__).parents[2] / "export" / "serving"
CLIENTS = SERVING.parent / "clients"


@pytest.fixture(scope="module")
def expected(exported):
    """Codes of the first images by the trained encoder."""
    pixels = load_fashion().pixels[:256]
    return pixels, exported[0].encoder().encode([pixels])


@pytest.fixture(scope="module")
def photos(exported, tmp_path_factory):
    """Photos of several forms, and their codes by `Encoder`."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for k, (width, height, kind) in enumerate([(90, 60, "jpg"), (28, 28, "png"), (200, 31, "png")]):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.{kind}")
    paths = sorted(folder.iterdir())
    codes = Encoder.load(exported[1]).encode(paths)
    return paths, [
        f"{code.tobytes().hex()} {path}" for code, path in zip(codes, paths, strict=True)
    ]


@pytest.mark.parametrize("name", ["encoder.onnx", "saved_model/1"])
def test_openvino(exported, expected, name):
    """OpenVINO's own front ends, not ONNX Runtime and not TensorFlow, at two batch sizes."""
    import openvino

    core = openvino.Core()
    model = core.compile_model(
        core.read_model(exported[1] / name), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    pixels, codes = expected
    output = next(port for port in model.outputs if "codes" in port.get_names())
    found = np.concatenate([model([part])[output] for part in (pixels[:200], pixels[200:])])
    np.testing.assert_array_equal(found, codes)


def test_openvino_runs_integers(exported, expected):
    """Integer kernels of another runtime round otherwise: nearly the same bits."""
    import openvino

    model = openvino.Core().compile_model(str(exported[1] / INT8), "CPU")
    pixels, codes = expected
    output = next(port for port in model.outputs if "codes" in port.get_names())
    assert bits_apart(model([pixels])[output], codes) < 0.05 * codes.shape[0] * 12


@pytest.mark.slow
def test_warm_up_requests(exported):
    """The official messages: each is read back and answered by the signature that it names."""
    run, folder = exported
    served = tf.saved_model.load(str(folder / "saved_model" / "1")).signatures
    records = tf.data.TFRecordDataset(str(folder / "saved_model" / "1" / PLACE))
    hnet = run.encoder()
    seen = []
    for record in records.as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        request = log.predict_log.request
        assert request.model_spec.name == MODEL_NAME
        ((name, value),) = request.inputs.items()
        values = tf.make_ndarray(value)
        answer = served[request.model_spec.signature_name](**{name: tf.constant(values)})
        seen.append((request.model_spec.signature_name, len(values)))
        if name == "of":
            assert [*answer["bits"].numpy()] == [12] * len(values)
            continue
        images = values
        if name == "bytes":
            images = np.stack([tf.io.decode_png(content).numpy() for content in values])
        np.testing.assert_array_equal(answer["codes"], hnet.encode([images]))
    asked = {*served} - {"float_logits"}  # which is for converters
    assert sorted(seen) == sorted((name, batch) for name in asked for batch in (1, 8))


def test_serving_configuration():
    """TensorFlow Serving's own messages read the file, and it names what the requests name."""
    config = text_format.Parse(
        (SERVING / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    (model,) = config.model_config_list.config
    assert model.name == MODEL_NAME
    assert model.base_path == "/models/ssah"
    both = text_format.Parse(
        (SERVING / "models.two.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    (two,) = both.model_config_list.config
    assert (two.name, two.base_path) == (model.name, model.base_path)
    assert set(two.version_labels.values()) == {*two.model_version_policy.specific.versions}
    compose = (SERVING / "compose.yaml").read_text()
    assert f"saved_model:{model.base_path}:ro" in compose


def load_script(name):
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location(name, SERVING / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_grpc_messages(exported, photos):
    """The client's request, over the wire form, is answered by the SavedModel; so is its answer."""
    from tensorflow_serving.apis import predict_pb2

    client = load_script("grpc_client")
    paths, lines = photos
    request = predict_pb2.PredictRequest.FromString(
        client.predict_request([path.read_bytes() for path in paths]).SerializeToString()
    )
    served = tf.saved_model.load(str(exported[1] / "saved_model" / "1")).signatures
    files = tf.constant(tf.make_ndarray(request.inputs["bytes"]))
    answer = served[request.model_spec.signature_name](bytes=files)
    response = predict_pb2.PredictResponse()
    response.outputs["codes"].CopyFrom(tf.make_tensor_proto(answer["codes"]))
    facts = served["about"](of=files)
    response.outputs["model_id"].CopyFrom(tf.make_tensor_proto(facts["model_id"]))
    assert client.about_request().model_spec.signature_name == "about"
    assert client.model_id_of(response) == Encoder.load(exported[1]).model_id
    codes = client.codes_of(predict_pb2.PredictResponse.FromString(response.SerializeToString()))
    assert [code.tobytes().hex() for code in codes] == [line.split()[0] for line in lines]


def test_command_line_prints_codes(exported, photos):
    paths, lines = photos
    command = [sys.executable, "-m", "ssah_tf.cli", "encode", str(exported[1]), "--output", "-"]
    done = subprocess.run([*command, *map(str, paths)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == lines


NODE = pytest.mark.skipif(shutil.which("npm") is None, reason="Node.js is not installed")


@NODE
def test_resize_in_javascript():
    """Every byte of the vectors; see `test_resize_vectors`."""
    command = ["node", CLIENTS / "check_vectors.mjs"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{len(list((CLIENTS / 'vectors').glob('*.bin')))} vectors")


def test_resize_vectors(tmp_path):
    """They are what the rule gives."""
    command = [sys.executable, CLIENTS / "vectors" / "make.py", tmp_path]
    subprocess.run(command, check=True)
    made, kept = (sorted(folder.glob("*.bin")) for folder in (tmp_path, CLIENTS / "vectors"))
    assert [path.name for path in made] == [path.name for path in kept]
    assert len(kept) >= 40
    for one, other in zip(made, kept, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


@pytest.fixture(scope="module")
def formats(tmp_path_factory):
    """Files that sharp and Pillow decode alike, in many types, and those that it does not."""
    folder, rng = tmp_path_factory.mktemp("formats"), np.random.default_rng(0)

    def picture(channels):
        small = rng.integers(0, 256, (20, 26, channels), dtype=np.uint8)
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[channels]
        small = Image.frombytes(mode, (26, 20), small.tobytes())
        return small.resize((103, 77), Image.Resampling.BICUBIC)

    grey, alpha, rgb, rgba = map(picture, (1, 2, 3, 4))
    for name, image in (("l", grey), ("la", alpha), ("rgb", rgb), ("rgba", rgba)):
        image.save(folder / f"{name}.png")
    rgb.quantize(64).save(folder / "palette.png")
    rgba.quantize(64).save(folder / "transparent-palette.png")
    grey.convert("1").save(folder / "one-bit.png")
    rgb.save(folder / "transparent-colour.png", transparency=rgb.getpixel((3, 3)))
    grey.save(folder / "l.jpg")
    for sampling in range(3):
        rgb.save(folder / f"sampling-{sampling}.jpg", subsampling=sampling, quality=90)
    rgb.save(folder / "progressive.jpg", progressive=True)
    for name, image in (("lossy", rgb), ("alpha", rgba)):
        image.save(folder / f"{name}.webp", quality=80)
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        for ending in ("jpg", "png", "webp"):
            rgb.save(folder / f"turned-{turn}.{ending}", exif=exif)
    same = sorted(folder.iterdir())
    others = [folder / f"{name}.jpg" for name in ("cmyk", "profile", "large")]
    rgb.convert("CMYK").save(others[0])
    rgb.save(
        others[1], icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    rgb.resize((412, 308)).save(others[2])
    return same, others


def unreadable(folder):
    """Paths that sharp refuses: a BMP, files cut off, text, nothing, a folder, no file at all."""
    folder.mkdir()
    image = Image.effect_noise((60, 40), 80).convert("RGB")
    for name in ("a.bmp", "cut.jpg", "cut.png"):
        image.save(folder / name)
    for name in ("cut.jpg", "cut.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:600])
    (folder / "head.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:20])
    (folder / "text.jpg").write_bytes(b"no image")
    (folder / "empty.jpg").touch()
    (folder / "folder.jpg").mkdir()
    return [*sorted(folder.iterdir()), folder / "none.jpg"]


@NODE
@pytest.mark.slow
def test_javascript(exported, formats, tmp_path):
    """`onnxruntime-node` and sharp: the codes of Python, or a line that says why not."""
    for path in CLIENTS.glob("*.mjs"):
        shutil.copy(path, tmp_path)
    install = ["npm", "install", "--no-audit", "--no-fund", "onnxruntime-node", "sharp"]
    skip = {"ONNXRUNTIME_NODE_INSTALL": "skip"}  # of what GPUs need
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, env=os.environ | skip)
    same, others = formats
    command = ["node", "encode.mjs", exported[1] / "encoder.onnx"]
    how = {"cwd": tmp_path, "check": True, "capture_output": True, "text": True}
    done = subprocess.run([*command, *same], **how)
    codes = Encoder.load(exported[1]).encode(same)
    expected = [f"{code.tobytes().hex()} {path}" for code, path in zip(codes, same, strict=True)]
    assert done.stdout.splitlines() == expected
    assert done.stderr == ""
    listed = subprocess.run(command, input="".join(f"{path}\n" for path in same), **how)
    assert listed.stdout == done.stdout
    told = subprocess.run([*command, *others], **how)
    reasons = [line.partition("a few bits may differ: ")[2] for line in told.stderr.splitlines()]
    assert reasons == ["it is CMYK", "it has a colour profile", "Python decodes it at a fraction"]
    assert len(told.stdout.splitlines()) == 3
    mixed = [same[0], *unreadable(tmp_path / "unreadable"), same[1]]
    partly = subprocess.run([*command, *mixed], **how | {"check": False})
    assert (partly.returncode, partly.stdout.splitlines()) == (1, expected[:2])
    skipped = [line.partition(": sharp cannot read it (") for line in partly.stderr.splitlines()]
    assert [name for name, _, _ in skipped] == [f"skipped: {path}" for path in mixed[1:-1]]
    assert all(reason.endswith(")") for _, _, reason in skipped)
    no_model = subprocess.run(["node", "encode.mjs", mixed[1], same[0]], **how | {"check": False})
    assert (no_model.returncode, no_model.stdout) == (1, "")
    assert no_model.stderr.startswith(f"{mixed[1]}: cannot be loaded (")
    assert len(no_model.stderr.splitlines()) == 1


@pytest.mark.slow
def test_kserve(exported, photos, tmp_path, environment_of):
    """KServe's server, installed in an environment of its own, answers the REST client."""
    python = environment_of("kserve==0.21.0", SERVING.parents[1])
    port = 18083
    serve = [python, SERVING / "kserve_server.py", "--encoder", exported[1]]
    options = ["--http_port", str(port), "--enable_grpc", "false"]
    with open(tmp_path / "log", "wb") as log:
        server = subprocess.Popen([*serve, *options], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/v1/models/ssah"
    try:
        for _ in range(120):
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    assert json.load(answer)["ready"] in (True, "True")
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.5)
        paths, lines = photos
        client = [sys.executable, SERVING / "rest_client.py", "--url", url]
        done = subprocess.run([*client, *paths], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == lines
        model_id = Encoder.load(exported[1]).model_id
        asked = [*client, *paths, "--model-id"]
        done = subprocess.run([*asked, model_id], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == lines
        done = subprocess.run([*asked, "other"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"serves model id {model_id}, not other" in done.stderr
        bad = tmp_path / "bad.jpg"
        bad.write_bytes(b"no image")
        done = subprocess.run([*client, bad], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "400" in done.stderr
        assert "not an image" in done.stderr
    finally:
        server.terminate()
        server.wait(30)
