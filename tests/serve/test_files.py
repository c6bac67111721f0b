"""Which files are shown, and the index that changes under the service."""

import io
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.serve.library import LiveLibrary
from ssah_tf.serve.pictures import Refused, open_inside


def number_of(index, path):
    return list(index.colours).index(path)


def test_a_photo_that_became_something_else_is_refused(own, client, tmp_path):
    """A link out of the folder, to a text, a picture or a folder; a pipe; a text; nothing."""
    http = client(own)
    secret = tmp_path / "secret.png"
    Image.new("RGB", (9, 9), "white").save(secret)
    outside = tmp_path / "outside"
    shutil.copytree(own.photos / "red", outside)
    photo = own.photos / "red" / "1.png"
    number = number_of(own, "red/1.png")

    def answers():
        return {http.get(f"/photos/{number}/{kind}").status_code for kind in ("image", "thumbnail")}

    assert answers() == {200}
    for make in (
        lambda: photo.symlink_to("/etc/passwd"),
        lambda: photo.symlink_to(secret),
        lambda: photo.symlink_to("../../secret.png"),
        lambda: photo.symlink_to(photo),
        lambda: photo.symlink_to("/dev/zero"),
        lambda: os.mkfifo(photo),
        lambda: photo.mkdir(),
        lambda: None,
    ):
        photo.rmdir() if photo.is_dir() and not photo.is_symlink() else photo.unlink(
            missing_ok=True
        )
        make()
        assert answers() == {410}
        text = http.get(f"/photos/{number}/image").json()["error"]
        assert text.endswith("run `ssah index` again")
        assert str(own.root) not in text
    photo.write_text("root:x:0:0")  # inside, but no picture: none of it leaves
    assert answers() == {422}
    photo.unlink()
    photo.symlink_to("2.png")  # a link within the folder of photos is what it leads to
    assert answers() == {200}
    # The whole folder exchanged for a link to one with pictures of the same names.
    (own.photos / "red").rename(own.photos / "before")
    (own.photos / "red").symlink_to(outside)
    assert answers() == {410}
    assert http.get(f"/photos/{number_of(own, 'red/2.png')}/image").status_code == 410


def test_open_inside(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    (root / "a").write_bytes(b"a")
    (tmp_path / "photos2").mkdir()
    (tmp_path / "photos2" / "a").write_bytes(b"b")
    with open_inside(str(root / "a"), [str(root)]) as stream:
        assert stream.read() == b"a"
    with open_inside(str(root / "a"), [str(root / "a")]) as stream:  # a file that was indexed alone
        assert stream.read() == b"a"
    for path in ("../photos2/a", "../photos/../photos2/a", "b", ".", "a/b", "a\0"):
        with pytest.raises(Refused):
            open_inside(f"{root}/{path}", [str(root)])
    with pytest.raises(Refused):
        open_inside(str(root / "a"), [])


def test_pictures_are_drawn_anew(own, client):
    """Upright, of a size for a screen, without the place where they were taken."""
    photo = own.photos / "red" / "0.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    exif[0x010E] = "secret place"
    picture = Image.new("RGB", (4000, 3000), "red")
    picture.save(photo.with_suffix(".jpg"), exif=exif, comment=b"secret place")
    own.sync()
    http = client(own)
    found = http.get("/photos?filter=path=*.jpg").json()
    for kind, size in (("image", (1536, 2048)), ("thumbnail", (320, 320))):
        answer = http.get(found[0][kind])
        assert answer.headers["content-type"] == "image/jpeg"
        assert b"secret" not in answer.content
        assert Image.open(io.BytesIO(answer.content)).size == size
        assert not Image.open(io.BytesIO(answer.content)).getexif()


def test_the_index_is_taken_anew(own, client):
    """New photos, other ones, none; a damaged index leaves the old one in its place."""
    live = LiveLibrary(own.folder)
    first = live.current
    assert not live.refresh()
    Image.new("RGB", (12, 12), (77, 77, 77)).save(own.photos / "red" / "grey.png")
    own.sync()
    assert live.refresh()
    assert (len(first), len(live.current), live.reloads) == (10, 11, 1)
    assert live.current.encoder is first.encoder
    code = np.array([[0, 0, 0]], np.uint8)
    assert len(first.index.neighbours(code, 20)[0]) == 10  # a request that has it goes on with it
    assert live.current.find("red/grey.png") is not None
    manifest = own.folder / "photos.json"
    content = manifest.read_bytes()
    manifest.write_text("{}")
    assert not live.refresh()
    assert "run `ssah index` again" in live.error
    assert len(live.current) == 11
    manifest.unlink()
    assert not live.refresh()
    manifest.write_bytes(content)
    assert live.refresh()
    assert live.error == ""
    for path in own.photos.rglob("*.png"):
        if path.name != "0.png":
            path.unlink()
    own.sync()
    assert live.refresh()
    assert len(live.current) == 3


def test_names_that_are_not_text(own, client):
    """File systems allow any bytes; they are shown as text, and found by it."""
    name = os.fsencode(own.photos) + b"/red/\xff <b>\n.png"
    shutil.copy(own.photos / "red" / "0.png", name)
    own.sync()
    http = client(own)
    (found,) = http.get("/photos?filter=path=*<b>*").json()
    assert found["path"] == "red/\ufffd <b>\n.png"
    answer = http.post("/search", params={"path": found["path"], "k": 1})
    assert answer.json()["query"]["photo"]["id"] == found["id"]
    assert http.get(found["thumbnail"]).status_code == 200


def test_several_roots(own, client, tmp_path):
    """Paths are shown from the folder that holds all of them; one file alone may be indexed."""
    Image.new("RGB", (9, 9), "white").save(tmp_path / "alone.png")
    Image.new("RGB", (9, 9), "white").save(tmp_path / "beside.png")
    index = PhotoIndex.open(own.folder, own.encoder)
    index.sync(own.encoder, [own.photos / "red", tmp_path / "alone.png"])
    http = client(own)
    paths = {photo["path"]: photo for photo in http.get("/photos").json()}
    assert set(paths) == {"alone.png", *(f"photos/red/{i}.png" for i in range(4))}
    address = paths["alone.png"]["image"]
    assert http.get(address).status_code == 200
    (tmp_path / "alone.png").unlink()
    (tmp_path / "alone.png").symlink_to("beside.png")
    assert http.get(address).status_code == 410


def test_an_index_without_photos(tmp_path, own, client):
    empty = SimpleNamespace(folder=tmp_path / "empty")
    index = PhotoIndex.open(empty.folder, own.encoder)
    index.storage.keep_encoder(own.encoder)
    index.save()
    http = client(empty)
    for address in ("/photos", "/photos?order=newest", "/photos?order=oldest"):
        assert http.get(address).json() == []
    assert http.get("/months").json() == http.get("/folders").json() == []
    assert http.get("/about").json()["labels"] == {}
    answer = http.post("/search", content=own.body(1, 2, 3))
    assert answer.json()["neighbours"] == []
