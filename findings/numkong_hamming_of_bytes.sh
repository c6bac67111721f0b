#!/usr/bin/env bash
# NumKong, the successor of SimSIMD by the same author, counts bytes where codes are packed bits: the
# Hamming distance of two uint8 codes is the number of bytes that differ.
#
# What one would expect: hamming() of packed codes, uint8, counts bits, as it does in FAISS, usearch
# (of the same author) and OpenCV; or it refuses them, as SimSIMD does without a word on the type.
# What happens: SimSIMD raises LookupError unless dtype="bin8" is said, and then counts bits. NumKong
# takes the same call without that word and gives the number of bytes that differ, at most 6 for 48
# bits; cdist likewise. There is no warning, and the order of the neighbours looks plausible.
# dtype="uint1" gives the bits.
# Seen with: NumKong 7.8.6, SimSIMD 6.5.16, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/numkong_hamming_of_bytes.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numkong==7.8.6 simsimd==6.5.16 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numkong
import numpy as np
import simsimd

rng = np.random.default_rng(0)
query, others = rng.integers(0, 256, 6, np.uint8), rng.integers(0, 256, (200, 6), np.uint8)
bits = np.bitwise_count(others ^ query).sum(axis=1)
octets = (others != query).sum(axis=1)


def distances(hamming, *more):
    return np.array([float(hamming(query, other, *more)) for other in others])


try:
    distances(simsimd.hamming)
    refused = False
except LookupError as error:
    refused = True
    print("SimSIMD, no type      ", f"{type(error).__name__}: {error}"[:90])
found = {
    'SimSIMD, "bin8"': (distances(simsimd.hamming, "bin8"), bits),
    "NumKong, no type": (distances(numkong.hamming), octets),
    'NumKong, "uint1"': (distances(numkong.hamming, "uint1"), bits),
    "NumKong, cdist": (
        np.asarray(numkong.cdist(np.stack([query, query]), others, "hamming"))[0], octets
    ),
}
for name, (distance, _) in found.items():
    same = [word for word, known in (("bits", bits), ("bytes", octets))
            if np.array_equal(distance, known)]
    print(f"{name:<22} counts {same or 'something else'}; largest {distance.max():g}")
nearest = np.argsort(bits, kind="stable")[:10]
kept = np.isin(nearest, np.argsort(octets, kind="stable")[:10]).sum()
print(f"of the ten nearest by bits {kept} are among the ten nearest by bytes")
described = refused and all(np.array_equal(one, known) for one, known in found.values())
print("as described" if described else "CHANGED")
sys.exit(not described)
PYTHON
