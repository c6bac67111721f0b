"""Photos are set aside and brought back: whole, with what belongs to them, nothing overwritten."""

import errno
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from ssah_tf.search.review import set_aside as module
from ssah_tf.search.review.labels import LabelChange
from ssah_tf.search.review.set_aside import SetAside
from ssah_tf.system import move_file
from ssah_tf.system.errors import DataError, RunError
from ssah_tf.system.move_file import Changed


class Labels:
    """Labels in memory."""

    def __init__(self, **named):
        self.named = {f"{name}.jpg": tuple(labels) for name, labels in named.items()}
        self.full = False
        self.others: list[dict[str, tuple[str, ...]]] = []

    @contextmanager
    def held(self):
        """Others change labels just before."""
        self.named |= self.others.pop(0) if self.others else {}
        yield

    def of(self, photo):
        return self.named.get(os.path.basename(photo.path), ())

    def change(self, changes):
        if self.full and changes:
            raise RunError("labels.csv: cannot be written (No space left on device)")
        for change in changes:
            name = os.path.basename(change.path)
            if self.named.get(name, ()) == change.before:
                self.named[name] = change.after


def aside_of(tree, labels=None):
    return SetAside(tree.aside, labels)


@pytest.mark.parametrize("links", ["hard links", "two_file_systems", "no_links"])
def test_there_and_back(tree, request, links):
    """With all that belongs to a photo, and its times; at the end only the journal is left."""
    if links != "hard links":
        request.getfixturevalue(links)
    keep = tree.put("a.jpg")
    one = tree.put("may/b.jpg", "may/b.xmp", "may/b.jpg.xmp", "may/b.AAE", "may/b.MOV", "may/b.CR2",
                   "may/b.CR2.xmp")  # fmt: skip
    two = tree.put("may/c.jpg")
    tree.put("may/bb.xmp", "may/d.xmp", "may/b.txt")
    for number, path in enumerate(tree.photos.rglob("*")):
        os.utime(path, ns=(number * 10**9, number * 10**9 + 5))
    one, two = tree.photo("may/b.jpg"), tree.photo("may/c.jpg")
    before = tree.files()
    aside = aside_of(tree)
    aside.set_aside([keep], [one, two], str(tree.photos))
    left = ["a.jpg", "may/b.txt", "may/bb.xmp", "may/d.xmp"]
    assert tree.names() == left
    assert tree.files(tree.aside) == {n: f for n, f in before.items() if n not in left}
    (step,) = aside_of(tree).steps
    assert aside.undo(step) == []
    assert tree.files() == before
    assert [path.name for path in tree.aside.iterdir()] == ["set_aside.jsonl"]
    assert aside.steps == aside_of(tree).steps == []


def test_what_belongs_to_another_picture_stays(tree):
    """The film of a HEIC file that stays is not that of its JPEG; together they go together."""
    keep = tree.put("a.jpg")
    jpeg = tree.put("b.jpg", "b.mov", "b.xmp", "b.jpg.xmp", "b.dng")
    heic = tree.put("b.heic")
    aside = aside_of(tree)
    aside.set_aside([keep, heic], [jpeg], str(tree.photos))
    assert tree.names(tree.aside) == ["b.jpg", "b.jpg.xmp"]
    aside.undo(aside.steps[-1])
    before = tree.files()
    aside.set_aside([keep], [jpeg, heic], str(tree.photos))
    assert tree.names() == ["a.jpg"]
    aside.undo(aside.steps[-1])
    assert tree.files() == before


def test_names_that_are_taken(tree):
    """Each side gets other names together; what is there stays."""
    keep = tree.put("a.jpg")
    tree.aside.mkdir()
    (tree.aside / "b.xmp").write_text("mine")
    aside = aside_of(tree)
    for content in (b"1", b"2"):
        photo = tree.put("b.jpg", "b.xmp", content=content)
        aside.set_aside([keep], [photo], str(tree.photos))
    assert {name: file[0] for name, file in tree.files(tree.aside).items()} == {
        "b (2).jpg": b"1", "b (2).xmp": b"1", "b (3).jpg": b"2", "b (3).xmp": b"2",
        "b.xmp": b"mine",
    }  # fmt: skip
    tree.put("b.jpg", content=b"new")
    count, said = aside_of(tree).restore(lambda done, total: None)
    assert count == 2
    assert {name: file[0] for name, file in tree.files().items()} == {
        "a.jpg": b"a.jpg", "b.jpg": b"new", "b (2).jpg": b"2", "b (2).xmp": b"2",
        "b (3).jpg": b"1", "b (3).xmp": b"1",
    }  # fmt: skip
    assert len(said) == 4
    assert said[0] == f"{tree.photos}/b.xmp is taken: what was there is {tree.photos}/b (2).xmp now"
    assert tree.names(tree.aside) == ["b.xmp"]


def test_the_same_content_in_its_old_place_is_no_reason_to_delete(tree):
    keep = tree.put("a.jpg")
    photo = tree.put("b.jpg")
    aside = aside_of(tree)
    aside.set_aside([keep], [photo], str(tree.photos))
    tree.put("b.jpg")
    aside.undo(aside.steps[0])
    assert tree.names() == ["a.jpg", "b (2).jpg", "b.jpg"]


def nothing_moved(tree, before, error, match, kept, moved):
    aside = aside_of(tree)
    with pytest.raises(error, match=match) as caught:
        aside.set_aside(kept, moved, str(tree.photos))
    assert len(str(caught.value).splitlines()) == 1
    assert tree.files() == before
    assert tree.names(tree.aside) == []
    assert aside_of(tree).steps == []


def test_the_last_real_file_never_moves(tree):
    """Looked at anew: links, what is gone, what is another, one file of two names."""
    a, b = tree.put("a.jpg", content=b"same"), tree.put("b.jpg", content=b"same")
    link = tree.photos / "link.jpg"
    link.symlink_to("b.jpg")
    linked = tree.photo("link.jpg")
    os.link(tree.photos / "b.jpg", tree.photos / "hard.jpg")
    hard = tree.photo("hard.jpg")
    (tree.root / "other").symlink_to(tree.photos)
    other = tree.photo("../other/b.jpg")
    before = tree.files()
    refused = [
        (DataError, "keep at least one real file of the group: a link is no copy", [], [a, b]),
        (DataError, "keep at least one real file", [linked], [b]),
        (DataError, "is a link, no file of its own", [a], [linked]),
        (DataError, "are one file", [hard], [b]),
        (DataError, "are one file", [other], [b]),
        (DataError, "are one file", [a, hard], [b]),
    ]
    for error, match, kept, moved in refused:
        nothing_moved(tree, before, error, match, kept, moved)
    (tree.photos / "a.jpg").write_bytes(b"SAME")  # as large
    before = tree.files()
    nothing_moved(tree, before, Changed, "a.jpg is gone or has changed", [a], [b])
    nothing_moved(tree, before, Changed, "a.jpg is gone or has changed", [b], [a])
    nothing_moved(tree, before, Changed, "a.jpg is gone or has changed", [b], [hard, a][1:])
    (tree.photos / "a.jpg").unlink()
    nothing_moved(tree, tree.files(), Changed, "a.jpg is gone or has changed", [a], [b])
    nothing_moved(tree, tree.files(), Changed, "a.jpg is gone or has changed", [b], [a])
    (tree.photos / "a.jpg").symlink_to("b.jpg")
    nothing_moved(tree, tree.files(), DataError, "a link is no copy", [a], [b])


@pytest.mark.parametrize("last", ["b.jpg", "c.jpg"])
def test_what_stays_is_looked_at_before_each_move(tree, monkeypatch, last):
    """It vanishes with a move, as if both were one on a disk mounted twice: what went is back."""
    keep = tree.put("a.jpg")
    moved = [tree.put("b.jpg", "b.xmp"), tree.put("c.jpg")]
    before, seen = tree.files(), []

    def vanishing(source, *rest):
        move_file.move(source, *rest)
        seen.append(source.name)
        if source.name == last:
            (tree.photos / "a.jpg").unlink()

    monkeypatch.setattr(module, "move", vanishing)
    del before["a.jpg"]
    nothing_moved(tree, before, Changed, "a.jpg is gone or has changed", [keep], moved)
    assert seen[-1] == last
    assert tree.names() == ["b.jpg", "b.xmp", "c.jpg"]


def test_a_file_that_changes_while_it_moves(tree, monkeypatch):
    keep, photo = tree.put("a.jpg"), tree.put("b.jpg")
    right = os.link

    def link(source, target):
        os.rename(tree.put("b2.jpg").path, source)  # another file has its name
        right(source, target)

    monkeypatch.setattr(os, "link", link)
    with pytest.raises(Changed, match=r"b.jpg is gone or has changed"):
        aside_of(tree).set_aside([keep], [photo], str(tree.photos))
    assert tree.names() == ["a.jpg", "b.jpg"]
    assert tree.names(tree.aside) == []


def test_a_copy_that_reads_differently(tree, two_file_systems, monkeypatch):
    keep, photo = tree.put("a.jpg"), tree.put("b.jpg")
    before = tree.files()
    monkeypatch.setattr(shutil, "copystat", lambda _, copy: Path(copy).write_bytes(b"bad"))
    nothing_moved(tree, before, RunError, r"b.jpg: cannot be moved \(the copy differs", [keep],
                  [photo])  # fmt: skip


def test_labels_go_to_what_is_kept_and_back(tree):
    labels = Labels(a=["sea"], b=["sea", "dog"], c=["cat"])
    keep, too = tree.put("a.jpg"), tree.put("k.jpg")
    moved = [tree.put("b.jpg"), tree.put("c.jpg")]
    aside = aside_of(tree, labels)
    step = aside.set_aside([keep, too], moved, str(tree.photos))
    given = {"a.jpg": ("sea", "dog", "cat"), "k.jpg": ("sea", "dog", "cat")}
    assert {name: labels.named[name] for name in given} == given
    path = keep.path
    assert step.labels[0] == LabelChange(path, ("sea",), ("sea", "dog", "cat"))
    labels.named["k.jpg"] = ("cat",)  # somebody else said something since
    aside.undo(aside.steps[0])
    assert labels.named == {
        "a.jpg": ("sea",), "k.jpg": ("cat",), "b.jpg": ("sea", "dog"), "c.jpg": ("cat",)
    }  # fmt: skip


def test_labels_that_others_change_meanwhile(tree):
    """What was said before it begins goes along; what is said while it moves is not lost."""
    keep, photo = tree.put("a.jpg"), tree.put("b.jpg")
    labels = Labels()
    labels.others = [{"b.jpg": ("dog",)}, {"b.jpg": ("dog", "cat")}]
    aside = aside_of(tree, labels)
    with pytest.raises(DataError, match="labels of these photos have just changed: do it once"):
        aside.set_aside([keep], [photo], str(tree.photos))
    assert tree.names() == ["a.jpg", "b.jpg"]
    assert labels.named == {"b.jpg": ("dog", "cat")}
    labels.others = [{}, {"c.jpg": ("sea",)}]  # of another photo
    aside.set_aside([keep], [photo], str(tree.photos))
    assert labels.named["a.jpg"] == ("dog", "cat")
    assert tree.names() == ["a.jpg"]


def test_labels_that_cannot_be_written(tree):
    labels = Labels(b=["dog"])
    keep, photo = tree.put("a.jpg"), tree.put("b.jpg")
    before = tree.files()
    labels.full = True
    with pytest.raises(RunError, match="No space left"):
        aside_of(tree, labels).set_aside([keep], [photo], str(tree.photos))
    assert tree.files() == before
    labels.full = False
    assert aside_of(tree, labels).steps == []
    assert labels.named == {"b.jpg": ("dog",)}


@pytest.mark.parametrize("room", range(0, 9000, 1000))
def test_a_full_disk(tree, two_file_systems, monkeypatch, room):
    """Wherever there is no room any more, nothing is lost; with room it goes on."""
    keep = tree.put("a.jpg")
    moved = [tree.put(f"{n}.jpg", f"{n}.xmp", content=bytes([n]) * 2000) for n in range(2)]
    before = tree.files()
    aside = aside_of(tree)
    monkeypatch.setattr(move_file, "BLOCK", 500)
    left = room

    def fsync(descriptor):
        nonlocal left
        where = os.readlink(f"/proc/self/fd/{descriptor}")
        if where.startswith(str(tree.aside)) and os.path.isfile(where):
            left -= os.fstat(descriptor).st_size
            if left < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(RunError, match="No space left on device"):
            aside.set_aside([keep], moved, str(tree.photos))
    assert tree.files() == before
    again = aside_of(tree)
    assert tree.files() == before
    assert tree.names(tree.aside) == []
    again.set_aside([keep], moved, str(tree.photos))
    assert tree.names() == ["a.jpg"]
    assert again.restore(lambda done, total: None) == (2, [])
    assert tree.files() == before


def test_what_was_taken_out_of_the_folder_is_told(tree):
    keep = tree.put("a.jpg")
    moved = [tree.put("b.jpg", "b.xmp"), tree.put("c.jpg")]
    aside = aside_of(tree)
    aside.set_aside([keep], moved, str(tree.photos))
    (tree.aside / "b.jpg").unlink()
    count, said = aside.restore(lambda done, total: None)
    assert (count, said) == (1, [f"{tree.aside}/b.jpg is gone, so that {tree.photos}/b.jpg is not "
                                 "back"])  # fmt: skip
    assert tree.names() == ["a.jpg", "b.xmp", "c.jpg"]
    assert aside_of(tree).restore(lambda done, total: None) == (0, [])


def test_a_journal_of_strangers(tree):
    """It can bring no file out of another folder, nor one that is no photo, nor to a link's end."""
    keep, photo = tree.put("a.jpg"), tree.put("may/b.jpg")
    aside_of(tree).set_aside([keep], [photo], str(tree.photos))
    path = tree.aside / "set_aside.jsonl"
    good = path.read_text()
    line = json.loads(good.splitlines()[0])
    for files in (
        [["/etc/x.jpg", "../a.jpg"]], [["/etc/x.jpg", "/a.jpg"]], [["x.jpg", "may/b.jpg"]],
        [["/home/me/.bashrc", ".bashrc"]], [["/x/b.sh", "may/b.jpg"]], [["/x/../b.jpg", "b.jpg"]],
        [["/x.jpg"]], [], [3],
    ):  # fmt: skip
        line["photos"][0]["files"] = files
        path.write_text(json.dumps(line) + "\n")
        with pytest.raises(RunError, match=r"set_aside.jsonl, line 1: damaged; its files are all"):
            aside_of(tree)
    for wrong in ("3", "[]", "{}", '{"step": 1, "state": "done"}', "{", '{"step": 5}', "\xff"):
        path.write_text(wrong + "\n", encoding="latin-1")
        with pytest.raises(RunError, match="line 1: damaged"):
            aside_of(tree)
    path.write_text(good)
    (tree.aside / "may").rename(tree.root / "elsewhere")
    (tree.aside / "may").symlink_to(tree.root / "elsewhere")
    with pytest.raises(RunError, match="a link leads out of the folder"):
        aside_of(tree).restore(lambda done, total: None)
    assert tree.names() == ["a.jpg"]


def test_names_of_any_bytes(tree):
    keep = tree.put("a.jpg")
    name = os.fsdecode(b"\xff (2).b\n\xc3\xa4.jpg")
    photo = tree.put(name, os.fsdecode(b"\xff (2).b\n\xc3\xa4.xmp"), content=b"x")
    before = tree.files()
    aside_of(tree).set_aside([keep], [photo], str(tree.photos))
    assert tree.names() == ["a.jpg"]
    assert aside_of(tree).restore(lambda done, total: None) == (1, [])
    assert tree.files() == before


TWICE = [f"{what} {how} twice" for what in ("aside", "restore") for how in ("links", "copies")]


@pytest.mark.parametrize(
    "kind",
    [
        "aside copies",
        "restore links",
        *(pytest.param(kind, marks=pytest.mark.slow) for kind in TWICE),
    ],
)
def test_killed_at_each_change_of_a_file(tmp_path, kind):
    """`kill -9`, then once more while that is mended; then all is where it was, or set aside."""
    script = Path(__file__).with_name("killed.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path, *kind.split()], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    kills, mended = map(int, done.stdout.split())
    assert kills >= 20
    assert mended >= kills


@pytest.mark.slow
def test_a_disk_that_is_full_indeed(tree):
    """A file system of its own, too small for the second photo."""
    tree.aside.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", tree.aside]
    if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        keep = tree.put("a.jpg")
        moved = [tree.put(f"{n}.jpg", content=os.urandom(200_000)) for n in range(2)]
        before = tree.files()
        aside = aside_of(tree)
        with pytest.raises(RunError, match=r"1.jpg: cannot be moved \(No space left on device\)"):
            aside.set_aside([keep], moved, str(tree.photos))
        assert tree.files() == before
        assert tree.names(tree.aside) == []
        aside.set_aside([keep, moved[1]], moved[:1], str(tree.photos))
        assert tree.names() == ["1.jpg", "a.jpg"]
        assert aside_of(tree).restore(lambda done, total: None) == (1, [])
        assert tree.files() == before
    finally:
        subprocess.run(["umount", "-l", tree.aside], check=True)
