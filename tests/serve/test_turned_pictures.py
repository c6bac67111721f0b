"""One picture, stored turned in five formats: the code, and all pictures of it, are upright."""

import base64
import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from ssah_tf.data.decode import decode
from ssah_tf.serve.decoder import WORK
from ssah_tf.serve.pictures import large, thumbnail
from ssah_tf.serve.routes import as_data

#: EXIF's word for a picture that is to be turned by 90 degrees, clockwise.
TURN = 6
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
#: Red, green above; blue, white below.
UPRIGHT = np.kron(
    np.array([[[220, 30, 30], [30, 200, 30]], [[30, 30, 220], [240, 240, 240]]], np.uint8),
    np.ones((160, 120, 1), np.uint8),
)


def stored(kind, by):
    """The picture lies on its side; what turns it is EXIF, XMP or the container."""
    exif, more = Image.Exif(), {}
    if by == "exif":
        exif[0x0112] = TURN
    elif kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        more = {"pnginfo": info}
    elif by == "xmp":
        more = {"xmp": XMP}
    stream = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(np.rot90(UPRIGHT)))
    image.save(stream, kind, quality=95, exif=exif, **more)
    return stream.getvalue()


#: Pillow writes the orientation of EXIF into the boxes of AVIF.
CASES = [(kind, "exif") for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF")]
CASES += [(kind, "xmp") for kind in ("JPEG", "PNG", "WEBP")]


@pytest.mark.parametrize(("kind", "by"), CASES)
def test_all_pictures_agree(kind, by):
    content = stored(kind, by)
    if kind == "AVIF":
        assert b"irot" in content
    about = {"size": 32, "name": "a", "max_pixels": 10**6, "preview": True}
    said, body = WORK["pixels"](about, content, None)
    assert body[: said["pixels"]] == decode(content, 32).tobytes()
    square = UPRIGHT[40:280]
    drawn = {
        "code": (np.frombuffer(body[: said["pixels"]], np.uint8).reshape(32, 32, 3), square),
        "preview": (read(body[said["pixels"] :]), UPRIGHT),
        "large": (read(large(io.BytesIO(content), "a")), UPRIGHT),
        "thumbnail": (read(thumbnail(io.BytesIO(content), "a")), square),
    }
    for name, (found, right) in drawn.items():
        if name != "code":
            assert found.shape == right.shape, name
        for down in (0.25, 0.75):
            for along in (0.25, 0.75):
                apart = at(found, down, along) - at(right, down, along)
                assert abs(apart).max() < 12, name


def at(pixels, down, along):
    return pixels[int(down * pixels.shape[0]), int(along * pixels.shape[1])].astype(int)


def read(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def test_a_picture_as_an_address():
    assert as_data(b"") == ""
    kind, _, text = as_data(b"\xff\xd8\xff").partition(",")
    assert (kind, base64.b64decode(text)) == ("data:image/jpeg;base64", b"\xff\xd8\xff")
