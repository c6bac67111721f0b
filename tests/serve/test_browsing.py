"""Photos by date and folder, over HTTP; originals and places only where they are allowed."""

import os
import tempfile

import pytest
from PIL import ExifTags, Image

from ssah_tf.serve.originals import checked_copy
from ssah_tf.serve.pictures import Refused

TAGS, GPS = ExifTags.Base, ExifTags.GPS
#: Path -> date that the camera says; the others are of 2021-03-04.
TAKEN = {
    "red/1.png": "2024:05:03 12:00:00",
    "red/2.png": "2024:05:09 12:00:00",
    "blue/0.png": "2023:12:31 23:59:59",
}
#: Where the first of them was taken.
PLACE = {
    GPS.GPSLatitudeRef: "S", GPS.GPSLatitude: (33.0, 51.0, 0.0),
    GPS.GPSLongitudeRef: "E", GPS.GPSLongitude: (151.0, 12.0, 0.0),
}  # fmt: skip


@pytest.fixture
def dated(own):
    """An index of photos with dates."""
    for path, colour in own.colours.items():
        exif = Image.Exif()
        if path in TAKEN:
            exif[TAGS.Model] = "X100"
            exif.get_ifd(ExifTags.IFD.Exif)[TAGS.DateTimeOriginal] = TAKEN[path]
        if path == "red/1.png":
            exif.get_ifd(ExifTags.IFD.GPSInfo).update(PLACE)
        Image.new("RGB", (12, 12), colour).save(own.photos / path, exif=exif.tobytes())
        os.utime(own.photos / path, (1614859200, 1614859200))  # 12:00 UTC
    own.sync()
    return own


def paths(answer):
    return [photo["path"] for photo in answer.json()]


def test_by_date(dated, client):
    http = client(dated)
    # Those of one second: the last one indexed first.
    rest = [path for path in dated.colours if path not in TAKEN][::-1]
    newest = ["red/2.png", "red/1.png", "blue/0.png", *rest]
    first = http.get("/photos?order=newest&count=4")
    assert paths(first) == newest[:4]
    about = first.json()[0]
    assert (about["taken"], about["taken_from"], about["camera"]) == (
        "2024-05-09T12:00:00", "exif", "X100"
    )  # fmt: skip
    assert first.json()[3]["taken_from"] == "file"
    last = first.json()[3]["id"]
    assert paths(http.get(f"/photos?order=newest&after={last}")) == newest[4:]
    assert paths(http.get("/photos?order=oldest")) == newest[::-1]
    red = http.get("/photos?order=newest&filter=label=red&count=3").json()
    assert [photo["path"] for photo in red] == ["red/2.png", "red/1.png", "red/3.png"]
    # Behind a photo that does not meet the conditions.
    after = f"/photos?order=newest&filter=label=red&after={last}"
    assert paths(http.get(after)) == [path for path in newest[4:] if path.startswith("red")]
    assert paths(http.get("/photos?order=newest&filter=date%3E=2023&filter=date%3C2024-05-09")) == [
        "red/1.png", "blue/0.png"
    ]  # fmt: skip
    assert http.get("/photos?order=newest&after=99").status_code == 404
    assert http.get("/photos?order=size").status_code == 422
    assert "expected a date" in http.get("/photos?filter=date%3E=may").json()["error"]
    assert http.get("/months").json() == [
        {"month": "2024-05", "photos": 2},
        {"month": "2023-12", "photos": 1},
        {"month": "2021-03", "photos": 7},
    ]
    assert http.get("/months?filter=path=BLUE").json() == [
        {"month": "2023-12", "photos": 1},
        {"month": "2021-03", "photos": 2},
    ]


def test_by_folder(dated, client):
    http = client(dated)
    found = http.get("/folders").json()
    assert [(one["folder"], one["photos"], one["cover"]["path"]) for one in found] == [
        ("blue", 3, "blue/0.png"), ("green", 3, "green/2.png"), ("red", 4, "red/2.png")
    ]  # fmt: skip
    assert paths(http.get("/photos?order=newest&filter=folder=red"))[:2] == [
        "red/2.png",
        "red/1.png",
    ]
    assert [one["folder"] for one in http.get("/folders?filter=date=2024").json()] == ["red"]
    found = http.post("/search?id=0&k=9&filter=folder=blue").json()["neighbours"]
    assert {photo["path"] for photo in found} == {"blue/0.png", "blue/1.png", "blue/2.png"}


def test_photos_without_a_date_come_last(dated, client, monkeypatch):
    for path in ("red/0.png", "green/0.png"):
        os.utime(dated.photos / path, (0, 0))  # so that their files are asked again
    monkeypatch.setattr("ssah_tf.search.dates.file_date", lambda mtime_ns: "")
    dated.sync()
    http = client(dated)
    without = {"red/0.png", "green/0.png"}
    for order in ("newest", "oldest"):
        assert set(paths(http.get(f"/photos?order={order}"))[-2:]) == without
    assert http.get("/months").json()[-1] == {"month": "", "photos": 2}
    assert without.isdisjoint(paths(http.get("/photos?filter=date%3C=2100")))


def test_originals_and_places_stay_unless_they_are_allowed(dated, client):
    http = client(dated)
    about = http.get("/about").json()
    assert (about["originals"], about["show_place"]) == (False, False)
    for what in ("original", "place"):
        assert http.get(f"/photos/0/{what}").status_code == 404
    paths = http.get("/openapi.json").json()["paths"]
    assert not {path for path in paths if path.endswith(("original", "place"))}


def test_originals(dated, client, tmp_path):
    odd = dated.photos / 'red/a "ü";\r\n.png'
    Image.new("RGB", (3, 3), (1, 2, 3)).save(odd)
    dated.sync()
    http = client(dated, originals=True)
    ids = {photo["path"]: photo["id"] for photo in http.get("/photos").json()}

    def original(path, more=""):
        return http.get(f"/photos/{ids[path]}/original{more}")

    for path, number in ids.items():
        answer = http.get(f"/photos/{number}/original")
        assert answer.content == (dated.photos / path).read_bytes()
        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith("default-src 'none';")
        assert answer.headers["content-security-policy"].endswith("; sandbox")
        assert answer.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
        assert answer.headers["cache-control"] == "no-store"
    name = original('red/a "ü";\r\n.png').headers["content-disposition"].partition("''")[2]
    assert original("red/1.png", "?show=1").headers["content-disposition"] == (
        "inline; filename*=UTF-8''1.png"
    )
    assert name == "a%20%22%C3%BC%22%3B%0D%0A.png"

    # Another content, of the same size too; gone; a link that leads out.
    content = (dated.photos / "red/0.png").read_bytes()
    for other in (content + b"x", content[:-1], content[:-1] + b"?"):
        (dated.photos / "red/0.png").write_bytes(other)
        answer = original("red/0.png")
        assert answer.status_code == 410
        assert "is not what it was" in answer.json()["error"]
    (dated.photos / "red/0.png").unlink()
    assert original("red/0.png").status_code == 410
    (tmp_path / "outside.png").write_bytes(content)
    (dated.photos / "red/0.png").symlink_to(tmp_path / "outside.png")
    assert original("red/0.png").status_code == 410


def test_a_copy_that_cannot_be_made_is_told(dated, client, monkeypatch):
    live = client(dated, originals=True)
    assert live.get("/photos/0/original").status_code == 200

    class Full(tempfile.SpooledTemporaryFile):
        def write(self, content):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("ssah_tf.serve.originals.SpooledTemporaryFile", Full)
    answer = live.get("/photos/0/original")
    assert (answer.status_code, answer.json()["error"]) == (
        410, "the file of this photo cannot be read (No space left on device)"
    )  # fmt: skip


def test_what_grows_is_not_copied_to_its_end(dated, monkeypatch):
    """No more is read than the size that it had."""
    from ssah_tf.search.photo_index import PhotoIndex

    index = PhotoIndex.open(dated.folder)
    photo = index.photos[0]
    with open(photo.path, "ab") as stream:
        stream.truncate(2**40)  # takes no room
    with pytest.raises(Refused, match="is not what it was"):
        checked_copy(photo, [str(dated.photos)])


def test_a_page_is_no_page_when_it_is_sent_as_a_photo(dated, client):
    """A file that is a picture and a web page at once comes as a picture that may run nothing."""
    content = dated.body(9, 9, 9, kind="GIF") + b"<html><script>alert(1)</script>"
    (dated.photos / "red/both.html.gif").write_bytes(content)
    dated.sync()
    http = client(dated, originals=True)
    (photo,) = http.get("/photos?filter=path=both").json()
    answer = http.get(f"/photos/{photo['id']}/original?show=1")
    assert answer.content == content
    assert answer.headers["content-type"] == "image/gif"
    assert "sandbox" in answer.headers["content-security-policy"]


def test_places(dated, client):
    http = client(dated, show_place=True)
    ids = {photo["path"]: photo["id"] for photo in http.get("/photos").json()}
    found = http.get(f"/photos/{ids['red/1.png']}/place").json()
    assert found == {"latitude": pytest.approx(-33.85), "longitude": pytest.approx(151.2)}
    nothing = {"latitude": None, "longitude": None}
    assert http.get(f"/photos/{ids['red/2.png']}/place").json() == nothing
    (dated.photos / "red/2.png").unlink()
    assert http.get(f"/photos/{ids['red/2.png']}/place").status_code == 410


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        ("", "/"),
        ("?id=7&label=a%26b", "/?id=7&label=a%26b"),
        ("docs", "/docs"),
        ("/evil.example", "/"),
        ("//evil.example", "/"),
        ("\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("@evil.example", "/"),
        (".evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("photos/1/image", "/"),
        ("?a\r\nset-cookie: x=y", "/?a%0D%0Aset-cookie:%20x=y"),
    ],
)
def test_login_leads_on_to_what_was_asked_for(shared, client, asked, location):
    token = "0123456789abcdef"
    http = client(shared, token=token)
    how = {"params": {"next": asked}, "follow_redirects": False}
    answer = http.post("/login", data={"token": token}, **how)
    assert (answer.status_code, answer.headers["location"]) == (303, location)
    assert set(answer.cookies) == {"ssah_session"}
    wrong = http.post("/login", data={"token": "wrong"}, **how)
    again = http.post(wrong.headers["location"], data={"token": token}, follow_redirects=False)
    assert again.headers["location"] == location


def test_a_page_without_the_token_is_remembered(shared, client):
    http = client(shared, token="0123456789abcdef")
    answer = http.get("/?id=7&path=a%26b", follow_redirects=False)
    assert answer.headers["location"] == "/login?next=%3Fid%3D7%26path%3Da%2526b"
    assert http.get("/docs", follow_redirects=False).headers["location"] == "/login?next=docs"
