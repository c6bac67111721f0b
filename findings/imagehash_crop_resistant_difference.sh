#!/usr/bin/env bash
# ImageHash 4.3: the difference of two crop-resistant hashes depends on which comes first; a white
# picture "matches" photos that do not match it.
#
# What one would expect: a - b is a distance, as for every other hash of this library: equal to b - a,
# and large for a photo and a blank picture.
# What happens: each segment of the left hash looks for its nearest one on the right, and what is
# left over on the right counts for nothing. A blank picture has one segment, whose bits are all 0.
# So blank - photo is the distance of that one segment, a fraction, if the photo has one flat segment;
# photo - blank counts each of its segments that finds none. Which of two photos is nearer to a third
# can depend on the order, and so can a list of duplicates.
# Seen with: ImageHash 4.3.2, Pillow 13.0.0, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/imagehash_crop_resistant_difference.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  imagehash==4.3.2 pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import imagehash
import numpy as np
from PIL import Image


def scene(seed):
    """A smooth picture: no two seeds look alike."""
    noise = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((400, 300), Image.Resampling.BICUBIC)


photos = [imagehash.crop_resistant_hash(scene(seed)) for seed in range(8)]
blank = imagehash.crop_resistant_hash(Image.new("RGB", (400, 300), "white"))
lopsided = 0
for number, photo in enumerate(photos):
    print(f"photo {number}: {len(photo.segment_hashes)} segments; photo - blank {photo - blank:6.3f}, "
          f"blank - photo {blank - photo:6.3f}; itself {photo - photo:g}")
    lopsided += (blank - photo) < 1 < (photo - blank)
pairs = [(a, b) for a in photos for b in photos if a is not b]
unequal = sum((a - b) != (b - a) for a, b in pairs)
print(f"{unequal} of {len(pairs)} differences of two photos depend on the order")
simple = [imagehash.phash(scene(seed)) for seed in range(8)]
assert all(a - b == b - a for a in simple for b in simple), "other hashes: they do not"
described = (
    len(blank.segment_hashes) == 1
    and all(photo - photo == 0 for photo in photos)
    and lopsided >= len(photos) // 2
    and unequal > len(pairs) // 2
)
print("as described" if described else f"CHANGED: {lopsided} lopsided, {unequal} unequal")
sys.exit(not described)
PYTHON
