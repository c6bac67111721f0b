import json

import numpy as np
import pytest
from PIL import Image

from ssah_tf.data import load_images
from ssah_tf.data.check import NEAR_BITS, check_data, near_duplicates


def scene(seed, size=64):
    """A smooth random picture: no two seeds look alike."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


@pytest.fixture
def root(tmp_path):
    """Official folders of two classes, five training and three test images each; all differ."""
    for part, n in (("train", 5), ("test", 3)):
        for c, name in enumerate(("cat", "dog")):
            for k in range(n):
                save(scene(100 * c + 10 * n + k), tmp_path / part / name / f"{k}.png")
    return tmp_path


def report_of(root, labels=None, near=True):
    return check_data(load_images(str(root), labels), near)


def test_clean_set(root):
    report = report_of(root)
    assert (report.images, report.labelled, report.multi_label) == (16, 16, 0)
    assert report.classes == {"cat": {"train": 5, "query": 3}, "dog": {"train": 5, "query": 3}}
    assert report.errors() == []
    assert report.warnings() == []
    assert json.loads(json.dumps(report.to_dict()))["images"] == 16


def test_copies_leaks_and_conflicts(root):
    save(scene(50), root / "train" / "cat" / "copy of 0.png")  # of train/cat/0.png
    save(scene(51), root / "train" / "dog" / "cat 1.png")  # of train/cat/1.png, another label
    save(scene(130), root / "train" / "dog" / "leak.png")  # of test/dog/0.png
    report = report_of(root)
    assert sorted(report.exact_duplicates) == [
        ["test/dog/0.png", "train/dog/leak.png"],
        ["train/cat/0.png", "train/cat/copy of 0.png"],
        ["train/cat/1.png", "train/dog/cat 1.png"],
    ]
    assert report.conflicts == [["train/cat/1.png", "train/dog/cat 1.png"]]
    assert report.leaks == ["test/dog/0.png"]
    assert report.errors() == [
        "1 queries have a copy among the training images",
        "1 groups of copies have different labels",
    ]
    assert "3 groups of exact copies" in report.warnings()


def test_near_duplicates(root):
    """The same picture as JPEG of low quality and at another size; exact copies are left out."""
    save(scene(50), root / "train" / "cat" / "copy.png")
    save(scene(52), root / "train" / "cat" / "near.jpg", quality=60)
    save(scene(31).resize((200, 200)), root / "train" / "cat" / "large.png")  # of test/cat/1.png
    report = report_of(root)
    assert {frozenset(pair) for pair in report.near_duplicates} == {
        frozenset({"train/cat/2.png", "train/cat/near.jpg"}),
        frozenset({"test/cat/1.png", "train/cat/large.png"}),
    }
    assert report.near_leaks == ["test/cat/1.png"]
    assert report.leaks == []
    assert report_of(root, near=False).near_duplicates is None


def test_near_duplicates_equal_brute_force(monkeypatch, root):
    """Random hashes with planted neighbours at every distance up to 6."""
    import imagehash

    images = load_images(str(root)).images
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**63, len(images), dtype=np.uint64)
    for k in range(7):
        flips = rng.permutation(64)[:k]
        hashes[k + 8] = hashes[k] ^ np.uint64(sum(1 << int(b) for b in flips))
    queue = {}
    for k in range(len(images)):
        queue[images.read(np.array([k]), 32).tobytes()] = f"{int(hashes[k]):016x}"
    monkeypatch.setattr(imagehash, "phash", lambda image: queue[np.asarray(image).tobytes()])
    expected = {
        (a, b)
        for a in range(16)
        for b in range(a + 1, 16)
        if np.bitwise_count(hashes[a] ^ hashes[b]) <= NEAR_BITS
    }
    assert len(expected) == 5  # 0 to 4 flips
    assert set(near_duplicates(images)) == expected


def test_images_of_one_colour_are_not_alike(tmp_path):
    for k in range(6):
        save(Image.new("L", (20, 20), 40 * k), tmp_path / "ab"[k % 2] / f"{k}.png")
    assert report_of(tmp_path).near_duplicates == []


def test_bad_missing_names_and_small_classes(tmp_path):
    root = tmp_path / "photos"
    for k in range(30):
        save(scene(k), root / f"{k}.png")
    (root / "empty.jpg").write_bytes(b"")
    table = tmp_path / "l.csv"
    names = ["cat"] * 5 + ["Cat "] * 5 + ["polar bear"] * 5 + ["PolarBear"] * 5 + ["dog;cat"] * 2
    rows = [f"{k}.png,{name}" for k, name in enumerate(names)]
    table.write_text("path,label\n" + "\n".join([*rows, "gone.png,dog"]))
    report = report_of(root, str(table))
    assert report.similar_names == [["Cat", "cat"], ["PolarBear", "polar bear"]]
    assert list(report.bad_files) == ["empty.jpg"]
    assert report.missing_files == ["gone.png"]
    assert (report.images, report.labelled, report.multi_label) == (30, 22, 2)
    assert report.classes["cat"] == {"train": 7}
    assert report.warnings() == [
        "1 files cannot be read",
        "1 labels have no file",
        "1 classes have fewer than 3 labelled images",
    ]
    assert report.errors() == ["2 groups of class names differ by case or spaces only"]
