"""Near duplicates are judged on all of the frame, in colour, with a finer look at plain grounds."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from ssah_tf.search.likeness import FINE, SMALL, between, boxes_of, likeness, ssim, whole_frame

MIN_SSIM = 0.9


def scene(seed, size=(320, 240)):
    """Soft colours and a few hard things."""
    draw = np.random.default_rng(seed)
    low = draw.integers(20, 236, (5, 7, 3), dtype=np.uint8)
    image = Image.fromarray(low).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, side = draw.integers(0, size[0]), draw.integers(0, size[1]), draw.integers(8, 40)
        colour = tuple(draw.integers(0, 256, 3).tolist())
        pen.rectangle((x - side, y - side, x + side, y + side), colour)
    return image


def form(name, pitch=60):
    page = Image.new("RGB", (1240, 1754), "white")
    pen = ImageDraw.Draw(page)
    for y in range(150, 1600, pitch):
        pen.text((120, y), "name address date amount " * 3, "black", ImageFont.load_default(24))
    pen.text((500, 830), name, "blue", ImageFont.load_default(34))
    return page


def stars(seed):
    sky = Image.new("RGB", (1200, 900), (6, 6, 12))
    pen = ImageDraw.Draw(sky)
    for x, y in np.random.default_rng(seed).integers(0, 900, (40, 2)).tolist():
        pen.ellipse((x, y, x + 3, y + 3), "white")
    return sky


def panorama(seed):
    wide = scene(seed, (800, 450))
    wide.paste(scene(50, (800, 450)).crop((175, 0, 625, 450)), (175, 0))
    return wide


def marked(image):
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    ImageDraw.Draw(layer).text(
        (40, 100), "sample", (255, 255, 255, 140), ImageFont.load_default(30)
    )
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


@pytest.fixture
def alike(tmp_path):
    """How alike two images are as JPEG files, either way round."""

    def measure(one, other, quality=85):
        one.save(tmp_path / "a.jpg", quality=92)
        other.save(tmp_path / "b.jpg", quality=quality)
        a, b = (whole_frame(str(tmp_path / name), FINE) for name in ("a.jpg", "b.jpg"))
        found = likeness(a[0], b[0], a[1], b[1])
        assert likeness(b[0], a[0], b[1], a[1]) == pytest.approx(found, abs=0.02)
        return found

    return measure


def rescaled(image):
    return image.resize((image.width // 2, image.height // 2))


def crop(image, left, top, right, bottom):
    width, height = image.size
    return image.crop(
        (round(width * left), round(height * top), round(width * right), round(height * bottom))
    )


@pytest.mark.parametrize(
    "change",
    [
        rescaled,
        lambda image: image,
        lambda image: crop(image, 0.05, 0.05, 0.95, 0.95),
        lambda image: crop(image, 0, 0.1, 0.9, 1),
        lambda image: crop(image, 0.1, 0, 1, 1),
        lambda image: crop(image, 0, 0, 1, 0.9),
        lambda image: ImageEnhance.Brightness(image).enhance(1.25),
        lambda image: ImageEnhance.Brightness(image).enhance(0.8),
        marked,
    ],
)
def test_the_same_picture(alike, change):
    assert alike(scene(1), change(scene(1)), 60) >= MIN_SSIM


@pytest.mark.parametrize("change", [rescaled, lambda page: page])
def test_the_same_form(alike, change):
    assert alike(form("Anna A."), change(form("Anna A.")), 60) >= MIN_SSIM


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (panorama(51), panorama(52)),
        (Image.new("RGB", (640, 480), (30, 110, 30)), Image.new("RGB", (640, 480), (30, 60, 220))),
        (Image.new("RGB", (64, 64), (90, 90, 90)), Image.new("RGB", (64, 64), (110, 110, 110))),
        (Image.new("RGB", (64, 64), (100, 40, 40)), Image.new("RGB", (64, 64), (150, 90, 90))),
        (stars(0), stars(1)),
        (form("Anna A."), form("Bert B.")),
        (form("Anna A."), form("")),
        (scene(1), scene(2)),
        (scene(1), scene(1).transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        (scene(1), Image.merge("RGB", scene(1).split()[::-1])),  # red and blue exchanged
        (scene(1), crop(scene(1), 0, 0, 0.6, 1)),
    ],
)
def test_another_picture(alike, one, other):
    assert alike(one, other) < MIN_SSIM


def test_ssim_of_colours_by_hand():
    """Red (200, 0, 0) and blue (0, 0, 200): means 66.67, variances 8,888.9, the covariance
    (0 + 0 + 0) / 3 - 66.67^2 = -4,444.4; (2 * -4444.4 + C) / (2 * 8888.9 + C) with C = 58.52."""
    red, blue = (np.full((SMALL, SMALL, 3), c, np.uint8) for c in ([200, 0, 0], [0, 0, 200]))
    expected = (2 * -4444.444 + 58.5225) / (2 * 8888.889 + 58.5225)
    np.testing.assert_allclose(ssim(red, np.stack([red, blue])), [1, expected], atol=1e-4)


def test_a_part_of_values_by_hand():
    """Of (0, 10, 20, 30) the middle half at four places lies at .75, 1.25, 1.75, 2.25."""
    values = np.array([0, 10, 20, 30], np.float32)
    np.testing.assert_allclose(between(4, 0, 1) @ values, values)
    np.testing.assert_allclose(between(4, 0.25, 0.75) @ values, [7.5, 12.5, 17.5, 22.5])


def test_boxes_have_the_shape_of_the_other_frame():
    for wide in (1.0, 0.9, 1.1):
        boxes, columns, rows = boxes_of(wide)
        assert len(boxes) == len(columns) == len(rows)
        for left, right, top, bottom in boxes:
            assert (right - left) / (bottom - top) == pytest.approx(wide)
            assert min(left, top) >= 0
            assert max(right, bottom) <= 1 + 1e-9
    assert boxes_of(0.5)[0] == [(0, 1, 0, 1)]
