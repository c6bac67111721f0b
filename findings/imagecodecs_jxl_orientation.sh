#!/usr/bin/env bash
# imagecodecs 2026.3.6: of two JPEG XL files of one photo, with the same EXIF orientation, one comes
# turned upright and the other as it was stored.
#
# What one would expect: one rule. For JPEG, PNG, WebP and TIFF imagecodecs gives the stored pixels,
# and the caller turns them by EXIF.
# What happens: JPEG XL keeps an orientation of its own beside EXIF. A file that was made from a JPEG
# without loss has it, and the decoder turns the picture; a file that was made of pixels and EXIF
# has none, and it is left as it lies. So whoever turns by EXIF turns the first kind twice, and
# whoever does not leaves the second kind lying. pillow-jxl-plugin leaves both as they are stored,
# so that ImageOps.exif_transpose is right for both.
# Seen with: imagecodecs 2026.3.6 (the last for Python 3.11), pillow-jxl-plugin 1.3.8, Pillow 13.0.0,
# Python 3.11, Linux x86-64.
#
#   bash findings/imagecodecs_jxl_orientation.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pillow==13.0.0 pillow-jxl-plugin==1.3.8 imagecodecs==2026.3.6 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from pathlib import Path

import imagecodecs
import pillow_jxl  # registers the format
from PIL import Image, ImageOps

ORIENTATION = 0x0112
exif = Image.Exif()
exif[ORIENTATION] = 6  # to be turned a quarter, as phones write it
stored = Image.new("RGB", (80, 40), (200, 60, 40))
stored.save("photo.jpg", exif=exif)
Image.open("photo.jpg").save("from_jpeg.jxl", lossless_jpeg=True)
stored.save("from_pixels.jxl", exif=exif.tobytes())
seen = {"photo.jpg": imagecodecs.jpeg_decode(Path("photo.jpg").read_bytes()).shape[1::-1]}
upright = {}
for name in ("from_jpeg.jxl", "from_pixels.jxl"):
    seen[name] = imagecodecs.jpegxl_decode(Path(name).read_bytes()).shape[1::-1]
    image = Image.open(name)
    assert image.getexif()[ORIENTATION] == 6, "both say the same in EXIF"
    assert image.size == (80, 40), "Pillow gives the stored pixels of both"
    upright[name] = ImageOps.exif_transpose(image).size
for name, size in seen.items():
    print(f"{name:<17}imagecodecs {size}" + f"  Pillow, by EXIF {upright.get(name, '')}")
described = {"photo.jpg": (80, 40), "from_jpeg.jxl": (40, 80), "from_pixels.jxl": (80, 40)}
as_described = seen == described and set(upright.values()) == {(40, 80)}
print("as described" if as_described else f"CHANGED: {seen}, {upright}")
sys.exit(not as_described)
PYTHON
