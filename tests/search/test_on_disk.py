"""Duplicates are advice to delete: it holds for the disk as it is now, whatever was indexed."""

import json
import os
import random
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from ssah_tf.cli.app import app
from ssah_tf.search import on_disk
from ssah_tf.search.duplicates import find_duplicates
from ssah_tf.search.on_disk import Differences
from ssah_tf.search.photo_index import PhotoIndex

#: Twelve pictures that have nothing in common.
PICTURES = 12


class OneCode:
    """All images have one code, so that the pixels alone tell them apart."""

    bits, appearance_bits, image_size, model_id = 8, 0, 16, "abc"

    def __init__(self, folder):
        self.path = folder / "fake.onnx"
        self.path.write_bytes(b"fake")

    def full_codes(self, images):
        return np.zeros((len(images), 1), np.uint8)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Contents of image files, no two alike."""
    folder = tmp_path_factory.mktemp("pictures")
    found = []
    for seed in range(PICTURES):
        small = np.random.default_rng(seed).integers(0, 250, (8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize((48, 48), Image.Resampling.BICUBIC)
        image.save(folder / "one.png")
        found.append((folder / "one.png").read_bytes())
    return found


@pytest.fixture
def indexed(tmp_path):
    """A function that indexes folders."""

    def make(*folders):
        encoder = OneCode(tmp_path)
        with PhotoIndex.open(tmp_path / "index", encoder) as index:
            index.sync(encoder, folders)
        return PhotoIndex.open(tmp_path / "index")

    return make


def kinds(found, folder):
    return [
        [(os.path.relpath(m.photo.path, folder), m.kind) for m in group] for group in found.groups
    ]


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_file_is_one_member_however_it_is_reached(tmp_path, pictures, indexed):
    photos = tmp_path / "photos"
    put(photos / "b" / "0.png", pictures[0])
    put(photos / "b" / "1.png", pictures[1])
    put(photos / "c" / "1 copy.png", pictures[1])
    put(photos / "b" / "2.png", pictures[2])
    put(photos / "b" / "3.png", pictures[3])
    (photos / "a").symlink_to(photos / "b")  # a folder under two names, the link comes first
    put(photos / "best" / "3 copy.png", pictures[3])
    (photos / "best" / "0.png").symlink_to("../b/0.png")
    (photos / "best" / "1.png").symlink_to(photos / "b" / "1.png")
    os.link(photos / "b" / "2.png", photos / "best" / "2.png")
    found = find_duplicates(indexed(photos / "a", photos), 8)
    assert kinds(found, photos) == [
        [("b/1.png", "first"), ("c/1 copy.png", "copy")],
        [("b/3.png", "first"), ("best/3 copy.png", "copy")],
    ]
    assert not found.lost


def test_a_link_is_no_copy(tmp_path, pictures, indexed):
    """Its file lies outside the index, so that the link stands for it; it comes behind real files,
    is none of them, and takes no room."""
    for number in (1, 2):
        put(tmp_path / "outside" / f"{number}.png", pictures[0])
    put(tmp_path / "photos" / "z.png", pictures[0])
    for number in (1, 2):
        (tmp_path / "photos" / f"{number}.png").symlink_to(tmp_path / "outside" / f"{number}.png")
    found = find_duplicates(indexed(tmp_path / "photos"), 8)
    assert kinds(found, tmp_path / "photos") == [
        [("z.png", "first"), ("1.png", "link"), ("2.png", "link")]
    ]
    text = on_disk_summary(found)
    assert text.endswith("0 exact copies and 0 near duplicates, 2 links to copies, 0.0 MB.")


def on_disk_summary(found):
    from ssah_tf.search.duplicates import summary

    return summary(found.groups)


def test_what_is_gone_or_another_now_is_in_no_group(tmp_path, pictures, indexed):
    photos = tmp_path / "photos"
    for number in range(5):
        put(photos / f"{number}.png", pictures[number])
        put(photos / f"{number} copy.png", pictures[number])
    index = indexed(photos)
    (photos / "0.png").unlink()
    put(photos / "1.png", pictures[7])  # another size and time
    before = (photos / "2.png").stat()
    content = bytearray(pictures[2])
    content[-5] ^= 1  # as long, and as old
    put(photos / "2.png", bytes(content))
    os.utime(photos / "2.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    (photos / "3.png").unlink()
    (photos / "3.png").symlink_to("3 copy.png")
    os.utime(photos / "4.png", (1, 1))  # touched alone
    found = find_duplicates(index, 8)
    assert kinds(found, photos) == [[("4 copy.png", "first"), ("4.png", "copy")]]
    assert found.lost == Differences(
        missing=(str(photos / "0.png"),),
        changed=(
            str(photos / "1.png"),
            str(photos / "2.png"),
        ),
    )


def test_what_cannot_be_read_is_counted(tmp_path, pictures, indexed, monkeypatch):
    photos = tmp_path / "photos"
    for number in range(2):
        put(photos / f"{number}.png", pictures[0])
    index = indexed(photos)

    def broken(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(on_disk, "file_digest", broken)
    found = find_duplicates(index, 8)
    assert found.groups == []
    assert found.lost == Differences(
        unreadable=(
            str(photos / "0.png"),
            str(photos / "1.png"),
        )
    )


def test_the_disk_goes_while_pixels_are_compared(tmp_path, pictures, indexed, monkeypatch):
    """Without the first of a group, what is left are copies of each other."""
    from ssah_tf.search import duplicates

    photos = tmp_path / "photos"
    put(photos / "0.png", pictures[0])
    Image.open(photos / "0.png").resize((40, 40)).save(photos / "1 small.png")
    put(photos / "2 small.png", (photos / "1 small.png").read_bytes())
    put(photos / "3.png", pictures[3])
    put(photos / "4.png", pictures[3])
    index = indexed(photos)
    right = duplicates.near_duplicates

    def slow(*arguments):
        yield from list(right(*arguments))
        (photos / "0.png").unlink()
        put(photos / "4.png", pictures[4])

    whole = find_duplicates(index, 8)
    assert kinds(whole, photos) == [
        [("0.png", "first"), ("1 small.png", "near"), ("2 small.png", "copy")],
        [("3.png", "first"), ("4.png", "copy")],
    ]
    monkeypatch.setattr(duplicates, "near_duplicates", slow)
    found = find_duplicates(index, 8)
    assert kinds(found, photos) == [[("1 small.png", "first"), ("2 small.png", "copy")]]
    assert found.lost == Differences((str(photos / "0.png"),), (), (str(photos / "4.png"),))


@pytest.mark.parametrize("seed", range(40))
def test_to_delete_the_copies_destroys_no_content(tmp_path, pictures, indexed, seed):
    """Random trees with links of all kinds, changed at random after they were indexed."""
    draw = random.Random(seed)
    photos = tmp_path / "photos"
    for number in range(12):
        put(photos / draw.choice("abc") / f"{number}.png", pictures[draw.randrange(4)])

    def files():
        return [Path(d, f) for d, _, names in os.walk(photos) for f in sorted(names)]

    def new_name():
        return photos / draw.choice("abc") / f"n{draw.randrange(10**9)}.png"

    for number in range(6):
        target, name = draw.choice(files()), photos / draw.choice("abc") / f"l{number}.png"
        name.parent.mkdir(exist_ok=True)
        if draw.random() < 0.5:
            name.symlink_to(target)
        else:
            os.link(os.path.realpath(target), name)
    (photos / "0 link").symlink_to(photos / "a")
    (photos / "a").mkdir(exist_ok=True)
    index = indexed(photos / "0 link", photos)
    for _ in range(draw.randrange(7)):
        path = draw.choice(files())
        what = draw.choice(["delete", "rename", "overwrite", "in place", "swap", "touch"])
        if what == "delete":
            path.unlink()
        elif what == "rename":
            path.rename(new_name())
        elif what == "overwrite":
            path.unlink()
            put(path, pictures[draw.randrange(4)])
        elif what == "in place" and path.exists():
            before = path.stat()
            path.write_bytes(pictures[draw.randrange(4)])
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        elif what == "swap":
            other = draw.choice(files())
            if other != path:
                path.rename(photos / "waiting")
                other.rename(path)
                (photos / "waiting").rename(other)
        elif path.exists():
            os.utime(path, (draw.randrange(1, 9), 1))

    def contents():
        real = [path for path in files() if path.is_file() and not path.is_symlink()]
        return {sha256(path.read_bytes()).hexdigest() for path in real}

    before = contents()
    found = find_duplicates(index, 8)
    for group in found.groups:
        real = [os.stat(m.photo.path) for m in group]
        assert len({(one.st_dev, one.st_ino) for one in real}) == len(group)
        for member in group:
            if member.kind == "copy":
                assert not os.path.islink(member.photo.path)
                os.unlink(member.photo.path)
    assert contents() == before


@pytest.mark.parametrize(
    ("lost", "text"),
    [
        (
            Differences(
                missing=(
                    "/p/a",
                    "/p/b",
                    "/p/c",
                ),
                changed=("/p/d",),
            ),
            "3 photos are missing and 1 has changed since the index was made, for example /p/a; "
            "left out here: mount the disk if it is away, else run `ssah index` again",
        ),
        (
            Differences(
                unreadable=("/p/\n",),
                changed=(
                    "b",
                    "c",
                ),
            ),
            "1 photo cannot be read and 2 have changed since the index was made, for example "
            "/p/\\n; left out here: run `ssah index` again",
        ),
        (
            Differences(("a",), ("b",), ("c",)),
            "1 photo is missing, 1 cannot be read and 1 has changed since the index was made, for "
            "example a; left out here: mount the disk if it is away, else run `ssah index` again",
        ),
        (Differences(), ""),
    ],
)
def test_what_is_said_of_it(lost, text):
    assert str(lost) == text
    assert bool(lost) == bool(text)


def test_exit_codes(tmp_path, pictures, indexed):
    photos = tmp_path / "photos"
    put(photos / "0.png", pictures[0])
    put(photos / "1.png", pictures[0])
    Image.open(photos / "0.png").resize((40, 40)).save(photos / "2.png")
    indexed(photos).close()
    call = ["duplicates", str(tmp_path / "index"), "--json", "--csv", str(tmp_path / "d.csv")]
    call += ["--html", str(tmp_path / "d.html")]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0
    assert [row["kind"] for row in json.loads(done.stdout)] == ["first", "copy", "near"]

    photos.rename(tmp_path / "away")
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 3
    assert json.loads(done.stdout) == []
    assert "3 photos are missing since the index was made" in done.stderr
    assert len((tmp_path / "d.csv").read_text().splitlines()) == 1
    assert "3 photos are missing" in (tmp_path / "d.html").read_text()
