import json
import os
from collections import Counter

import pytest

from ssah_tf.data import formats
from ssah_tf.data.scan import PAIRED, Exclude, PassedOver, scan, why_missing, with_absolute
from ssah_tf.system.errors import DataError


def tree(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_what_is_taken_and_what_is_counted(tmp_path):
    tree(
        tmp_path,
        *("b/2.jpg", "b/1.JFIF", "b/3.jpe", "a.mpo", "b/c/4.tif"),
        *("b/x.jxl", "b/y.PSD", "b/z.psd", "old.crw", "p.ppm", ".hidden.png", "b/._2.jpg"),
        *("notes.txt", "noending", "b/film.mov", ".cache/5.jpg"),
    )
    found = scan(tmp_path)
    assert found.paths == ["a.mpo", "b/1.JFIF", "b/2.jpg", "b/3.jpe", "b/c/4.tif"]
    assert found.passed.files == {".jxl": 1, ".psd": 2, ".crw": 1, ".ppm": 1, "hidden": 1}
    assert found.passed.folders == {}
    assert found.passed.line() == (
        "6 image files passed over: 2 .psd, 1 .crw, 1 .jxl, 1 .ppm, 1 hidden"
    )
    assert found.passed.unexpected
    assert scan(f"{tmp_path}/").paths == found.paths


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir", "#recycle", "#snapshot", "@Recycle", "lost+found", ".Trashes", "$RECYCLE.BIN"),
        *("System Volume Information", ".thumbnails", "__MACOSX", "LOST.DIR", ".@__thumb"),
    ],
)
def test_folders_of_systems(tmp_path, name):
    tree(tmp_path, "a/1.jpg", f"a/{name}/1.jpg", f"{name}/x/2.jpg")
    found = scan(tmp_path)
    assert found.paths == ["a/1.jpg"]
    assert found.passed.folders == ({} if name.startswith(".") else {name: 2})
    assert not found.passed.unexpected
    assert scan(tmp_path / name).paths == ["x/2.jpg"]  # if it is named, it is looked into


def test_links_to_folders_are_counted(tmp_path):
    tree(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a" / "link").symlink_to(tmp_path / "b")
    found = scan(tmp_path)
    assert found.paths == ["a/1.jpg", "b/2.jpg"]
    assert found.passed.line() == "1 folder passed over: 1 linked"


def test_folders_that_cannot_be_listed(tmp_path, monkeypatch):
    tree(tmp_path, "a/1.jpg", "b/2.jpg", "c/d/3.jpg")
    closed = {str(tmp_path / "b"), str(tmp_path / "c" / "d")}

    def scandir(path, real=os.scandir):
        if str(path) in closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = scan(tmp_path)
    assert found.paths == ["a/1.jpg"]
    assert found.passed.unlisted == dict.fromkeys(sorted(closed), "Permission denied")
    assert found.passed.line() == (
        f"2 folders cannot be listed: for example {tmp_path}/b (Permission denied)"
    )
    assert found.passed.unexpected
    with pytest.raises(DataError, match=r"b: cannot be listed \(Permission denied\)"):
        scan(tmp_path / "b")  # the one that was asked for


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["raw"], ["a/1.jpg", "a/1_small.jpg", "b/2.jpg"]),
        (["raw/"], ["a/1.jpg", "a/1_small.jpg", "b/2.jpg"]),
        (["*_small.*"], ["a/1.jpg", "a/raw/3.jpg", "b/2.jpg"]),
        (["a/raw"], ["a/1.jpg", "a/1_small.jpg", "b/2.jpg"]),
        (["./a/*"], ["b/2.jpg"]),
        (["a", "b"], []),
        (["A", "1", "raw/3.jpg", ""], ["a/1.jpg", "a/1_small.jpg", "a/raw/3.jpg", "b/2.jpg"]),
    ],
)
def test_exclude(tmp_path, patterns, left):
    tree(tmp_path, "a/1.jpg", "a/1_small.jpg", "a/raw/3.jpg", "b/2.jpg")
    found = scan(tmp_path, patterns)
    assert found.paths == left
    assert not found.passed.unexpected
    assert bool(found.passed.line()) == (len(left) < 4)


def test_exclude_from_the_current_folder(tmp_path, monkeypatch):
    """What a shell completes is a path from the current folder, not from the one that is read."""
    monkeypatch.chdir(tmp_path)
    tree(tmp_path, "photos/a/1.jpg", "photos/b/2.jpg", "photos/b/photos/b/3.jpg")
    patterns = with_absolute(["photos/b/", "x"])
    assert patterns == ["photos/b/", str(tmp_path / "photos" / "b"), "x"]
    assert scan("photos", patterns).paths == ["a/1.jpg"]
    assert scan(tmp_path / "photos", patterns).paths == ["a/1.jpg"]
    assert Exclude([])("", "x") is False
    assert not Exclude([""])


def test_no_folder_is_counted_twice(tmp_path):
    tree(tmp_path, "a/1.jpg", "a/x.psd", "y.psd")
    counted = set()
    first, second = (scan(place, counted=counted) for place in (tmp_path / "a", tmp_path))
    assert (first.paths, second.paths) == (["1.jpg"], ["a/1.jpg"])
    assert (first.passed + second.passed).files == {".psd": 2}


def test_in_json():
    passed = PassedOver(Counter({".psd": 2}), Counter({"@eaDir": 1}), {"a\udce9": "why"})
    assert json.loads(json.dumps(passed.to_dict())) == {
        "files": {".psd": 2},
        "folders": {"@eaDir": 1},
        "unlisted": {"a\ufffd": "why"},
        "line": "2 image files passed over: 2 .psd; 1 folder passed over: 1 @eaDir; "
        r"1 folder cannot be listed: a\udce9 (why)",
        "unexpected": True,
    }
    assert PassedOver().line() == ""


def test_why_a_file_that_is_named_is_missing(tmp_path):
    tree(
        tmp_path,
        *("a/x.jxl", "a/.h.jpg", ".h/1.jpg", "@eaDir/1.jpg", "raw/1.jpg", "a/y.jpg", "a/t.txt"),
    )
    (tmp_path / "link").symlink_to(tmp_path / "a")
    passed = PassedOver(unlisted={f"{tmp_path}/closed": "Permission denied"})

    def why(path):
        return why_missing(str(tmp_path), path, ["raw", "y*"], passed)

    assert why("a/none.jpg") is None
    assert why("a/x.jxl") == ".jxl"
    assert why("a/.h.jpg") == "hidden"
    assert why(".h/1.jpg") == "in a folder that is hidden"
    assert why("@eaDir/1.jpg") == "@eaDir"
    assert why("raw/1.jpg") == "in a folder that is excluded"
    assert why("link/x.jxl") == "in a folder that is linked"
    assert why("a/y.jpg") == "excluded"
    assert why("a/t.txt") == "no image by its ending"
    assert why("closed/1.jpg") == "in a folder that cannot be listed"
    assert why(f"../{tmp_path.name}/a/y.jpg") == "outside of the folder"


def without(monkeypatch, *modules):
    """Some modules are not installed."""
    monkeypatch.setattr(formats, "installed", lambda module: module not in modules)


def test_formats_of_extras(tmp_path, monkeypatch):
    """They are taken if the extra is installed; else counted, with what to install."""
    tree(tmp_path, "a.jpg", "b.heic", "c.HIF", "d.dng", "e.psd", "f.avif")
    assert scan(tmp_path).paths == ["a.jpg", "b.heic", "c.HIF", "d.dng", "f.avif"]
    assert scan(tmp_path).passed.line() == "1 image file passed over: 1 .psd"
    without(monkeypatch, "pillow_heif", "rawpy")
    found = scan(tmp_path)
    assert found.paths == ["a.jpg", "f.avif"]
    assert found.passed.line() == (
        "4 image files passed over: 1 .dng, 1 .heic, 1 .hif, 1 .psd "
        "(to read more of them: pip install 'ssah-tf[heic,raw]')"
    )
    assert found.passed.unexpected
    assert why_missing(str(tmp_path), "b.heic", (), found.passed) == ".heic"
    without(monkeypatch, "rawpy")
    assert scan(tmp_path).paths == ["a.jpg", "b.heic", "c.HIF", "f.avif"]
    assert scan(tmp_path).passed.line().endswith(": pip install 'ssah-tf[raw]')")
    closed = scan(tmp_path).passed + PassedOver(unlisted={"x": "why"})
    assert closed.line().endswith("[raw]'); 1 folder cannot be listed: x (why)")


def test_a_raw_file_and_its_picture_are_one_photo(tmp_path, monkeypatch):
    tree(
        tmp_path,
        *("a/1.JPG", "a/1.CR2", "a/2.dng", "a/2.heic", "a/3.nef", "a/1.psd", "a/4.cr2", "a/4.png"),
        *(
            "b/3.jpg",
            "b/5.dng",
            "b/5.DNG",
            "b/.6.jpg",
            "b/6.arw",
            "b/7.jpg",
            "b/7.pef",
            "b/7.1.orf",
        ),
    )
    found = scan(tmp_path)
    assert found.paths == [
        *("a/1.JPG", "a/2.heic", "a/3.nef", "a/4.cr2", "a/4.png"),
        *("b/3.jpg", "b/5.DNG", "b/5.dng", "b/6.arw", "b/7.1.orf", "b/7.jpg"),
    ]
    assert found.passed.files == {PAIRED: 3, ".psd": 1, "hidden": 1}
    assert PassedOver(Counter({PAIRED: 3})).line() == (
        "3 image files passed over: 3 raw beside a picture of the same name"
    )
    assert not PassedOver(Counter({PAIRED: 3})).unexpected  # no photo is missing

    def why(path, *exclude):
        return why_missing(str(tmp_path), path, exclude, found.passed)

    assert (why("a/1.CR2"), why("a/2.dng"), why("b/7.pef")) == (PAIRED,) * 3
    assert (why("a/3.nef"), why("b/6.arw")) == (".nef", ".arw")
    assert why("a/1.CR2", "*.JPG") == why("a/1.CR2", "a/1.JPG") == ".cr2"

    # What is not taken has no raw file beside it.
    assert "a/1.CR2" in scan(tmp_path, ["*.JPG"]).paths
    assert "a/1.CR2" in scan(tmp_path, ["a/1.JPG"]).paths
    assert scan(tmp_path, ["*.CR2"]).passed.files["excluded"] == 1
    assert scan(tmp_path / "b").paths[0] == "3.jpg"

    without(monkeypatch, "pillow_heif")
    assert "a/2.dng" in scan(tmp_path).paths
    without(monkeypatch, "rawpy")
    found = scan(tmp_path)
    assert found.passed.files[PAIRED] == 3
    assert found.passed.files[".nef"] == 1
