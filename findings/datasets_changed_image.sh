#!/usr/bin/env bash
# Hugging Face datasets 5.2.0 keeps the file of a picture that was changed in place, not its pixels.
#
# What one would expect: a PIL image that is put into an Image column, or returned from map(), is
# stored as it is.
# What happens: an image that Pillow opened from a path still has its filename, and the library then
# stores that path alone. What ImageDraw, paste() and thumbnail() did in place is gone: a face that
# was painted over is back, a thumbnail has the old size, in save_to_disk() and to_parquet(), too.
# No error, no warning. A copy() first, or a call that gives a new image, as resize(), helps.
# So is a picture that came from bytes: one map() works on one dataset and not on another.
# Seen with: datasets 5.2.0, Pillow 13.0.0, NumPy 2.4.6, pyarrow 26.0.1, Python 3.11, Linux
# x86-64.
#
#   bash findings/datasets_changed_image.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  datasets==5.2.0 pillow==13.0.0 numpy==2.4.6 pyarrow==26.0.1
cd "$folder"
export HF_HOME="$folder/cache" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from datasets import Dataset, Features, Image, load_from_disk
from PIL import Image as Pillow
from PIL import ImageDraw

rng = np.random.default_rng(0)
pixels = np.kron(rng.integers(90, 256, (8, 8, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
Pillow.fromarray(pixels).save("photo.jpg", quality=95)


def painted(image):
    ImageDraw.Draw(image).rectangle((0, 0, 63, 127), fill=(0, 0, 0))
    return image


def small(image):
    image.thumbnail((32, 32))
    return image


def look(dataset):
    """Mean of the left half, which is painted black, and the width."""
    image = dataset[0]["image"]
    left = np.asarray(image)[:, : image.width // 2]
    return round(float(left.mean())), image.width


def one(image):
    return Dataset.from_dict({"image": [image]}, features=Features({"image": Image()}))


def opened():
    return Pillow.open("photo.jpg")


def by_map(dataset, change):
    return dataset.map(lambda row: {"image": change(row["image"])}, load_from_cache_file=False)


path = Dataset.from_dict({"image": ["photo.jpg"]}).cast_column("image", Image())
with open("photo.jpg", "rb") as file:
    content = {"bytes": file.read(), "path": None}
embedded = Dataset.from_dict({"image": [content]}).cast_column("image", Image())
one(painted(opened())).save_to_disk("saved")
one(painted(opened())).to_parquet("saved.parquet")
found = {
    "painted, in memory": look(one(painted(opened()))),
    "painted, save_to_disk()": look(load_from_disk("saved")),
    "painted, to_parquet()": look(Dataset.from_parquet("saved.parquet")),
    "painted, map() of paths": look(by_map(path, painted)),
    "painted, map() of bytes": look(by_map(embedded, painted)),
    "painted, copy() first": look(one(painted(opened().copy()))),
    "thumbnail(), in memory": look(one(small(opened()))),
    "thumbnail(), map() of paths": look(by_map(path, small)),
    "thumbnail(), map() of bytes": look(by_map(embedded, small)),
}
right = {"painted, map() of bytes", "painted, copy() first", "thumbnail(), map() of bytes"}
described = True
for name, (mean, width) in found.items():
    print(f"{name:<29} left half {mean:>3}, width {width}")
    kept = mean < 3 if "painted" in name else width == 32
    described &= kept == (name in right)
    described &= kept or (mean > 150 and width == 128)
print("as described" if described else "CHANGED")
sys.exit(not described)
PYTHON
