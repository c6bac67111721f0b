import os

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data import load_class_folders
from ssah_tf.data.image_set import content_digest
from ssah_tf.system.errors import DataError


def put(path, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (12, 10), shade).save(path, "PNG")
    return path


@pytest.fixture
def root(tmp_path):
    """Two classes of six images each."""
    folder = tmp_path / "photos"
    for k in range(6):
        put(folder / "cat" / f"{k}.png", k)
        put(folder / "dog" / f"{k}.png", 100 + k)
    return folder


def refused(root):
    with pytest.raises(DataError) as caught:
        load_class_folders(root)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_classes_ids_labels_and_digests(root):
    loaded = load_class_folders(root)
    images, bad = loaded.images, loaded.bad
    assert bad == {}
    assert images.name == "photos"
    assert images.classes == ("cat", "dog")
    assert images.ids == tuple(f"{name}/{k}.png" for name in ("cat", "dog") for k in range(6))
    np.testing.assert_array_equal(images.labels, np.repeat(np.eye(2), 6, axis=0))
    assert images.labels.dtype == np.uint8
    for name, digest in zip(images.ids, images.digests, strict=True):
        assert digest == content_digest((root / name).read_bytes())
    assert images.read(np.array([3, 7]), 8)[:, 0, 0, 0].tolist() == [3, 101]


def test_relative_path_and_text(root, monkeypatch):
    monkeypatch.chdir(root)
    images = load_class_folders(".").images
    assert images.name == "photos"
    assert images.ids == load_class_folders(str(root)).images.ids


def test_nested_hidden_and_other_files(root):
    put(root / "cat" / "2019" / "may" / "deep.png")
    put(root / "cat" / ".thumbnails" / "hidden.png")
    put(root / "cat" / ".hidden.png")
    put(root / ".cache" / "x.png")
    put(root / "loose.png")
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "cat" / "noending").write_bytes(b"")
    (root / "empty").mkdir()
    loaded = load_class_folders(root)
    images, bad = loaded.images, loaded.bad
    assert bad == {}
    assert len(images) == 13
    assert images.classes == ("cat", "dog")
    assert images.labels[images.ids.index("cat/2019/may/deep.png")].tolist() == [1, 0]


@pytest.mark.parametrize("ending", ["PNG", "JPG", "jpeg", "WebP", "bmp", "gif", "tif", "TIFF"])
def test_endings(root, ending):
    Image.new("RGB", (9, 9)).save(root / "dog" / f"more.{ending}")
    loaded = load_class_folders(root)
    images, bad = loaded.images, loaded.bad
    assert bad == {}
    assert f"dog/more.{ending}" in images.ids


def test_odd_names(root):
    odd = ["a b.png", 'it\'s "x".png', "two\nlines.png", "漢字 é.png", "-rf.png", "#%&.png"]
    for name in odd:
        put(root / "chat noir 'ñ'" / name)
    loaded = load_class_folders(root)
    images, bad = loaded.images, loaded.bad
    assert bad == {}
    assert {f"chat noir 'ñ'/{name}" for name in odd} <= set(images.ids)
    assert images.classes == ("cat", "chat noir 'ñ'", "dog")
    assert images.read(np.arange(len(images)), 4).shape == (18, 4, 4, 3)


def test_name_that_is_not_utf8(root):
    undecodable = os.fsencode(root / "cat") + b"/\xff.png"
    with open(undecodable, "wb") as stream:
        Image.new("L", (9, 9)).save(stream, "PNG")
    loaded = load_class_folders(root)
    images, bad = loaded.images, loaded.bad
    assert bad == {}
    assert "cat/\udcff.png" in images.ids


@pytest.mark.parametrize("name", ["unlabelled", "unlabeled", "Unlabelled"])
def test_unlabelled(root, name):
    for k in range(3):
        put(root / name / "x" / f"{k}.png")
    images = load_class_folders(root).images
    assert images.classes == ("cat", "dog")
    rows = [k for k, i in enumerate(images.ids) if i.startswith(name)]
    assert len(rows) == 3
    assert images.labels[rows].sum() == 0
    assert images.labels.sum() == 12


def test_bad_files_are_listed(root):
    (root / "cat" / "6.png").write_bytes(b"rubbish")
    for k in range(10):
        put(root / "cat" / "more" / f"{k}.png")
    (root / "dog" / "two\nlines.png").symlink_to("nowhere.png")
    loaded = load_class_folders(root)
    images, bad = loaded.images, loaded.bad
    assert set(bad) == {"cat/6.png", "dog/two\nlines.png"}
    assert bad["cat/6.png"] == f"{root}/cat/6.png: empty, or not an image"
    assert bad["dog/two\nlines.png"] == rf"{root}/dog/two\nlines.png: No such file or directory"
    assert len(images) == 22
    assert not set(bad) & set(images.ids)


def test_too_many_bad_files(root):
    """At most a tenth: 2 of 20 pass, 3 of 21 do not."""
    for k in range(6):
        put(root / "dog" / "more" / f"{k}.png")
    for k in range(2):
        (root / "dog" / f"bad{k}.png").write_bytes(b"")
    assert len(load_class_folders(root).bad) == 2
    (root / "dog" / "bad2.png").write_bytes(b"")
    message = refused(root)
    assert "3 of 21 image files cannot be read" in message
    assert f"{root}/dog/bad0.png: " in message


def test_named_pipe_does_not_hang(root):
    os.mkfifo(root / "cat" / "pipe.png")
    loaded = load_class_folders(root)
    images, bad = loaded.images, loaded.bad
    assert bad == {"cat/pipe.png": f"{root}/cat/pipe.png: not a regular file"}
    assert len(images) == 12


def test_folder_named_like_an_image(root):
    put(root / "cat" / "album.jpg" / "0.png")
    assert "cat/album.jpg/0.png" in load_class_folders(root).images.ids


def test_links(root, tmp_path):
    """Links to files are read; links to folders, loops among them, are not followed."""
    outside = put(tmp_path / "outside" / "o.png", 200)
    (root / "cat" / "linked.png").symlink_to(outside)
    (root / "cat" / "loop").symlink_to(root)
    (root / "cat" / "elsewhere").symlink_to(outside.parent)
    (root / "bird").symlink_to(outside.parent)
    (root / "again").symlink_to(root)
    loaded = load_class_folders(root)
    images, bad = loaded.images, loaded.bad
    assert bad == {}
    assert images.classes == ("cat", "dog")
    assert len(images) == 13
    assert "cat/linked.png" in images.ids


def test_root_may_be_a_link(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    assert len(load_class_folders(tmp_path / "link").images) == 12


def test_no_such_folder(tmp_path):
    assert refused(tmp_path / "none").startswith(f"{tmp_path}/none: no such folder")
    (tmp_path / "file").write_text("")
    assert "no such folder" in refused(tmp_path / "file")


def test_too_few_classes_are_images_without_labels(tmp_path):
    assert refused(tmp_path).endswith("no images in this folder")
    put(tmp_path / "loose.png")
    loaded = load_class_folders(tmp_path)
    assert loaded.images.ids == ("loose.png",)
    assert loaded.notes == ("0 class folders, so no image has a label",)
    put(tmp_path / "cat" / "0.png")
    put(tmp_path / "unlabelled" / "0.png")
    (tmp_path / "dog").mkdir()
    loaded = load_class_folders(tmp_path)
    assert loaded.images.ids == ("loose.png", "cat/0.png", "unlabelled/0.png")
    assert (loaded.images.classes, loaded.images.labels.shape) == ((), (3, 0))
    assert loaded.notes == ("1 class folders, so no image has a label",)
    assert loaded.passed.line() == ""


def test_folder_that_cannot_be_listed(root, monkeypatch):
    def scandir(path, real=os.scandir):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    put(root / "bird" / "0.png")
    monkeypatch.setattr(os, "scandir", scandir)
    loaded = load_class_folders(root)
    assert loaded.images.classes == ("bird", "cat")
    assert loaded.passed.unlisted == {f"{root}/dog": "Permission denied"}
    assert loaded.passed.line() == f"1 folder cannot be listed: {root}/dog (Permission denied)"


def test_what_is_beside_class_folders_is_counted(root):
    put(root / "loose.png")
    put(root / "also.png")
    (root / "cat" / "x.PSD").write_bytes(b"")
    loaded = load_class_folders(root)
    assert loaded.passed.line() == "3 image files passed over: 2 beside class folders, 1 .psd"
    assert len(loaded.images) == 12


def test_what_is_missing_is_said_where_nothing_is_left(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.jxl").write_bytes(b"")
    assert refused(tmp_path).endswith("(2 image files passed over: 2 .jxl)")


def test_official_train_and_test_folders(tmp_path):
    for part, n in (("train", 4), ("test", 2)):
        for name in ("cat", "dog"):
            for k in range(n):
                put(tmp_path / part / name / f"{k}.png", k)
    put(tmp_path / "train" / "unlabelled" / "0.png")
    put(tmp_path / "train" / "loose.png")
    images = load_class_folders(tmp_path).images
    assert images.classes == ("cat", "dog")
    assert len(images) == 13
    assert images.official_queries == tuple(
        f"test/{n}/{k}.png" for n in ("cat", "dog") for k in (0, 1)
    )
    assert load_class_folders(tmp_path).passed.files == {"beside class folders": 1}
    put(tmp_path / "bird" / "0.png")  # now train and test are classes like others
    assert load_class_folders(tmp_path).images.classes == ("bird", "test", "train")


def test_train_val_and_test(tmp_path):
    """Validation images are trained on; photos of `test` are the queries."""
    for part, n in (("train", 3), ("Val", 2), ("TEST", 1)):
        for name in ("cat", "dog"):
            for k in range(n):
                put(tmp_path / part / name / f"{k}.png", k)
    put(tmp_path / "unlabeled" / "0.png")  # beside the parts, as in STL-10
    loaded = load_class_folders(tmp_path)
    assert loaded.images.classes == ("cat", "dog")
    assert loaded.images.official_queries == ("TEST/cat/0.png", "TEST/dog/0.png")
    assert loaded.parts == {"TEST": "query", "Val": "train", "train": "train"}
    assert len(loaded.images) == 13
    assert not loaded.images.labels[loaded.images.ids.index("unlabeled/0.png")].any()
    assert loaded.notes == ()


def test_a_test_part_without_classes_is_left_out(tmp_path):
    for name in ("train/cat", "train/dog", "val/cat", "val/dog", "test/unknown", "test"):
        put(tmp_path / name / "0.png")
    loaded = load_class_folders(tmp_path)
    assert loaded.images.official_queries == ("val/cat/0.png", "val/dog/0.png")
    assert loaded.images.ids == tuple(
        f"{part}/{name}/0.png" for part in ("train", "val") for name in ("cat", "dog")
    )
    assert loaded.passed.files == {"beside class folders": 2}
    assert loaded.notes == ("test is left out: it has no class folder of the others",)


def test_names_of_a_split_without_common_classes_are_told(tmp_path):
    """A class may be called train; but somebody may have meant a split."""
    for name in ("train/cat", "test/dog"):
        put(tmp_path / name / "0.png")
    loaded = load_class_folders(tmp_path)
    assert loaded.images.classes == ("test", "train")
    assert loaded.notes == (
        "test, train are taken for classes: as a split they would need class folders in common",
    )
