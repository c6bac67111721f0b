#!/usr/bin/env bash
# pillow-jxl-plugin 1.3.8: a JPEG that is opened, changed in place and saved as JPEG XL comes back
# unchanged: the file holds the JPEG as it lies on the disk.
#
# What one would expect: save() writes the pixels that the image has, as it does for PNG, WebP, AVIF
# and TIFF.
# What happens: where the image was opened from a JPEG file, the plug-in reads that file again and
# packs its bytes (JPEG reconstruction, its default). What was drawn over the picture is not there;
# a thumbnail has the full size again. `quality=` does not help. A warning speaks of reconstruction,
# not of what is lost. `lossless_jpeg=False` writes the pixels, and so does a copy of the image,
# which no longer knows its file.
# Seen with: pillow-jxl-plugin 1.3.8, Pillow 13.0.0, Python 3.11, Linux x86-64.
#
#   bash findings/pillow_jxl_edited_jpeg.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pillow==13.0.0 pillow-jxl-plugin==1.3.8
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import warnings

import pillow_jxl  # registers the format
from PIL import Image, ImageDraw

warnings.simplefilter("ignore", UserWarning)
Image.new("RGB", (96, 64), (200, 60, 40)).save("photo.jpg", quality=95)


def back(name, change, copy=False, **options):
    """Size and first pixel of a changed photo, before it is saved and when it is read again."""
    image = Image.open("photo.jpg")
    change(image)
    if copy:
        image = image.copy()
    image.save(name, **options)
    read = Image.open(name).convert("RGB")
    first = image.convert("RGB").getpixel((2, 2)), read.getpixel((2, 2))
    kept = image.size == read.size and all(abs(a - b) < 12 for a, b in zip(*first))
    print(f"{name:<12}{str(options):<26}saved {image.size} {first[0]}, read {read.size} {first[1]}")
    return kept


def cover(image):
    """Hide a part of the picture."""
    ImageDraw.Draw(image).rectangle((0, 0, 30, 63), fill=(0, 0, 0))


def shrink(image):
    """Make a thumbnail."""
    image.thumbnail((24, 24))


seen = {
    "covered": back("covered.jxl", cover),
    "covered, quality": back("quality.jxl", cover, quality=80),
    "thumbnail": back("small.jxl", shrink),
    "covered, lossless_jpeg=False": back("pixels.jxl", cover, lossless_jpeg=False),
    "covered, copied": back("copy.jxl", cover, copy=True),
}
others = [back(f"covered.{kind}", cover) for kind in ("png", "webp", "avif", "tiff")]
described = dict(zip(seen, (False, False, False, True, True)))
as_described = seen == described and all(others)
print("as described" if as_described else f"CHANGED: {seen}, other formats {others}")
sys.exit(not as_described)
PYTHON
