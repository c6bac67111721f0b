#!/usr/bin/env bash
# PDQ (pdqhash 0.2): pictures of one colour are as far from each other as unlike photos, a grey from
# the next grey too; no two of them match, and neither do two prints of a nearly white page.
#
# What one would expect: pictures of one colour have nothing to tell them apart, so they share one
# hash, as with imagehash's average, difference and wavelet hash. They are the usual false matches.
# What happens: the transform of a flat picture is all rounding error, and PDQ takes its median, so
# half of its bits are noise. Black has no bit set, all other greys some 60 to 80. Levels 100 and 101
# are 93 of 256 bits apart, where a match is up to 31. Level 200 equals 100 to the last bit, since
# doubling a float keeps its digits. Only the second result, the quality, tells: it is 0 for all.
# Seen with: pdqhash 0.2.8, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/pdqhash_flat_pictures.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pdqhash==0.2.8 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import pdqhash

MATCH = 31  # what the makers of PDQ take for the same picture
LEVELS = (0, 50, 100, 101, 128, 200, 255)


def apart(one, other):
    return int((one != other).sum())


hashes, qualities = {}, set()
for level in LEVELS:
    hashes[level], quality = pdqhash.compute(np.full((256, 256, 3), level, np.uint8))
    qualities.add(quality)
    print(f"level {level:>3}: {int(hashes[level].sum()):>3} bits set, quality {quality}")
pairs = [(a, b) for a in LEVELS for b in LEVELS if 0 < a < b]
distances = {(a, b): apart(hashes[a], hashes[b]) for a, b in pairs}
for pair, distance in distances.items():
    print(f"levels {pair[0]:>3} and {pair[1]:>3}: {distance:>3} of 256 bits apart")
rng = np.random.default_rng(0)
pages = [rng.integers(253, 256, (256, 256, 3), dtype=np.uint8) for _ in range(2)]
of_pages = [pdqhash.compute(page) for page in pages]
between = apart(of_pages[0][0], of_pages[1][0])
print(f"two white pages with a little noise: {between} bits apart, quality "
      f"{[quality for _, quality in of_pages]}")
doubled = {(50, 100), (50, 200), (100, 200)}
described = (
    not hashes[0].any()
    and qualities == {0}
    and all((distance == 0) == (pair in doubled) for pair, distance in distances.items())
    and min(distance for distance in distances.values() if distance) > MATCH
    and between > MATCH
)
print("as described" if described else "CHANGED")
sys.exit(not described)
PYTHON
