"""What is proposed to keep, what is remembered as kept, and where labels go."""

import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from ssah_tf.data.capture_time import Dated, dated
from ssah_tf.data.label_table import LabelTable
from ssah_tf.search.duplicates import Member
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import Photo
from ssah_tf.search.review.kept import KeptGroups
from ssah_tf.search.review.labels import IndexLabels, LabelChange, TableLabels, handed_on
from ssah_tf.search.review.proposal import Facts, Rules, picture_size, propose
from ssah_tf.system.errors import RunError
from ssah_tf.system.lock import only_one

#: Path -> pixels, bytes, time, labels.
PHOTOS = {
    "/p/a/1.jpg": (100, 900, 5, "x"),
    "/p/a/2.jpg": (400, 300, 7, ""),
    "/p/b/3.jpg": (400, 500, 9, "xy"),
    "/p/bb/4.jpg": (300, 999, 3, "x"),
}


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        (Rules(), 2),
        (Rules(first="oldest"), 3),
        (Rules(first="labels"), 2),
        (Rules("/p/a"), 1),
        (Rules("/p/a", "oldest"), 0),
        (Rules("/p/b", "oldest"), 2),
        (Rules("/p/bb"), 3),
        (Rules("/p/none", "oldest"), 3),
    ],
)
def test_proposals(rules, kept):
    group = [
        Member(Photo(path, "", size, time, tuple(labels)), "near", 0, 1)
        for path, (_, size, time, labels) in PHOTOS.items()
    ]

    def facts(photo):
        return Facts((PHOTOS[photo.path][0], 1), Dated(datetime(2024, 5, photo.mtime_ns), "file"))

    assert propose(group, rules, lambda p: p.labels, facts) == {kept}


def test_a_burst_is_kept():
    group = [
        Member(Photo(f"{place}.jpg", "", 5, 5), kind, 0, 1)
        for place, kind in enumerate(("first", "burst", "near", "burst"))
    ]
    day = Dated(datetime(2024, 5, 3), "camera")
    sides = {"0.jpg": 10, "1.jpg": 90, "2.jpg": 20, "3.jpg": 5}

    def facts(photo):
        return Facts((sides[photo.path], sides[photo.path]), day)

    assert propose(group, Rules(), lambda p: (), facts) == {1, 2, 3}


def test_the_oldest_is_the_one_taken_first(tmp_path):
    """By the camera; by the file where it does not say; of equal ones the older file."""
    day = 86400 * 10**9
    times = {"a.jpg": "2024:05:03 12:00:00", "b.jpg": "2024:05:02 12:00:00", "c.jpg": None,
             "d.jpg": "2024:05:02 12:00:00"}  # fmt: skip
    group = []
    for number, (name, taken) in enumerate(times.items()):
        exif = Image.Exif()
        if taken:
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
        Image.new("RGB", (30, 20)).save(tmp_path / name, exif=exif)
        group.append(
            Member(Photo(str(tmp_path / name), "", 5, (20000 - number) * day), "near", 0, 1)
        )

    def kept(*places):
        found = propose([group[p] for p in places], Rules(first="oldest"), lambda p: (), Facts.of)
        return {places[place] for place in found}

    assert [Facts.of(member.photo).dated.by for member in group] == [
        "camera", "camera", "file", "camera",
    ]  # fmt: skip
    assert Facts.of(group[0].photo).dated.at == datetime(2024, 5, 3, 12)
    assert kept(0, 1) == {1}
    assert kept(0, 1, 3) == {3}  # of one time: its file is older
    assert kept(0, 1, 2, 3) == {3}  # the file without a date is of October 2024
    assert Facts.of(group[2].photo).dated.at == datetime.fromtimestamp(19998 * 86400)
    old = Member(Photo(str(tmp_path / "c.jpg"), "", 5, 19000 * day), "near", 0, 1)
    group[2] = old  # of January 2022
    assert kept(0, 1, 2, 3) == {2}
    assert dated("/gone.jpg", 10**21) == Dated(datetime.max, "file")  # in the year 33,658


def test_a_tie_and_a_link(tmp_path):
    """Of equal ones the first; never a link."""
    Image.new("RGB", (30, 20)).save(tmp_path / "b.png")
    (tmp_path / "a.png").symlink_to("b.png")
    group = [
        Member(Photo(str(tmp_path / name), "", 5, 5), "copy", 0, 1)
        for name in ("a.png", "b.png", "b.png")
    ]
    assert propose(group, Rules(), lambda p: (), Facts.of) == {1}
    assert picture_size(str(tmp_path / "b.png")) == (30, 20)
    (tmp_path / "b.png").write_bytes(b"none")
    assert picture_size(str(tmp_path / "b.png")) == picture_size("/gone.png") == (0, 0)


def group_of(*numbers):
    return frozenset(f"{number:064x}" for number in numbers)


def test_kept_groups_do_not_come_back(tmp_path):
    """Nor parts of them; but one with a new content does. Undone, it is as before."""
    kept = KeptGroups(tmp_path / "work")
    kept.keep(group_of(1, 2, 3))
    kept.keep(group_of(4))
    kept = KeptGroups(tmp_path / "work")
    assert group_of(1, 2, 3) in kept
    assert group_of(2, 3) in kept
    assert group_of(4) in kept
    assert group_of(1, 4) not in kept
    assert group_of(1, 2, 3, 5) not in kept
    kept.keep(group_of(1, 2, 3), undo=True)
    again = KeptGroups(tmp_path / "work")
    assert again.steps == kept.steps
    assert group_of(1, 2) not in again
    assert group_of(4) in again
    path = tmp_path / "work" / "kept_duplicates.jsonl"
    whole = path.read_text()
    for line in ('{"at": "", "kept": ["x"], "undo": false}', '{"at": "", "kept": [], "undo": true}',
                 '{"kept": 3}'):  # fmt: skip
        path.write_text(f"{whole}{line}\n")
        with pytest.raises(RunError, match="line 4: damaged; move the file away"):
            KeptGroups(tmp_path / "work")


def test_what_is_handed_on():
    one, two, three = (Photo(f"/{n}.jpg", "", 0, 0, labels) for n, labels in
                       (("a", ("x",)), ("b", ("y", "x")), ("c", ("z",))))  # fmt: skip
    of = lambda photo: photo.labels  # noqa: E731
    assert handed_on([one, two], [three, two], of) == [
        LabelChange("/a.jpg", ("x",), ("x", "z", "y")),
        LabelChange("/b.jpg", ("y", "x"), ("y", "x", "z")),
    ]
    assert handed_on([two], [one], of) == []


@pytest.fixture
def indexed(tmp_path):
    """An index of two photos, one with a label; and its place."""

    class Encoder:
        bits, appearance_bits, image_size, model_id = 8, 0, 4, "abc"
        path = tmp_path / "fake.onnx"

        def full_codes(self, images):
            return np.zeros((len(images), 1), np.uint8)

    Encoder.path.write_bytes(b"fake")
    for name in "ab":
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.new("RGB", (5, 5), "red" if name == "a" else "blue").save(
            tmp_path / "photos" / f"{name}.png"
        )
    place = str(tmp_path / "index")
    with PhotoIndex.open(place, Encoder()) as index:
        given = {str(tmp_path / "photos" / "b.png"): ("dog",)}
        index.sync(Encoder(), [tmp_path / "photos"], labels=lambda paths: given)
    return place


def photos_in(place):
    with PhotoIndex.open(place) as index:
        return [photo for _, photo in sorted(index.photos.in_memory().items())]


def test_labels_of_an_index(indexed):
    a, b = photos_in(indexed)
    labels = IndexLabels(indexed)
    change = LabelChange(a.path, (), ("dog",))
    labels.change([change, LabelChange(b.path, ("cat",), ())])
    assert [photo.labels for photo in photos_in(indexed)] == [("dog",), ("dog",)]
    assert labels.of(a) == ("dog",)  # of a photo as it was read before
    with (
        only_one(Path(indexed) / ".lock", "index"),
        pytest.raises(RunError, match="is in use by another process"),
    ):
        labels.change([change.back()])
    labels.change([change.back()])
    assert [photo.labels for photo in photos_in(indexed)] == [(), ("dog",)]
    assert labels.of(a) == ()


def test_labels_that_another_process_has_put_into_the_index(indexed):
    """Those of the photos as they were read are old then."""
    a, b = photos_in(indexed)
    labels = IndexLabels(indexed)
    with labels.held():
        assert labels.of(b) == ("dog",)
    IndexLabels(indexed).change([LabelChange(b.path, ("dog",), ("owl",))])
    assert labels.of(b) == ("dog",)
    with labels.held():
        assert handed_on([a], [b], labels.of) == [LabelChange(a.path, (), ("owl",))]


def test_labels_of_a_table(indexed, tmp_path):
    """Its columns and other rows stay; what is edited meanwhile is taken up."""
    a, b = photos_in(indexed)
    path = tmp_path / "labels.csv"
    path.write_text(f"path,stars,label\n{b.path},5,cat\n")
    labels = TableLabels(LabelTable(path), [os.path.dirname(a.path)])
    assert (labels.of(a), labels.of(b)) == ((), ("cat",))
    changes = handed_on([a], [b], labels.of)
    path.write_text(f"path,stars,label\n{b.path},4,cat\nc.png,,owl\n")
    labels.change(changes)
    whole = f"path,stars,label\n{b.path},4,cat\nc.png,,owl\n"
    assert path.read_text() == whole + "a.png,,cat\n"
    labels.change([change.back() for change in changes])
    assert path.read_text() == whole + "a.png,,\n"
    path.write_text(whole + "a.png,,mine\n")
    labels.change(changes)
    assert path.read_text() == whole + "a.png,,mine\n"
