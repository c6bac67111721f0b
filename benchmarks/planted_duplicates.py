"""Plants pairs of pictures by kind, and counts which of them `ssah duplicates` finds.

Duplicates: rescaled, recompressed, cropped to 90 %, brightened, watermarked scenes. No duplicates:
forms with other text, cards of other colours, panoramas with other sides. Mirrored, turned and
burst scenes are counted apart.

    python benchmarks/planted_duplicates.py EXPORT
    python benchmarks/planted_duplicates.py EXPORT --photos FOLDER
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from ssah_tf.encoding.encode import find_images
from ssah_tf.encoding.encoder import Encoder
from ssah_tf.search.duplicates import find_duplicates
from ssah_tf.search.photo_index import PhotoIndex

SAME = ("rescaled", "recompressed", "cropped", "brightened", "watermarked")
OTHER = ("other text", "other colour", "other sides")
APART = ("mirrored", "turned", "burst")


def scene(draw: np.random.Generator, size: tuple[int, int] = (640, 480)) -> Image.Image:
    """Hills, a sky, and things of all colours, with grain."""
    width, height = size
    low = draw.integers(20, 236, (draw.integers(3, 7), draw.integers(4, 9), 3), dtype=np.uint8)
    image = Image.fromarray(low).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for _ in range(draw.integers(8, 24)):
        x, y = draw.integers(0, width), draw.integers(0, height)
        across, down = draw.integers(height // 24, height // 4, 2)
        shape = (pen.ellipse, pen.rectangle)[draw.integers(2)]
        shape(
            (x - across, y - down, x + across, y + down), tuple(draw.integers(0, 256, 3).tolist())
        )
    grain = np.asarray(image) + draw.normal(0, 4, (height, width, 3))
    return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))


def planted(
    kind: str, draw: np.random.Generator, photo: Image.Image | None
) -> tuple[Image.Image, Image.Image, int]:
    """A pair of pictures of a kind, and the quality at which the second is saved."""
    if kind == "other text":
        return *forms(draw), 92
    if kind == "other colour":
        one, other = two_colours(draw)
        return Image.new("RGB", (640, 480), one), Image.new("RGB", (640, 480), other), 92
    one = photo or scene(draw, (960, 540) if kind == "other sides" else (640, 480))
    width, height = one.size
    if kind == "rescaled":
        share = draw.uniform(0.3, 0.8)
        return one, one.resize((round(width * share), round(height * share))), 88
    if kind == "recompressed":
        return one, one, int(draw.integers(30, 70))
    if kind == "cropped":
        across, down = round(width * 0.9), round(height * 0.9)
        x, y = draw.integers(0, width - across + 1), draw.integers(0, height - down + 1)
        return one, one.crop((x, y, x + across, y + down)), 88
    if kind == "brightened":
        return one, ImageEnhance.Brightness(one).enhance(draw.uniform(1.1, 1.3)), 88
    if kind == "watermarked":
        layer = Image.new("RGBA", one.size, (0, 0, 0, 0))
        place = (width * draw.uniform(0.05, 0.4), height * draw.uniform(0.1, 0.8))
        font = ImageFont.load_default(max(8, width // 12))
        ImageDraw.Draw(layer).text(place, "© sample", (255, 255, 255, 140), font)
        return one, Image.alpha_composite(one.convert("RGBA"), layer).convert("RGB"), 88
    if kind == "other sides":
        other = scene(draw, one.size) if photo is None else one.transpose(Image.Transpose(0))
        left = (width - height) // 2 if photo is None else width // 4
        other.paste(one.crop((left, 0, width - left, height)), (left, 0))
        return one, other, 92
    if kind == "mirrored":
        return one, one.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 88
    if kind == "turned":
        return one, one.transpose(Image.Transpose.ROTATE_90), 88
    moved = one.rotate(draw.uniform(1, 3), Image.Resampling.BICUBIC)  # burst
    return one, moved.crop((width // 20, height // 20, width, height)), 88


def two_colours(draw: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two colours that are at least 60 levels apart in a channel."""
    while True:
        one, other = draw.integers(0, 256, (2, 3))
        if np.abs(one - other).max() >= 60:
            return tuple(one.tolist()), tuple(other.tolist())


def forms(draw: np.random.Generator) -> tuple[Image.Image, Image.Image]:
    """A form twice, with two names."""
    words = ["name", "address", "date", "amount", "city", "number", "signature", "street"]
    names = ["Anna Adler", "Bert Braun", "Clara Conti", "David Diaz", "Emil Egger", "Fay Fisher"]
    printed = [" ".join(draw.choice(words, 8)) for _ in range(24)]
    line, found = draw.integers(3, 20), []
    for name in draw.choice(names, 2, replace=False):
        page = Image.new("RGB", (1240, 1754), "white")
        pen = ImageDraw.Draw(page)
        for number, text in enumerate(printed):
            pen.text((120, 150 + 60 * number), text, "black", ImageFont.load_default(24))
        pen.text((500, 178 + 60 * line), str(name), "blue", ImageFont.load_default(30))
        found.append(page)
    return found[0], found[1]


def main() -> None:
    """Plant, index, find, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("export", type=Path, help="an export, or its ONNX file")
    parser.add_argument("--photos", help="change the photos of this folder, not synthetic scenes")
    parser.add_argument("--pairs", type=int, default=25, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw = np.random.default_rng(options.seed)
    kinds = SAME + OTHER + APART
    photos = find_images([options.photos]) if options.photos else []
    chosen = iter(draw.permutation(photos)[: len(kinds) * options.pairs])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "pictures"
        root.mkdir()
        for kind in kinds:
            for number in range(options.pairs):
                own = kind not in ("other text", "other colour")
                photo = Image.open(next(chosen)).convert("RGB") if photos and own else None
                one, other, quality = planted(kind, draw, photo)
                one.save(root / f"{kind}-{number}-a.jpg", quality=92)
                other.save(root / f"{kind}-{number}-b.jpg", quality=quality)
        encoder = Encoder.load(options.export)
        with PhotoIndex.open(Path(folder) / "index", encoder) as index:
            index.sync(encoder, [root])
            groups = find_duplicates(index, encoder.bits // 8).groups
    found, strange = dict.fromkeys(kinds, 0), []
    for group in groups:
        first, *rest = [Path(member.photo.path).stem.rsplit("-", 1)[0] for member in group]
        for name in rest:
            if name == first:
                found[name.rsplit("-", 1)[0]] += 1
            else:
                strange.append(f"{first}, {name}")
    right = sum(found[kind] for kind in SAME)
    wrong = sum(found[kind] for kind in OTHER) + len(strange)
    print(json.dumps({
        "pairs_of_each_kind": options.pairs,
        "found": found,
        "unrelated_pictures": strange,
        "recall": round(right / (len(SAME) * options.pairs), 3),
        "precision": round(right / max(1, right + wrong), 3),
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()
