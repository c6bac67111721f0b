"""Photos that carry more than a picture: coded as the plain one, and what is behind is named."""

import io

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data.decode import decode
from ssah_tf.data.second_pictures import in_heic, second_pictures
from ssah_tf.search.dates import dated
from ssah_tf.search.photo_table import Photo, PhotoTable

PACKET = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description %s/></rdf:RDF></x:xmpmeta>'
)
GAIN_MAP = b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0"'
MOTION = b'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1"'
STILL = MOTION.replace(b'"1"', b'"0"')
BURST = MOTION.replace(b'MotionPhoto="1"', b'BurstID="7"')
DEPTH = b'xmlns:GDepth="http://ns.google.com/photos/1.0/depthmap/" GDepth:Format="RangeInverse"'
FILM = b"\0\0\0\x18ftypmp42" + bytes(500)


def scene(seed=0, size=(96, 64)):
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(noise).resize(size)


def saved(image, kind="JPEG", **more):
    stream = io.BytesIO()
    image.save(stream, kind, quality=90, **more)
    return stream.getvalue()


def plain(*said):
    """A JPEG, with an XMP packet that says so."""
    return saved(scene(), xmp=PACKET % b" ".join(said)) if said else saved(scene())


def samsung():
    """What Samsung's phones write behind a motion photo: its video, and a directory at the end."""
    entry = b"\0\0" + (0x0A30).to_bytes(2, "little") + (600).to_bytes(4, "little")
    entry += len(FILM).to_bytes(4, "little")
    directory = b"SEFH" + (107).to_bytes(4, "little") + (1).to_bytes(4, "little") + entry
    return FILM + directory + len(directory).to_bytes(4, "little") + b"SEFT"


def multi_picture(*pictures):
    """An MPO file of pictures, the kind of the second one as it is given."""
    return saved(scene(), "MPO", save_all=True, append_images=list(pictures))


def as_kind(content, kind):
    """The kind of the second picture in an MPO file; Pillow writes none."""
    entries = content.index(b"MPF\0") + 4
    where = content.index((0xB002).to_bytes(2, "little"), entries)
    at = entries + int.from_bytes(content[where + 8 : where + 12], "little") + 16
    return content[:at] + kind.to_bytes(4, "little") + content[at + 4 :]


CASES = {
    "plain": (plain(), ""),
    "Ultra HDR": (plain(GAIN_MAP) + saved(scene(1)), "gain map"),
    "motion photo": (plain(MOTION) + FILM, "video"),
    "motion photo in HDR": (plain(GAIN_MAP, MOTION) + saved(scene(1)) + FILM, "gain map, video"),
    "said to be none": (plain(STILL), ""),
    "of Samsung": (plain() + samsung(), "video"),
    "of a burst": (plain(BURST), "one of a burst"),
    "depth": (plain(DEPTH), "depth map"),
    "MPO": (multi_picture(scene(1)), "second picture"),
    "3D": (as_kind(multi_picture(scene(1)), 0x020002), "view of the other eye"),
    "with its preview": (as_kind(multi_picture(scene(1)), 0x010001), ""),
    "zeros behind the end": (plain() + bytes(5000), ""),
    "directory that is none": (plain() + b"SEFH" + b"\xff\xff\0\0SEFT", ""),
}


@pytest.mark.parametrize(("content", "said"), CASES.values(), ids=CASES)
def test_named_and_coded_as_the_plain_one(tmp_path, content, said):
    """Every bit of the picture is that of the file without what is behind."""
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert second_pictures(str(path)) == said
    for size in (8, 32):
        np.testing.assert_array_equal(decode(path, size), decode(plain(), size))


def test_apple_gain_map_in_a_second_picture(tmp_path):
    first = multi_picture(scene(1))
    second = first.rindex(b"\xff\xd8\xff")
    packet = b"http://ns.adobe.com/xap/1.0/\0" + PACKET % (
        b'xmlns:HDRGainMap="http://ns.apple.com/HDRGainMap/1.0/" HDRGainMap:HDRGainMapVersion="1"'
    )
    segment = b"\xff\xe1" + (len(packet) + 2).to_bytes(2, "big") + packet
    (tmp_path / "a.jpg").write_bytes(first[: second + 2] + segment + first[second + 2 :])
    assert second_pictures(str(tmp_path / "a.jpg")) == "gain map"


def test_live_photos_are_told_as_a_pair(tmp_path, files):
    for name, film in (("a.jpg", "a.MOV"), ("b.heic", "b.mov"), ("c.png", "c.mov")):
        (tmp_path / name).write_bytes(files.picture_file(name[2:], scene()))
        (tmp_path / film).write_bytes(FILM)
    assert second_pictures(str(tmp_path / "a.jpg")) == "video a.MOV"
    assert second_pictures(str(tmp_path / "b.heic")) == "video b.mov"
    assert second_pictures(str(tmp_path / "c.png")) == ""


def test_heic():
    gain = "urn:com:apple:photo:2020:aux:hdrgainmap"
    assert list(in_heic({"aux": {gain: [3]}})) == ["gain map"]
    assert list(in_heic({"aux": {"urn:mpeg:hevc:2015:auxid:2": [3]}})) == ["depth map"]
    assert list(in_heic({"depth_images": [object()], "aux": {}})) == ["depth map"]
    assert list(in_heic({"depth_images": [], "aux": {"other": [1]}})) == []


def test_what_is_no_image_has_nothing(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no")
    assert second_pictures(str(tmp_path / "a.jpg")) == ""
    assert second_pictures(str(tmp_path / "gone.jpg")) == ""


def test_in_the_table_of_photos(tmp_path):
    """Read with the dates; a table of an older version has nothing there."""
    path = tmp_path / "a.jpg"
    path.write_bytes(plain(GAIN_MAP) + saved(scene(1)))
    photo = dated(Photo(str(path), "00" * 32, path.stat().st_size, path.stat().st_mtime_ns))
    table = PhotoTable.of({4: photo})
    table.write(tmp_path / "photos.parquet")
    assert PhotoTable.read(tmp_path / "photos.parquet")[4].second_pictures == "gain map"
    older = table.table.drop_columns(["second_pictures"])
    assert PhotoTable.checked(older, "older")[4].second_pictures == ""
