"""The encoder at run time, on a network so small that its codes can be told by hand."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from PIL import Image

from ssah_tf import Encoder
from ssah_tf.data.decode import RULE
from ssah_tf.encoding import runtimes
from ssah_tf.encoding.encoder import KEYS
from ssah_tf.system import onnx_session
from ssah_tf.system.errors import ImageError, SsahError
from ssah_tf.system.onnx_session import in_parts, open_session


def write(path, keys=KEYS):
    """A network of 12 bits for images of 4 px: 2 bytes of pixels are a code, 12 are logits."""
    constants = {"flat": [-1, 48], "zero": [0], "two": [2], "twelve": [12], "one": [1]}
    nodes = [
        helper.make_node("Reshape", ["images", "flat"], ["bytes"]),
        helper.make_node("Slice", ["bytes", "zero", "two", "one"], ["codes"]),
        helper.make_node("Slice", ["bytes", "zero", "twelve", "one"], ["twelve_bytes"]),
        helper.make_node("Cast", ["twelve_bytes"], ["logits"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 4, 4, 3])],
        [
            helper.make_tensor_value_info("codes", TensorProto.UINT8, ["n", 2]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 12]),
        ],
        [helper.make_tensor(k, TensorProto.INT64, [len(v)], v) for k, v in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    about = {"model_id": "abc", "bits": "12", "image_size": "4"}
    said = {key: about.get(key, "x") for key in keys}
    helper.set_model_props(model, {**said, "decode_rule": str(RULE)})
    onnx.save(model, path)


@pytest.fixture
def path(tmp_path):
    write(tmp_path / "encoder.onnx")
    return tmp_path / "encoder.onnx"


@pytest.fixture
def encoder(path):
    return Encoder.load(path)


@pytest.fixture
def pixels(rng):
    """Seven images of 4 px."""
    return rng.integers(0, 256, (7, 4, 4, 3), np.uint8)


@pytest.fixture
def runs(encoder):
    """What the network has been given, run by run."""
    given, run = [], encoder.run

    def recorded(outputs, images):
        given.append(images)
        return run(outputs, images)

    encoder.run = recorded
    return given


def sizes(runs):
    return [len(images) for images in runs]


def test_what_an_encoder_says_of_itself(path):
    for given in (path, str(path), path.parent):
        encoder = Encoder.load(given)
        assert (encoder.model_id, encoder.bits, encoder.image_size) == ("abc", 12, 4)
        assert encoder.path == path


def test_codes_and_logits_of_an_array(encoder, pixels, runs):
    rows = pixels.reshape(7, 48)
    codes, logits = encoder.encode(pixels), encoder.logits(pixels)
    assert (codes.dtype, logits.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(codes, rows[:, :2])
    np.testing.assert_array_equal(logits, rows[:, :12])
    np.testing.assert_array_equal(encoder.encode(pixels, batch=3), codes)
    np.testing.assert_array_equal(encoder.logits(pixels, batch=3), logits)
    assert sizes(runs) == [7, 7] + [3, 3, 1] * 2
    assert all(np.shares_memory(images, pixels) for images in runs)  # of its size: not copied


def test_64_images_are_run_at_once(encoder, runs):
    assert encoder.encode(np.zeros((65, 4, 4, 3), np.uint8)).shape == (65, 2)
    assert encoder.logits([np.zeros((4, 4, 3), np.uint8)] * 65).shape == (65, 12)
    assert sizes(runs) == [64, 1, 64, 1]


def test_large_images_are_run_in_parts(encoder, pixels, runs, monkeypatch):
    whole = encoder.encode(pixels)
    monkeypatch.setattr(onnx_session, "AT_ONCE", 3 * 4 * 4 - 1)
    np.testing.assert_array_equal(encoder.encode(pixels), whole)
    np.testing.assert_array_equal(encoder.encode(list(pixels)), whole)
    assert sizes(runs) == [7, 2, 2, 2, 1, 2, 2, 2, 1]


def test_parts_of_any_images():
    images = np.zeros((20, 224, 224, 3), np.uint8)
    assert sizes(in_parts(images)) == [8, 8, 4]
    assert sizes(in_parts(images[:0])) == [0]
    assert sizes(in_parts(np.zeros((2, 1024, 1024, 3), np.uint8))) == [1, 1]


def test_no_image_has_no_code(encoder, pixels):
    for nothing in ([], iter(()), pixels[:0]):
        codes = encoder.encode(nothing)
        assert (codes.shape, codes.dtype) == ((0, 2), np.uint8)
    logits = encoder.logits([])
    assert (logits.shape, logits.dtype) == ((0, 12), np.float32)


def test_files_bytes_pictures_and_arrays(encoder, pixels, runs, tmp_path):
    """One of them, or many of any kinds, also from a generator."""
    image = Image.fromarray(pixels[0])
    file = tmp_path / "a.png"
    image.save(file)
    expected = pixels[0].reshape(1, 48)[:, :2]
    for picture in (file, str(file), file.read_bytes(), image, pixels[0], pixels[:1]):
        np.testing.assert_array_equal(encoder.encode(picture), expected)
    many = [file, image, pixels[0], str(file), file.read_bytes()]
    np.testing.assert_array_equal(encoder.encode(many), expected.repeat(5, axis=0))
    found = encoder.encode((one for one in [*many, pixels[1]]), batch=4)
    np.testing.assert_array_equal(found[:5], expected.repeat(5, axis=0))
    assert found[5].tolist() == pixels[1].reshape(48)[:2].tolist()
    assert sizes(runs) == [1] * 6 + [5, 4, 2]


def test_images_of_another_size_are_cut_and_made_smaller(encoder):
    """Of 8 x 16 pixels the square in the middle is left, here of one colour; of another, no."""
    wide = np.zeros((8, 16, 3), np.uint8)
    wide[:, 4:12] = 10, 20, 30
    for images in (wide, wide[None], [Image.fromarray(wide)]):
        assert encoder.logits(images).tolist() == [[10, 20, 30] * 4]
    two = np.stack([wide, 2 * wide])
    assert encoder.encode(two).tolist() == [[10, 20], [20, 40]]
    small = np.full((2, 3, 3, 3), 7, np.uint8)
    assert encoder.encode(small).tolist() == [[7, 7]] * 2


def test_pictures_are_turned_upright_and_laid_on_white(encoder, tmp_path):
    """Orientation 3 is upside down: the last pixel is the first."""
    rows = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    image = Image.fromarray(rows)
    image.getexif()[0x0112] = 3
    assert encoder.encode(image).tolist() == [[45, 46]]
    clear = Image.new("RGBA", (4, 4), (1, 2, 3, 0))
    assert encoder.encode(clear).tolist() == [[255, 255]]


@pytest.mark.parametrize(
    ("shape", "dtype", "received"),
    [
        ((4, 4, 3), np.float32, (4, 4, 3)),
        ((4, 4), np.uint8, (4, 4)),
        ((4, 4, 4), np.uint8, (4, 4, 4)),
        ((4, 4, 1), np.uint8, (4, 4, 1)),
        ((2, 4, 4, 3), np.float32, (4, 4, 3)),  # one of two
        ((2, 5, 5, 4), np.uint8, (5, 5, 4)),
        ((1, 2, 4, 4, 3), np.uint8, (1, 2, 4, 4, 3)),
    ],
)
def test_an_array_of_another_form_is_refused(encoder, shape, dtype, received):
    received = re.escape(f"{np.dtype(dtype)} {received}")
    message = rf"must be uint8 \(height, width, 3\), RGB\. Received: {received}"
    with pytest.raises(SsahError, match=message):
        encoder.encode(np.zeros(shape, dtype))


def test_what_is_no_encoder_is_refused(encoder, tmp_path):
    with pytest.raises(ImageError, match="no such file"):
        encoder.encode(tmp_path / "none.jpg")
    with pytest.raises(SsahError, match="none: no such file; make one with `ssah export RUN`"):
        Encoder.load(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SsahError, match=r"empty/encoder\.onnx: no such file"):
        Encoder.load(tmp_path / "empty")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(SsahError, match=r"bad\.onnx: cannot be loaded \(") as caught:
        Encoder.load(tmp_path / "bad.onnx")
    assert len(str(caught.value).splitlines()) == 1
    write(tmp_path / "other.onnx", KEYS[2:])
    with pytest.raises(
        SsahError, match=r"other\.onnx: not an encoder of ssah-tf \(model_id, bits missing\)"
    ):
        Encoder.load(tmp_path / "other.onnx")


def test_threads_and_providers_are_handed_on(path, monkeypatch):
    """One thread a core by default, as ONNX Runtime has it; none of them spins."""
    opened = []
    monkeypatch.setattr(
        runtimes, "open_session", lambda *a, **b: opened.append(open_session(*a, **b)) or opened[-1]
    )
    Encoder.load(path, threads=3, providers=["CPUExecutionProvider"])
    options = opened[0].get_session_options()
    assert options.intra_op_num_threads == 3
    assert options.log_severity_level == 4  # what it logs as an error, it raises, too
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert opened[0].get_providers() == ["CPUExecutionProvider"]
    Encoder.load(path)
    assert opened[1].get_session_options().intra_op_num_threads == 0
    assert "CPUExecutionProvider" in onnxruntime.get_available_providers()


def test_threads_share_an_encoder(encoder, rng):
    pixels = rng.integers(0, 256, (200, 4, 4, 3), np.uint8)
    expected = encoder.encode(pixels)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: encoder.encode(pixels, batch=7), range(12)):
            np.testing.assert_array_equal(found, expected)


def test_needs_no_tensorflow(path, tmp_path):
    Image.new("RGB", (40, 30), "red").save(tmp_path / "a.png")
    code = (
        "import sys, ssah_tf; assert 'numpy' not in sys.modules; from ssah_tf import Encoder;"
        f"Encoder.load({str(path)!r}).encode({str(tmp_path / 'a.png')!r});"
        "assert not {'tensorflow', 'keras', 'yaml', 'pydantic', 'onnx'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
