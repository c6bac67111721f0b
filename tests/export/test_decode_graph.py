"""The decoder in the graph equals `ssah_tf.data.decode.decode`, bit for bit."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from ssah_tf.data.decode import decode
from ssah_tf.export.decode_graph import decode_bytes

SIZE = 32


@pytest.fixture(scope="module")
def graph():
    return tf.function(
        lambda content: decode_bytes(content, SIZE),
        input_signature=[tf.TensorSpec((), tf.string)],
    )


def noise(width, height, channels=3, seed=0):
    rng = np.random.default_rng([seed, width, height])
    shape = (height, width, channels) if channels > 1 else (height, width)
    return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def assert_equal(graph, content):
    np.testing.assert_array_equal(graph(tf.constant(content)).numpy(), decode(content, SIZE))


SIZES = [
    (32, 32),
    (40, 30),
    (30, 41),
    (1, 1),
    (5, 200),
    (17, 90),
    (301, 200),
    (640, 480),
    (1000, 1501),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {"quality": 90}),
        ("JPEG", {"quality": 70, "subsampling": 0}),
        ("JPEG", {"progressive": True}),
    ],
)
def test_sizes(graph, size, kind, options):
    """With JPEG files large enough for 1/2, 1/4 and 1/8 among them."""
    assert_equal(graph, encoded(noise(*size), kind, **options))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_orientation(graph, orientation, order):
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = orientation
    exif[0x010F] = "maker"
    assert_equal(graph, encoded(noise(90, 61), "JPEG", exif=exif))


@pytest.mark.filterwarnings("ignore")  # Pillow says that it is damaged
def test_broken_exif_counts_as_none(graph):
    for tail in (b"", b"II", b"II*\0\xff\xff\0\0", b"MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12" * 40):
        content = encoded(noise(50, 40), "JPEG", exif=b"Exif\0\0" + tail)
        assert_equal(graph, content)


@pytest.mark.parametrize(
    ("image", "options"),
    [
        (noise(70, 60, 4), {}),
        (noise(70, 60, 2), {}),
        (noise(70, 60, 1), {}),
        (noise(70, 60, 1).convert("1"), {}),
        (noise(70, 60).quantize(256), {}),
        (noise(70, 60).quantize(16), {}),
        (noise(70, 60).quantize(16), {"transparency": 0}),
        (noise(70, 60, 1), {"transparency": 7}),
    ],
)
def test_png_modes(graph, image, options):
    assert_equal(graph, encoded(image, "PNG", **options))


def test_grey_jpeg(graph):
    assert_equal(graph, encoded(noise(70, 60, 1), "JPEG"))


def test_garbage_is_an_error(graph):
    with pytest.raises(tf.errors.InvalidArgumentError):
        graph(tf.constant(b"no image"))


def test_other_formats_are_refused(graph, files):
    """In one line that names those that are read: never another picture of the same file."""
    for kind in files.KINDS:
        content = files.picture_file(kind, Image.new("RGB", (320, 240), "red"))
        if kind in ("jpg", "png"):
            assert_equal(graph, content)
            continue
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            graph(tf.constant(content))
        assert "serving_bytes reads JPEG and PNG files" in str(caught.value).splitlines()[0]
