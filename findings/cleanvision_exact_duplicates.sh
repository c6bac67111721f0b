#!/usr/bin/env bash
# CleanVision 0.3.7: "exact duplicates" are files whose pixels have the same bytes, whatever their
# size, mode and palette.
#
# What one would expect: exact duplicates are "images that are identical to each other", as its page
# says, so that all but one of a set may be deleted.
# What happens: the MD5 sum is that of the bytes of the pixels alone. A red of 100 x 200 and one of
# 200 x 100 are duplicates, and so are a grey picture of 300 x 100 and one in RGB of 100 x 100. Of
# pictures with a palette the numbers are compared, not the colours: the same map or chart in other
# colours is a duplicate, while one and the same picture with and without a palette is none.
# Seen with: CleanVision 0.3.7, Pillow 13.0.0, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/cleanvision_exact_duplicates.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  cleanvision==0.3.7 pillow==13.0.0 numpy==2.4.6
cat > "$folder/look.py" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
from cleanvision import Imagelab
from PIL import Image


def main():
    pictures = Path(sys.argv[1])
    pictures.mkdir()
    rng = np.random.default_rng(0)
    made = {
        "red_tall": Image.new("RGB", (100, 200), "red"),
        "red_wide": Image.new("RGB", (200, 100), "red"),
        "level_7_grey": Image.new("L", (300, 100), 7),
        "level_7_rgb": Image.new("RGB", (100, 100), (7, 7, 7)),
    }
    numbers = rng.integers(0, 4, (60, 80), np.uint8)
    palettes = {
        "chart_dark": [0, 0, 0, 0, 0, 90, 60, 0, 0, 0, 50, 0],
        "chart_light": [255, 255, 255, 255, 200, 0, 0, 220, 255, 255, 120, 120],
    }
    for name, palette in palettes.items():
        made[name] = Image.fromarray(numbers)
        made[name].putpalette(palette)
    made["chart_dark_rgb"] = made["chart_dark"].convert("RGB")
    photo = Image.fromarray(rng.integers(0, 256, (60, 80, 3), np.uint8))
    made |= {"photo": photo, "photo_again": photo.copy(), "photo_turned": photo.rotate(180)}
    for name, picture in made.items():
        picture.save(pictures / f"{name}.png")
    lab = Imagelab(data_path=str(pictures), verbose=False)
    lab.find_issues({"exact_duplicates": {}}, n_jobs=1, verbose=False)
    sets = sorted(sorted(Path(path).stem for path in one)
                  for one in lab.info["exact_duplicates"]["sets"])
    for one in sets:
        print("exact duplicates:", ", ".join(f"{name} {made[name].mode} {made[name].size}"
                                             for name in one))
    for one, other in (("chart_dark", "chart_light"), ("chart_dark", "chart_dark_rgb")):
        apart = np.abs(np.int16(made[one].convert("RGB")) - np.int16(made[other].convert("RGB")))
        print(f"{one} and {other}: {apart.mean():.0f} levels apart on average")
    described = sets == [
        ["chart_dark", "chart_light"],
        ["level_7_grey", "level_7_rgb"],
        ["photo", "photo_again"],
        ["red_tall", "red_wide"],
    ]
    print("as described" if described else "CHANGED")
    sys.exit(not described)


if __name__ == "__main__":
    main()
PYTHON
"$folder/venv/bin/python" "$folder/look.py" "$folder/pictures" 2> "$folder/errors" ||
  { tail -n 5 "$folder/errors"; exit 1; }
