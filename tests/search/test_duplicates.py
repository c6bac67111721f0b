"""Near duplicates are found by a perceptual hash, not by a code that a whole class shares."""

import csv
import io
import json

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageEnhance

from ssah_tf.data.perceptual_hash import SIDE, grey, perceptual_hash, ssim
from ssah_tf.metrics.hamming import hamming_distances
from ssah_tf.search.duplicates import CANDIDATES, find_duplicates, summary, write_table
from ssah_tf.search.on_disk import Differences
from ssah_tf.search.pages import write_duplicates
from ssah_tf.search.photo_index import PhotoIndex


class Collapsed:
    """One code for all images, but for those that are bright at the first pixel."""

    bits, appearance_bits, image_size, model_id = 8, 0, 64, "abc"

    def __init__(self, folder):
        self.path = folder / "fake.onnx"
        self.path.write_bytes(b"fake")

    def full_codes(self, images):
        return np.where(images[:, 0, 0, :1] > 250, 255, 0).astype(np.uint8)


def scene(seed, side=200):
    """A smooth picture, as photos are."""
    small = np.random.default_rng(seed).integers(0, 250, (9, 9, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def jpeg(image, quality):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def test_a_perceptual_hash_survives_what_people_do_to_photos():
    one = scene(1)
    changed = [
        Image.open(io.BytesIO(jpeg(one, 30))),
        one.resize((70, 70)),
        one.crop((3, 3, 197, 197)),
        ImageEnhance.Brightness(one).enhance(1.1),
        one.convert("L").convert("RGB"),
    ]
    others = [scene(seed) for seed in range(2, 40)]
    code = np.frombuffer(perceptual_hash(np.asarray(one)), np.uint8)[None]

    def distances(images):
        found = b"".join(perceptual_hash(np.asarray(image)) for image in images)
        return hamming_distances(code, np.frombuffer(found, np.uint8).reshape(-1, 16))[0]

    assert distances(changed).max() <= 20
    assert distances(others).min() > CANDIDATES
    mine = grey(np.asarray(one))
    assert ssim(mine, np.stack([grey(np.asarray(image)) for image in changed])).min() > 0.95
    assert ssim(mine, np.stack([grey(np.asarray(image)) for image in others])).max() < 0.6


def test_ssim_by_hand():
    """Flat pictures of 100 and 200: (2 * 100 * 200 + L) / (100^2 + 200^2 + L) = .8000 with L = 6.5;
    halves of 0 and 200 against their negative: the covariance is minus the variance, 10,000."""
    flat = np.full((3, SIDE, SIDE), 100, np.uint8)
    flat[1] = 200
    np.testing.assert_allclose(ssim(flat[0], flat), [1, 0.80003, 1], atol=1e-5)
    halves = np.zeros((SIDE, SIDE), np.uint8)
    halves[:16] = 200
    c = 58.5225
    expected = (-20_000 + c) / (20_000 + c)
    np.testing.assert_allclose(ssim(halves, 200 - halves[None]), [expected], atol=1e-5)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(30):
        (folder / f"{seed:02d}.jpg").write_bytes(jpeg(scene(seed), 95))
    (folder / "30 copy of 3.jpg").write_bytes((folder / "03.jpg").read_bytes())
    (folder / "31 small 3.jpg").write_bytes(jpeg(scene(3).resize((90, 90)), 60))
    (folder / "32 copy of 31.jpg").write_bytes((folder / "31 small 3.jpg").read_bytes())
    (folder / "33 dark 7.jpg").write_bytes(jpeg(ImageEnhance.Brightness(scene(7)).enhance(0.9), 90))
    (folder / "34 copy of 9.jpg").write_bytes((folder / "09.jpg").read_bytes())
    far = scene(11)
    far.paste((255, 255, 255), (0, 0, 8, 8))
    (folder / "35 other code, like 11.jpg").write_bytes(jpeg(far, 95))
    return folder


def names(groups):
    return [[(m.photo.path.split("/")[-1], m.kind, m.distance) for m in group] for group in groups]


def test_groups(folder, tmp_path):
    encoder = Collapsed(tmp_path)
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [folder])
    index = PhotoIndex.open(tmp_path / "index")
    three = [
        ("03.jpg", "first", 0),
        ("30 copy of 3.jpg", "copy", 0),
        ("31 small 3.jpg", "near", 0),
        ("32 copy of 31.jpg", "copy", 0),
    ]
    seven = [("07.jpg", "first", 0), ("33 dark 7.jpg", "near", 0)]
    nine = [("09.jpg", "first", 0), ("34 copy of 9.jpg", "copy", 0)]
    eleven = [("11.jpg", "first", 0), ("35 other code, like 11.jpg", "near", 8)]
    groups = find_duplicates(index, 7).groups
    assert names(groups) == [three, seven, nine]
    assert names(find_duplicates(index, 8).groups) == [three, seven, nine, eleven]
    assert names(find_duplicates(index, 8, min_ssim=1).groups) == [three[:2], nine, [
        ("31 small 3.jpg", "first", 0), ("32 copy of 31.jpg", "copy", 0)]]  # fmt: skip

    write_table(tmp_path / "found.csv", groups)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "found.csv").read_text())))
    assert [row["group"] for row in rows] == ["1"] * 4 + ["2"] * 2 + ["3"] * 2
    assert float(rows[2]["ssim"]) >= 0.9
    assert "3 groups, 8 photos: beside the first of each 3 exact copies and 2 near" in summary(
        groups
    )
    write_duplicates(tmp_path / "page.html", groups, summary(groups))
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/jpeg") == 8
    assert page.count("exact copy") == 3
    assert "http" not in page

    (folder / "33 dark 7.jpg").unlink()  # it cannot be confirmed any more
    found = find_duplicates(index, 7)
    assert names(found.groups) == [three, nine]
    assert found.lost == Differences(missing=(str(folder / "33 dark 7.jpg"),))


def test_a_thousand_copies_and_likes_are_no_thousand_searches(tmp_path, monkeypatch):
    """Each like of one photo is compared once: pairs grow with photos, not with their square."""
    from ssah_tf.search import small_pictures as module

    encoder = Collapsed(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(30):
        (folder / f"{number:02d}.jpg").write_bytes(jpeg(scene(5), 40 + number // 2))
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [folder])
    pairs = []
    right = module.ssim
    monkeypatch.setattr(module, "ssim", lambda a, b: pairs.append(len(b)) or right(a, b))
    (group,) = find_duplicates(index, 0).groups
    assert len(group) == 30
    assert sum(member.kind == "copy" for member in group) == 15
    assert sum(pairs) == 14


@pytest.mark.slow
def test_hashes_that_collapse_as_codes_do(tmp_path, monkeypatch):
    """Flat pictures have one hash; of those that are not alike, only so many are compared."""
    from ssah_tf.search import duplicates
    from ssah_tf.search import small_pictures as module

    monkeypatch.setattr(duplicates, "COMPARED", 5)
    encoder = Collapsed(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    greys = [2, 3, 5, 8, 12, 18, 27, 40, 60, 90] + 20 * [240]
    for number, value in enumerate(greys):
        pixels = np.full((64, 64), value, np.uint8)
        pixels[number, 60] += 1
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [folder])
    pairs = []
    right = module.ssim
    monkeypatch.setattr(module, "ssim", lambda a, b: pairs.append(len(b)) or right(a, b))
    groups = find_duplicates(index, 8, min_ssim=0.98).groups
    assert [len(group) for group in groups] == [20]
    assert sum(pairs) == 10 * 5 + 19


def test_empty(tmp_path):
    encoder = Collapsed(tmp_path)
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.save()
    assert find_duplicates(PhotoIndex.open(tmp_path / "index"), 3).groups == []
    assert json.dumps(summary([])).startswith('"0 groups, 0 photos')


def indexed(tmp_path, photos):
    """The index of a folder of photos: name -> image, or image and EXIF data."""
    encoder, folder = Collapsed(tmp_path), tmp_path / "photos"
    folder.mkdir()
    for name, photo in photos.items():
        image, exif = photo if isinstance(photo, tuple) else (photo, Image.Exif())
        image.save(folder / name, quality=90, exif=exif.tobytes())
    index = PhotoIndex.open(tmp_path / "index", encoder)
    index.sync(encoder, [folder])
    return index


def exif_of(clock):
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = f"2024:05:03 {clock}"
    return exif


def test_mirrored_and_turned_copies_are_kinds_of_their_own(tmp_path):
    """Whatever their codes say, and together with what is near to them."""
    way = Image.Transpose
    one, two, three = scene(1), scene(2).resize((240, 160)), scene(3)
    bright = one.transpose(way.FLIP_LEFT_RIGHT)
    bright.paste((255, 255, 255), (0, 0, 8, 8))
    index = indexed(tmp_path, {
        "00 one.jpg": one,
        "01 mirrored.jpg": one.transpose(way.FLIP_LEFT_RIGHT).resize((120, 120)),
        "02 two.jpg": two,
        **{f"1{n} two {way(n).name}.jpg": two.transpose(n) for n in range(1, 7)},
        "20 mirrored, near 01, other code.jpg": bright,
        "30 three.jpg": three,
        "31 turned.jpg": bright.transpose(way.ROTATE_90),
        "32 near 17.jpg": two.transpose(way.TRANSVERSE).resize((96, 144)),
    })  # fmt: skip
    groups = [[row[:2] for row in group] for group in names(find_duplicates(index, 8).groups)]
    assert list(map(sorted, groups)) == [
        [
            ("00 one.jpg", "first"),
            ("01 mirrored.jpg", "mirrored"),
            ("20 mirrored, near 01, other code.jpg", "mirrored"),
            ("31 turned.jpg", "turned"),
        ],
        [
            ("02 two.jpg", "first"),
            *((f"1{n} two {way(n).name}.jpg", "turned") for n in range(1, 7)),
            ("32 near 17.jpg", "turned"),
        ],
    ]
    assert all(m.ssim >= 0.9 for group in find_duplicates(index, 0).groups for m in group)


def test_what_looks_alike_from_all_sides_is_not_turned(tmp_path):
    """Skies, cards of two colours, and different things that are symmetric."""
    draw = np.random.default_rng(0)
    photos = {}
    for number in range(12):
        half = np.asarray(scene(50 + number))[:, :100]
        photos[f"symmetric {number}.png"] = Image.fromarray(np.hstack([half, half[:, ::-1]]))
        shade = np.linspace(draw.uniform(80, 120), draw.uniform(140, 180), 200)[:, None, None]
        photos[f"sky {number}.png"] = Image.fromarray(
            np.clip(shade + draw.normal((0, 20, 60), 2, (200, 200, 3)), 0, 255).astype(np.uint8)
        )
    found = find_duplicates(indexed(tmp_path, photos), 0, min_ssim=0.98).groups
    assert {m.kind for group in found for m in group[1:]} <= {"near"}
    assert not any("symmetric" in m.photo.path for group in found for m in group)


def test_bursts_are_a_kind_of_their_own(tmp_path):
    """Near codes and one minute; what is near to one of them comes along."""
    one, two, three = scene(1), scene(2), scene(3)
    index = indexed(tmp_path, {
        "1.jpg": (one, exif_of("12:00:00")),
        "2.jpg": (two, exif_of("12:00:40")),
        "3 near 2.jpg": two.resize((100, 100)),
        "4.jpg": (three, exif_of("12:01:01")),
        "5 near 1.jpg": (one.resize((90, 90)), exif_of("12:00:00")),
    })  # fmt: skip
    (group,) = find_duplicates(index, 8).groups
    assert [row[:2] for row in names([group])[0]] == [
        ("1.jpg", "first"),
        ("5 near 1.jpg", "near"),
        ("2.jpg", "burst"),
        ("3 near 2.jpg", "burst"),
    ]
    assert group[2].ssim < 0.9
    text = summary([group])
    assert "0 exact copies and 1 near duplicates, 2 of a burst, " in text
    write_duplicates(tmp_path / "page.html", [group], text)
    assert (tmp_path / "page.html").read_text().count("of a burst, ") == 3
