"""Dates and cameras of an index: from EXIF, else from the file; older indexes read them later."""

import json
import os
import time

import pytest
from PIL import ExifTags, Image
from pyarrow import parquet

from ssah_tf.data.capture_time import parse_moment
from ssah_tf.search.dates import dated, exif_date, file_date
from ssah_tf.search.filters import has_word
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import LATER, Photo
from ssah_tf.system.errors import SsahError
from ssah_tf.system.files import checksum

TAGS = ExifTags.Base
#: Name -> what its EXIF data say: date, offset, model.
PHOTOS = {
    "2023/may/IMG_1.jpg": ("2023:05:31 23:59:59", "+02:00", "X100"),
    "2024/Strand/img_2.jpg": ("2024:01:01 00:00:00", None, "X100"),
    "2024/a.jpg": ("2024:05:03 12:33:10", "-08:00", None),
    "plain.png": None,
}


@pytest.fixture
def berlin(monkeypatch):
    """The clock of this machine is that of Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def photos(tmp_path, berlin):
    """A folder of such photos; those without a date were written on 2020-07-01."""
    folder = tmp_path / "photos"
    for grey, (name, said) in enumerate(PHOTOS.items()):
        exif = Image.Exif()
        if said is not None:
            exif[TAGS.Model] = said[2] or ""
            more = {TAGS.DateTimeOriginal: said[0], TAGS.OffsetTimeOriginal: said[1]}
            exif.get_ifd(ExifTags.IFD.Exif).update({k: v for k, v in more.items() if v})
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (5, 5), grey).save(folder / name, exif=exif.tobytes())
        os.utime(folder / name, (1593597600, 1593597600))  # 10:00 UTC
    return folder


@pytest.fixture
def index(photos, encoder, tmp_path):
    """An index of them."""
    opened = PhotoIndex.open(tmp_path / "index", encoder)
    opened.sync(encoder, [photos])
    return opened


def said(index):
    """Name -> date, what says so, and camera."""
    folder = f"{index.base}/"
    rows = index.photos.in_memory().values()
    assert list(rows) == [index.photos[n] for n in index.photos]  # both ways to read it
    return {p.path.removeprefix(folder): (p.taken, p.taken_from, p.camera) for p in rows}


ALL = {
    "2023/may/IMG_1.jpg": ("2023-05-31T23:59:59+02:00", "exif", "X100"),
    "2024/Strand/img_2.jpg": ("2024-01-01T00:00:00", "exif", "X100"),
    "2024/a.jpg": ("2024-05-03T12:33:10-08:00", "exif", ""),
    "plain.png": ("2020-07-01T12:00:00+02:00", "file", ""),
}


def test_dates_are_read_and_kept(index, photos, encoder, tmp_path):
    assert said(index) == ALL
    os.rename(photos / "plain.png", photos / "moved.png")
    (photos / "2024/a.jpg").unlink()
    other = PhotoIndex.open(tmp_path / "index")
    other.sync(encoder, [photos])
    left = {("moved.png" if name == "plain.png" else name): what for name, what in ALL.items()}
    del left["2024/a.jpg"]
    assert said(other) == left
    assert other.missing.rows[2].photo.taken == ALL["2024/a.jpg"][0]
    os.utime(photos / "moved.png", (0, 0))
    assert other.sync(encoder, [photos]).kept == 3
    assert said(other)["moved.png"] == ("1970-01-01T01:00:00+01:00", "file", "")
    before = said(other)
    other.migrate(encoder)
    assert said(PhotoIndex.open(tmp_path / "index")) == before


def test_an_older_index_is_read_and_gets_dates_without_encoding(
    index, photos, encoder, tmp_path, monkeypatch
):
    manifest = tmp_path / "index" / "photos.json"
    about = json.loads(manifest.read_text())
    place = tmp_path / "index" / about["codes"]
    for name in ("photos", "missing"):
        file = place / f"{name}.parquet"
        parquet.write_table(parquet.read_table(file).drop_columns(list(LATER)), file)
        about[name]["sha256"] = checksum(file)
    manifest.write_text(json.dumps(about | {"format": 5}))
    older = PhotoIndex.open(tmp_path / "index")
    assert set(said(older).values()) == {("", "", "")}
    with pytest.raises(SsahError, match="the index has no dates yet: run `ssah index` again"):
        older.ids(["date=2024"])

    def encodes(images):
        raise AssertionError("encoded anew")

    monkeypatch.setattr(encoder, "full_codes", encodes)
    assert older.sync(encoder, [photos]).kept == len(ALL)
    assert said(PhotoIndex.open(tmp_path / "index")) == ALL


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("date>=2024-01-01", ["2024/Strand/img_2.jpg", "2024/a.jpg"]),
        ("date>2024-01-01", ["2024/a.jpg"]),
        ("date>2023", ["2024/Strand/img_2.jpg", "2024/a.jpg"]),
        ("date<2023", ["plain.png"]),
        ("date<=2023", ["2023/may/IMG_1.jpg", "plain.png"]),
        ("date=2023-05-31", ["2023/may/IMG_1.jpg"]),
        ("date=2024", ["2024/Strand/img_2.jpg", "2024/a.jpg"]),
        ("date = 2024-05 ", ["2024/a.jpg"]),
        ("path=img", ["2023/may/IMG_1.jpg", "2024/Strand/img_2.jpg"]),
        ("path=strand/IMG", ["2024/Strand/img_2.jpg"]),
        ("path=*/IMG_?.*", ["2023/may/IMG_1.jpg"]),
        ("path=photos", []),
        ("path=/photos/2024", ["2024/Strand/img_2.jpg", "2024/a.jpg"]),
        ("path={base}/2024/a", ["2024/a.jpg"]),
        ("path={base}/2024", ["2024/Strand/img_2.jpg", "2024/a.jpg"]),
        ("folder=2024", ["2024/Strand/img_2.jpg", "2024/a.jpg"]),
        ("folder=2024/Strand/", ["2024/Strand/img_2.jpg"]),
        ("folder=202", []),
        ("folder=Strand", []),
        ("folder={base}/2023", ["2023/may/IMG_1.jpg"]),
        ("folder=.", list(PHOTOS)),
    ],
)
def test_conditions(index, condition, names):
    ids = index.ids([condition.format(base=index.base)])
    found = {index.photos[n].path.removeprefix(f"{index.base}/") for n in ids.tolist()}
    assert found == set(names)


def test_a_word_is_found_however_its_letters_are_composed(index):
    path = index.photos[0].path

    class Two:
        def paths(self):
            return [
                f"/base/Cafe\u0301/{os.path.basename(path)}",
                "/base/STRASSE.jpg",
                "/base/\udcff",
            ]

        def __len__(self):
            return 3

    assert has_word(Two(), "CAF\u00c9", "/base").tolist() == [True, False, False]
    assert has_word(Two(), "straße", "/base").tolist() == [False, True, False]
    assert has_word(Two(), "base", "/base").tolist() == [False, False, False]


@pytest.mark.parametrize(
    "condition", ["date>=", "date=may", "date<2024-5", "date=2024-13", "date>2024-02-30x"]
)
def test_what_is_no_date(index, condition):
    with pytest.raises(SsahError, match="expected a date such as 2024-05-31, 2024-05 or 2024"):
        index.ids([condition])


@pytest.mark.parametrize(
    "condition", ["path=", "folder=", "path>a", "label<b", "folder>a", "when=1"]
)
def test_what_is_no_condition(index, condition):
    with pytest.raises(SsahError, match="expected label=NAME") as caught:
        index.ids([condition])
    assert len(str(caught.value).splitlines()) == 1


def test_dates_that_are_none():
    assert file_date(10**21) == ""
    assert file_date(-(10**21)) == ""
    odd = parse_moment("2024:05:03 12:33:10", None, "+99:00")
    assert exif_date(odd) == "2024-05-03T12:33:10"
    photo = dated(Photo("/none.jpg", "0" * 64, 1, 10**21))
    assert (photo.taken, photo.taken_from, photo.camera) == ("", "none", "")
