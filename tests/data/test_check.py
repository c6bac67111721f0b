import io
import json

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from ssah_tf.data import load_images
from ssah_tf.data.check import check_data
from ssah_tf.data.near_duplicates import NEAR_BITS, alike, close_pairs, correlation, stand_out
from ssah_tf.data.perceptual_hash import perceptual_hash


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


def test_near_duplicates_survive_what_people_do_to_photos(tmp_path):
    """Each change is found, and nothing else: 20 scenes are no duplicates of one another."""
    for k in range(20):
        save(scene(k, 128), tmp_path / "a" / f"{k:02d}.png")
    changed = {
        "half": scene(0, 128).resize((64, 64)),
        "bright": ImageEnhance.Brightness(scene(1, 128)).enhance(1.1),
        "grey": scene(2, 128).convert("L"),
        "cropped": scene(3, 128).crop((1, 1, 127, 127)),
    }
    for name, image in changed.items():
        save(image, tmp_path / "b" / f"{name}.png")
    save(scene(4, 128), tmp_path / "b" / "jpeg.jpg", quality=20)
    pairs = {tuple(sorted(pair)) for pair in report_of(tmp_path).near_duplicates}
    assert pairs == {
        ("a/00.png", "b/half.png"),
        ("a/01.png", "b/bright.png"),
        ("a/02.png", "b/grey.png"),
        ("a/03.png", "b/cropped.png"),
        ("a/04.png", "b/jpeg.jpg"),
    }


@pytest.mark.parametrize("radius", [0, 4, NEAR_BITS])
def test_close_pairs_equal_brute_force(rng, radius):
    """Random codes with planted neighbours at every distance up to 20, and six equal ones."""
    codes = rng.integers(0, 256, (60, 16), dtype=np.uint8)
    for k in range(21):
        flips = np.zeros(128, np.uint8)
        flips[rng.permutation(128)[:k]] = 1
        codes[k + 30] = codes[k] ^ np.packbits(flips)
    codes[55:] = codes[54]
    far = np.bitwise_count(codes[:, None] ^ codes).sum(axis=2)
    expected = [(a, b) for a in range(60) for b in range(a + 1, 60) if far[a, b] <= radius]
    assert len(expected) == radius + 1 + 15
    assert [tuple(pair) for pair in close_pairs(codes, radius).tolist()] == expected
    assert close_pairs(codes[:1], radius).tolist() == []


def test_of_a_crowd_what_stands_out():
    """The best eight that correlate enough; of a crowd those much nearer than the eighth."""
    few = np.array([0.2, 0.86, 0.97, 0.84], np.float32)
    assert stand_out(few).tolist() == [2, 1]
    shirts = np.linspace(0.9, 0.94, 30, dtype=np.float32)
    assert stand_out(shirts[:19]).tolist() == list(range(18, 10, -1))
    assert stand_out(shirts).tolist() == []
    assert stand_out(np.append(shirts, np.float32(0.99))).tolist() == [30]


def on_white(texture, side=24):
    """A square on white, of a grey around 60 with a texture, at 32 px."""
    pixels = np.full((32, 32), 250.0)
    start = (32 - side) // 2
    pixels[start : start + side, start : start + side] = 60 + texture[:side, :side]
    return np.repeat(np.clip(pixels, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def jpeg(pixels, quality=60):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def test_what_stands_on_a_plain_ground_must_be_alike():
    """Two shirts on white correlate by their outlines; without texture they may be the same."""
    rng = np.random.default_rng(0)
    one, other = np.kron(rng.normal(0, 25, (2, 8, 8)), np.ones((3, 3)))
    plain = np.zeros((32, 32))
    pairs = [
        (on_white(one), on_white(other), False),
        (on_white(one), on_white(plain), False),
        (on_white(one), jpeg(on_white(one)), True),
        (on_white(one), on_white(one / 2 + 20), True),  # as seen in other light
        (on_white(plain), jpeg(on_white(plain)), True),
        (on_white(one, 10), on_white(other, 10), True),  # too little to tell
        (on_white(one), np.where(on_white(other) == 250, 210, on_white(other)), False),
    ]
    first, second, wanted = zip(*pairs, strict=True)
    first, second = (np.array(some, np.uint8) for some in (first, second))
    flat = [values.reshape(len(values), -1).astype(np.float32) for values in (first, second)]
    whole = correlation(*(values - values.mean(axis=1, keepdims=True) for values in flat))
    assert (whole >= 0.9).all()
    assert alike(first, second).tolist() == list(wanted)


COLOURS = ["red", "teal", "blue", "green", "gold", "#777", "black", "white"]


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_images_of_one_colour_are_not_alike(tmp_path, ending):
    for part in ("train", "test"):
        for k, colour in enumerate(COLOURS):
            square = Image.new("RGB", (20 + k + 3 * (part == "test"),) * 2, colour)
            save(square, tmp_path / part / "ab"[k % 2] / f"{k}.{ending}")
    report = report_of(tmp_path)
    assert report.parts == {"train": "train", "test": "query"}
    assert report.near_duplicates == report.mirrored_duplicates == []


def test_other_colours_are_another_picture(root):
    """Red and blue exchanged; a copy in grey is still one."""
    exchanged = scene(130).split()[::-1]
    save(Image.merge("RGB", exchanged), root / "train" / "dog" / "exchanged.png")
    save(scene(31).convert("L"), root / "train" / "cat" / "grey.png")
    report = report_of(root)
    assert report.near_duplicates == [["test/cat/1.png", "train/cat/grey.png"]]
    assert report.mirrored_duplicates == []


def test_queries_with_a_mirrored_copy_in_the_training_part(root):
    """Mirrored, smaller, compressed: of a query and a training image alone."""
    save(ImageOps.mirror(scene(31)).resize((50, 50)), root / "train" / "cat" / "m.jpg", quality=60)
    save(ImageOps.mirror(scene(50)), root / "train" / "cat" / "same part.png")
    save(ImageOps.flip(scene(32)), root / "train" / "cat" / "upside down.png")
    report = report_of(root)
    assert report.near_duplicates == []
    assert report.mirrored_duplicates == [["test/cat/1.png", "train/cat/m.jpg"]]
    assert report.near_leaks == ["test/cat/1.png"]
    assert "1 queries or more look like a training image" in report.warnings()
    assert "1 pairs of a query and a training image mirror each other" in report.warnings()


def test_a_query_is_compared_with_more_than_hashes_allow(root):
    """Hashes of the two are farther apart than `NEAR_BITS`; within a part they are not compared."""
    for seed, part, name in ((31, "train", "of the test"), (50, "train", "of the training")):
        noise = np.random.default_rng(0).normal(0, 20, (8, 8, 1))
        changed = np.asarray(scene(seed)) + np.kron(noise, np.ones((8, 8, 1)))
        picture = Image.fromarray(np.clip(changed, 0, 255).astype(np.uint8))
        save(picture, root / part / "cat" / f"{name}.png")
    hashes = [
        np.frombuffer(perceptual_hash(np.asarray(Image.open(root / path))), np.uint8)
        for path in ("test/cat/1.png", "train/cat/of the test.png")
    ]
    assert np.bitwise_count(hashes[0] ^ hashes[1]).sum() > NEAR_BITS
    assert report_of(root).near_duplicates == [["test/cat/1.png", "train/cat/of the test.png"]]


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


def test_images_of_one_level(root):
    Image.new("RGB", (64, 64), (9, 9, 9)).save(root / "train" / "cat" / "blank.png")
    report = report_of(root)
    assert report.flat == ["train/cat/blank.png"]
    assert report.warnings() == ["1 images are of one level: blank, or of an unknown range"]
    assert report_of(root, near=False).flat == []
