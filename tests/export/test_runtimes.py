"""One encoder, four programs that run it: the same codes."""

import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from ssah_tf import Encoder
from ssah_tf.data import load_fashion
from ssah_tf.encoding import runtimes
from ssah_tf.encoding.runtimes import FILES, LITERT_INTEGERS
from ssah_tf.export.verify import INT8, bits_apart, decided
from ssah_tf.serve.library import LiveLibrary
from ssah_tf.system.errors import SsahError

OTHERS = [name for name in FILES if name != "onnxruntime"]


@pytest.mark.parametrize("runtime", OTHERS)
@pytest.mark.parametrize("threads", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_the_same_codes(exported, runtime, threads):
    """2,000 images in batches of one size and a smaller last one; no decided bit is another."""
    _, folder = exported
    pixels = load_fashion().pixels[:2000]
    one = Encoder.load(folder)
    other = Encoder.load(folder, runtime=runtime, threads=threads)
    assert (other.model_id, other.bits, other.path) == (one.model_id, one.bits, one.path)
    assert other.runtime == runtime
    logits = one.logits(pixels)
    np.testing.assert_allclose(other.logits(pixels), logits, atol=1e-4)
    apart = other.encode(pixels, batch=300) ^ one.encode(pixels)
    assert not (apart & decided(logits)).any()
    assert np.bitwise_count(apart).sum() <= 3
    assert bits_apart(other.full_codes(pixels), one.full_codes(pixels)) <= 6
    assert other.encode(pixels[:0]).shape == (0, 2)


@pytest.mark.parametrize("runtime", FILES)
def test_threads_share_it(exported, runtime):
    """Answers are not mixed up, and what one has got stays as it was."""
    encoder = Encoder.load(exported[1], runtime=runtime, threads=1)
    pixels = load_fashion().pixels[:320].reshape(8, 40, 28, 28, 3)
    expected = [encoder.encode(part) for part in pixels]
    found = [[] for _ in pixels]

    def ask(number):
        found[number] += [encoder.encode(pixels[number]) for _ in range(5)]

    asking = [threading.Thread(target=ask, args=[number]) for number in range(8)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    for answers, codes in zip(found, expected, strict=True):
        assert len(answers) == 5
        for answer in answers:
            np.testing.assert_array_equal(answer, codes)


@pytest.mark.parametrize("runtime", OTHERS)
def test_integers_belong_to_one_runtime(exported, runtime):
    with pytest.raises(SsahError, match=rf"an encoder in integers, which {runtime} rounds"):
        Encoder.load(exported[1] / INT8, runtime=runtime)


def test_files_of_litert_by_their_names(exported, ssah, tmp_path):
    """The one in floats is the encoder in another form, the one in integers another encoder."""
    _, folder = exported
    one, floats, integers = (
        Encoder.load(folder / name) for name in ("encoder.onnx", FILES["litert"], LITERT_INTEGERS)
    )
    assert (floats.model_id, floats.runtime, floats.path) == (one.model_id, "litert", one.path)
    assert integers.model_id != one.model_id
    assert (integers.runtime, integers.path.name) == ("litert", LITERT_INTEGERS)
    pixels = load_fashion().pixels[:50]
    apart = bits_apart(integers.encode(pixels), one.encode(pixels))
    assert apart < 0.05 * 50 * 12
    for runtime in ("onnxruntime", "openvino", "tensorflow"):
        with pytest.raises(SsahError, match=f"a file of LiteRT, which {runtime} does not run"):
            Encoder.load(folder / LITERT_INTEGERS, runtime=runtime)
    (tmp_path / "photos").mkdir()
    Image.fromarray(pixels[0]).save(tmp_path / "photos" / "0.png")
    told = ssah("encode", folder / LITERT_INTEGERS, "photos", "--output", "-")
    assert told.out.startswith(integers.encode(pixels[:1])[0].tobytes().hex())
    refused = ssah("index", folder / LITERT_INTEGERS, "photos", "--output", "index")
    assert refused.code == 1
    assert "an index searches with an encoder of its own, in ONNX" in refused.err
    assert not (tmp_path / "index").exists()


def test_unknown_and_missing(exported, tmp_path, monkeypatch):
    _, folder = exported
    with pytest.raises(SsahError, match="runtime 'tensorrt': choose from onnxruntime, openvino, "):
        Encoder.load(folder, runtime="tensorrt")
    shutil.copy(folder / "encoder.onnx", tmp_path)
    for runtime, needs in (
        ("litert", r"encoder\.tflite: no such file; .* `ssah export` wrote, with --litert$"),
        ("tensorflow", r"saved_model/1: no such file; .* the folder that `ssah export` wrote$"),
    ):
        with pytest.raises(SsahError, match=needs):
            Encoder.load(tmp_path, runtime=runtime)
    with pytest.raises(SsahError, match="providers are of ONNX Runtime: runtime litert has none"):
        Encoder.load(folder, runtime="litert", providers=["CPUExecutionProvider"])
    (tmp_path / "encoder.tflite").write_bytes(b"no model")
    with pytest.raises(SsahError, match=r"encoder\.tflite: cannot be loaded") as error:
        Encoder.load(tmp_path, runtime="litert")
    assert "\n" not in str(error.value)
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: None)
    for runtime in OTHERS:
        with pytest.raises(SsahError, match=rf"runtime {runtime} is not installed: pip install"):
            Encoder.load(folder, runtime=runtime)
    assert Encoder.load(folder).runtime == "onnxruntime"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of 12 photos."""
    folder = tmp_path_factory.mktemp("photos")
    for number, pixels in enumerate(load_fashion().pixels[:12]):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.mark.slow
def test_on_the_command_line(exported, photos, ssah, tmp_path):
    """Codes, an index and a search by any runtime are those of the others."""
    _, folder = exported
    said = {}
    for runtime in FILES:
        said[runtime] = ssah("encode", folder, photos, "--output", "-", "--runtime", runtime)
        assert said[runtime].code == 0
        assert said[runtime].err == ""
    assert len({lines.out for lines in said.values()}) == 1
    for runtime in ("litert", "onnxruntime"):
        done = ssah("index", folder, photos, "--output", "index", "--runtime", runtime)
        assert done.code == 0, done.err
    assert "0 new, 0 changed" in done.out
    search = ["search", "index", photos / "3.png", "-k", "5"]
    expected = ssah(*search).out
    assert "3.png" in expected
    for runtime in FILES:
        assert ssah(*search, "--runtime", runtime, "--encoder", folder).out == expected
    assert ssah(*search, "--runtime", "openvino").out == expected
    migrated = ssah("migrate", "index", folder, "--runtime", "litert")
    assert (migrated.code, ssah(*search).out) == (0, expected)
    ray = ["--engine", "ray", "--runtime", "litert"]
    refused = ssah("encode", folder, photos, "--output", "codes.npy", *ray)
    assert refused.code == 1
    assert "onnxruntime; leave it out" in refused.err or "ray" in refused.err


def test_an_index_keeps_no_file_of_other_runtimes(exported, photos, ssah, tmp_path):
    """It is named; and it must be that of the index."""
    _, folder = exported
    assert ssah("index", folder, photos, "--output", "index").code == 0
    for command in (["search", "index", photos / "3.png"], ["serve", "index", "--port", "0"]):
        for runtime in ("litert", "tensorflow"):
            refused = ssah(*command, "--runtime", runtime)
            assert refused.code == 1
            (line,) = refused.err.splitlines()
            assert f"no file for runtime {runtime}: name the export of its encoder with --" in line
        (line,) = ssah(*command, "--encoder", folder / INT8).err.splitlines()
        assert "model" in line
        (line,) = ssah(*command, "--runtime", "tensorrt").err.splitlines()
        assert "runtime 'tensorrt': choose from onnxruntime, openvino" in line


@pytest.mark.parametrize(
    "runtime", [n if n == "litert" else pytest.param(n, marks=pytest.mark.slow) for n in FILES]
)
def test_a_service(exported, photos, ssah, runtime, monkeypatch):
    """The codes of the service are those of `Encoder`; a call is a search, on one thread."""
    from starlette.testclient import TestClient

    _, folder = exported
    assert ssah("index", folder, photos, "--output", "index").code == 0
    opened, load = [], Encoder.load

    def noted(path, **options):
        opened.append(options)
        return load(path, **options)

    answers = []

    def ask(app, *_):
        with TestClient(app, base_url="http://127.0.0.1") as http:
            for number in range(12):
                content = (photos / f"{number}.png").read_bytes()
                answers.append(http.post("/encode", content=content).json()["code"])

    monkeypatch.setattr(Encoder, "load", noted)
    monkeypatch.setattr("ssah_tf.cli.serve.run", ask)
    done = ssah("serve", "index", "--port", "0", "--runtime", runtime, "--encoder", folder)
    assert done.code == 0, done.err
    assert opened == [{"runtime": runtime, "threads": 1}]
    codes = load(folder).encode([photos / f"{number}.png" for number in range(12)])
    assert answers == [code.tobytes().hex() for code in codes]


def test_a_service_goes_on_with_the_same_runtime(exported, photos, ssah, tmp_path):
    """An index that was made anew is taken without loading; one of another encoder is not."""
    _, folder = exported
    assert ssah("index", folder, photos, "--output", "index").code == 0
    with LiveLibrary("index", "litert", folder) as live:
        encoder = live.current.encoder
        few = photos / "1.png"
        assert ssah("index", folder, few, "--output", "index").code == 0
        assert live.refresh()
        assert live.current.encoder is encoder
        assert ssah("migrate", "index", folder / INT8).code == 0
        assert not live.refresh()
        assert "index" in live.error
        assert live.current.encoder is encoder


def test_litert_needs_its_own_operators_alone(exported):
    """Nothing of TensorFlow's is asked for; the file is in floats, uint8 in and out."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(exported[1] / FILES["litert"]))
    signature = interpreter.get_signature_runner()
    kinds = {name: info["dtype"] for name, info in signature.get_output_details().items()}
    assert kinds == {"codes": np.uint8, "logits": np.float32, "appearance": np.uint8}
    names = {op["op_name"] for op in interpreter._get_ops_details()}
    assert "CONV_2D" in names
    assert not [name for name in names if name.startswith("Flex") or name == "CUSTOM"]
