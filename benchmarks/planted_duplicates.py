"""Plants pairs of pictures by kind, and counts which of them `ssah duplicates` finds.

Duplicates: rescaled, recompressed, cropped to 90 %, brightened, watermarked scenes; mirrored and
turned ones, as they are and changed like that as well. No duplicates: forms with other text, cards
of other colours, panoramas with other sides, skies, things that are symmetric. Bursts are counted
apart: a scene again within a minute, an hour later, and another scene within a minute.

    python benchmarks/planted_duplicates.py EXPORT
    python benchmarks/planted_duplicates.py EXPORT --photos FOLDER
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageDraw, ImageEnhance, ImageFont

from ssah_tf.encoding.encode import find_images
from ssah_tf.encoding.encoder import Encoder
from ssah_tf.search.duplicates import find_duplicates
from ssah_tf.search.photo_index import PhotoIndex

SAME = ("rescaled", "recompressed", "cropped", "brightened", "watermarked")
TURNED = ("mirrored", "turned", "mirrored and changed", "turned and changed")
OTHER = ("other text", "other colour", "other sides")
#: Alike from several sides, so that they could be taken for turned ones; counted against those.
SIDES = ("sky", "symmetric")
APART = ("burst", "an hour later", "other scene in a minute")
#: Pictures that are made up, whatever the photos are.
MADE = ("other text", "other colour", "sky")


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
    if kind == "sky":
        return sky(draw), sky(draw), 92
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
    if kind == "symmetric":
        halves = [one.crop((x, 0, x + width // 2, height)) for x in (0, width // 2)]
        return both_halves(halves[0]), both_halves(halves[1]), 92
    if kind in TURNED:
        way = Image.Transpose.FLIP_LEFT_RIGHT
        if kind.startswith("turned"):
            way = draw.choice([way for way in Image.Transpose if way is not way.FLIP_LEFT_RIGHT])
        other = one.transpose(Image.Transpose(way))
        if kind in ("mirrored", "turned"):
            return one, other, 88
        return one, *planted(str(draw.choice(SAME[:4])), draw, other)[1:]
    moved = one.rotate(draw.uniform(1, 3), Image.Resampling.BICUBIC)  # burst
    return one, moved.crop((width // 20, height // 20, width, height)), 88


def sky(draw: np.random.Generator) -> Image.Image:
    """A soft passage from one blue to another, in any direction, with grain."""
    angle, top = draw.uniform(0, 2 * np.pi), draw.integers((60, 110, 180), (140, 180, 240))
    y, x = np.mgrid[0:1:480j, 0:1:640j] - 0.5
    share = (x * np.cos(angle) + y * np.sin(angle))[..., None] + draw.normal(0, 0.01, (480, 640, 1))
    return Image.fromarray(np.clip(top + 80 * share, 0, 255).astype(np.uint8))


def both_halves(half: Image.Image) -> Image.Image:
    """A picture that is its own mirror image."""
    whole = Image.new("RGB", (2 * half.width, half.height))
    whole.paste(half, (0, 0))
    whole.paste(half.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (half.width, 0))
    return whole


def taken(seconds: float) -> Image.Exif:
    """EXIF data of a photo that was taken so long after the first of January 2024."""
    moment = datetime(2024, 1, 1) + timedelta(seconds=seconds)
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = f"{moment:%Y:%m:%d %H:%M:%S}"
    return exif


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
    kinds = SAME + TURNED + OTHER + SIDES + APART
    photos = find_images([options.photos]).paths if options.photos else []
    order = draw.permutation(photos)
    chosen, others = iter(order), order[len(kinds) * options.pairs :].tolist()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "pictures"
        root.mkdir()
        for kind in kinds:
            for number in range(options.pairs):
                photo = None
                if photos and kind not in MADE:
                    photo = Image.open(path := next(chosen)).convert("RGB")
                one, other, quality = planted(kind, draw, photo)
                if kind == "other scene in a minute":
                    other = another(path, others) if photos else scene(draw)
                moments = [{}, {}]
                if kind in APART:
                    began = 86_400 * (APART.index(kind) * options.pairs + number)
                    later = 3600 if kind == "an hour later" else draw.integers(1, 50)
                    moments = [{"exif": taken(began)}, {"exif": taken(began + float(later))}]
                one.save(root / f"{kind}-{number}-a.jpg", quality=92, **moments[0])
                other.save(root / f"{kind}-{number}-b.jpg", quality=quality, **moments[1])
        encoder = Encoder.load(options.export)
        with PhotoIndex.open(Path(folder) / "index", encoder) as index:
            index.sync(encoder, [root])
            began = time.process_time()
            groups = find_duplicates(index, encoder.bits // 8).groups
            took = time.process_time() - began
    found = {kind: Counter() for kind in kinds}
    strange: list[tuple[str, str, str]] = []
    for group in groups:
        first, *rest = [Path(member.photo.path).stem.rsplit("-", 1)[0] for member in group]
        for name, member in zip(rest, group[1:], strict=True):
            if name == first:
                found[name.rsplit("-", 1)[0]][member.kind] += 1
            else:
                strange.append((first, name, member.kind))
    near = sum(found[kind]["near"] for kind in SAME)
    turned = sum(found[kind][kind.split()[0]] for kind in TURNED)
    wrong = sum(found[kind].total() for kind in OTHER)
    wrong += sum(kind == "near" and not first.startswith("sky") for first, _, kind in strange)
    other_way = sum(
        counts["mirrored"] + counts["turned"] for counts in found.values()
    ) + sum(kind in ("mirrored", "turned") for *_, kind in strange) - turned  # fmt: skip
    print(json.dumps({
        "pairs_of_each_kind": options.pairs,
        "found": {kind: dict(counts) for kind, counts in found.items()},
        "unrelated_pictures": [f"{first}, {name}: {kind}" for first, name, kind in strange],
        "recall": round(near / (len(SAME) * options.pairs), 3),
        "precision": round(near / max(1, near + wrong), 3),
        "recall_turned": round(turned / (len(TURNED) * options.pairs), 3),
        "precision_turned": round(turned / max(1, turned + other_way), 3),
        "processor_seconds": round(took, 1),
    }, indent=1))  # fmt: skip


def another(path: str, others: list[str]) -> Image.Image:
    """A photo of the folder of one, that is in no other pair; it is taken out of the others."""
    name = next(other for other in others if Path(other).parent == Path(path).parent)
    others.remove(name)
    return Image.open(name).convert("RGB")


if __name__ == "__main__":
    main()
