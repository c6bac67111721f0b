"""A JPEG that lacks its last bytes: read if little is missing, told, and never trained on."""

import io
import os

import numpy as np
import pytest
from PIL import Image, ImageFilter

from ssah_tf.data import load_images
from ssah_tf.data.cut_jpeg import MAX_MISSING, mend
from ssah_tf.data.decode import decode, refuse
from ssah_tf.encoding.records import Record, Records, encode_records
from ssah_tf.serve.decoder import WORK
from ssah_tf.serve.pictures import large, thumbnail
from ssah_tf.system.errors import ImageError

#: Forms in which a JPEG is written.
FORMS = {
    "baseline": {},
    "4:4:4": {"subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "restarts in rows": {"restart_marker_blocks": 7},
}


class FakeEncoder:
    model_id, bits, image_size, appearance_bits = "abc", 8, 4, 0

    def full_codes(self, images):
        return images[:, 0, 0, :1].copy()


def scene(width=480, height=640, mode="RGB"):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    soft = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2))).astype(int)
    return Image.fromarray(np.clip(128 + 6 * (soft - 128), 0, 255).astype(np.uint8)).convert(mode)


def jpeg(image=None, **options):
    stream = io.BytesIO()
    (image or scene()).save(stream, "JPEG", **{"quality": 90, **options})
    return stream.getvalue()


def pixels_of(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("lacking", [1, 2])
def test_the_end_alone_is_missing(form, lacking):
    """The code is that of the whole file, and the file is told."""
    whole = jpeg(**form)
    told = []
    cut = decode(whole[:-lacking], 32, "a.jpg", damaged=told.append)
    np.testing.assert_array_equal(cut, decode(whole, 32))
    assert told == ["a.jpg: damaged: its end is missing, the picture is there"]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_no_more_rows_are_missing_than_is_said(form, mode):
    """Cut anywhere; what is behind the cut is nothing, zeros or ones, as disks leave it."""
    whole = jpeg(scene(200, 800, mode), **form)
    right, rng, read = pixels_of(whole), np.random.default_rng(1), 0
    for turn in range(24):
        kept = int(len(whole) * (1 - 10 ** rng.uniform(-4, -0.2)))
        found = mend(whole[:kept] + (b"", bytes(100), b"\xff" * 100)[turn % 3])
        if found is None:
            continue
        read += 1
        apart = (pixels_of(found[0]) != right).any(axis=(1, 2))
        missing = len(apart) - np.flatnonzero(apart)[0] if apart.any() else 0
        # Colours are interpolated across the cut, into two rows above it.
        assert missing <= MAX_MISSING * len(apart) + 2
    assert read < 24
    assert read > 0 or form == FORMS["progressive"]  # which are mostly cut in an earlier scan


def test_what_lacks_more_is_refused():
    whole = jpeg(scene(240, 1600))
    for share in (0.1, 0.5, 0.9):
        with pytest.raises(ImageError, match=r"a\.jpg: cannot be read as an image \(.*truncated"):
            decode(whole[: int(share * len(whole))], 32, "a.jpg")
    content, why = mend(whole[: -len(whole) // 200])
    assert why == "damaged: its end is missing, and 1.0% of the picture"
    assert (pixels_of(content)[-1, -1] == 128).all()
    # All that was begun is whole, but scans are missing.
    progressive = jpeg(progressive=True)
    scans = progressive.split(b"\xff\xda")
    assert len(scans) == 11
    with pytest.raises(ImageError):
        decode(b"\xff\xda".join(scans[:-1]), 32)


def test_training_refuses_it(tmp_path):
    """It is named among the bad files, and refused where it loses its end later."""
    for place in range(20):
        (tmp_path / "a").mkdir(exist_ok=True)
        (tmp_path / "a" / f"{place}.jpg").write_bytes(jpeg(scene(40 + place, 40)))
    cut = tmp_path / "a" / "3.jpg"
    cut.write_bytes(cut.read_bytes()[:-2])
    loaded = load_images(str(tmp_path))
    assert loaded.bad == {"a/3.jpg": f"{cut}: damaged: its end is missing, the picture is there"}
    assert "a/3.jpg" not in loaded.images.ids
    other = tmp_path / "a" / "4.jpg"
    other.write_bytes(other.read_bytes()[:-2])
    with pytest.raises(ImageError, match=r"4\.jpg: damaged: its end is missing"):
        loaded.images.read(np.arange(len(loaded.images)), 8)
    with pytest.raises(ImageError, match="why"):
        refuse("why")


def test_search_reads_and_tells_it(tmp_path):
    whole = jpeg()
    (tmp_path / "whole.jpg").write_bytes(whole)
    (tmp_path / "cut.jpg").write_bytes(whole[:-2])
    (tmp_path / "half.jpg").write_bytes(whole[: len(whole) // 2])
    names = ["whole.jpg", "cut.jpg", "half.jpg"]
    (found,) = encode_records(FakeEncoder(), names, folder=os.fspath(tmp_path))
    line = "cut.jpg: damaged: its end is missing, the picture is there"
    assert [type(one) is Record for one in found] == [True, True, False]
    assert [one.damaged for one in found[:2]] == ["", line]
    np.testing.assert_array_equal(found[0].code, found[1].code)
    records = Records.of(FakeEncoder(), found)
    assert records.damaged == {"cut.jpg": line}
    assert [one.damaged for one in records] == ["", line]


def test_a_service_answers_the_same(tmp_path):
    """Uploads, thumbnails and large pictures."""
    cut = jpeg(scene(240, 1600))[:-40]
    about = {"size": 32, "name": "the image", "max_pixels": 10**6, "preview": False}
    said, body = WORK["pixels"](about, cut, None)
    assert body == decode(cut, 32).tobytes()
    assert said["damaged"].startswith("the image: damaged: its end is missing, and ")
    for draw in (thumbnail, large):
        assert draw(io.BytesIO(cut), "a").startswith(b"\xff\xd8")
        with pytest.raises(ImageError):
            draw(io.BytesIO(cut[: len(cut) // 2]), "a")
