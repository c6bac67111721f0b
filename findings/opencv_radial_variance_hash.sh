#!/usr/bin/env bash
# OpenCV's img_hash: compare() of five hashes is a distance, that of RadialVarianceHash a likeness.
#
# What one would expect: all classes of cv2.img_hash share one interface, and compare() of a picture
# with itself is 0; the smaller, the more alike. So a loop over the classes may sort by it.
# What happens: AverageHash, PHash, BlockMeanHash, ColorMomentHash and MarrHildrethHash do so.
# RadialVarianceHash gives the largest correlation, 1 for the same picture and less for others. Sorted
# with the others the most unlike picture comes first, and a threshold such as "at most 0.1" takes in
# the unlike ones and leaves out the copy.
# Seen with: opencv-contrib-python-headless 5.0.0.93, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/opencv_radial_variance_hash.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  opencv-contrib-python-headless==5.0.0.93 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import cv2
import numpy as np


def scene(seed):
    """A smooth picture: no two seeds look alike."""
    noise = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return cv2.resize(noise, (256, 256), interpolation=cv2.INTER_CUBIC)


picture = scene(0)
_, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 60])
copy = cv2.imdecode(coded, cv2.IMREAD_COLOR)
others = [scene(seed) for seed in range(1, 11)]
first = {}
for name in ("AverageHash", "PHash", "BlockMeanHash", "ColorMomentHash", "MarrHildrethHash",
             "RadialVarianceHash"):
    hasher = getattr(cv2.img_hash, f"{name}_create")()
    query = hasher.compute(picture)
    same, near, *far = (hasher.compare(query, hasher.compute(p)) for p in (picture, copy, *others))
    first[name] = near < min(far), near > max(far), round(same, 3)
    print(f"{name:<18} itself {same:8.3f}   its JPEG {near:8.3f}   ten others "
          f"{min(far):8.3f} to {max(far):8.3f}")
described = first.pop("RadialVarianceHash") == (False, True, 1.0) and set(first.values()) == {
    (True, False, 0.0)
}
print("as described" if described else f"CHANGED: {first}")
sys.exit(not described)
PYTHON
