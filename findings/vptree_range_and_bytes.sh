#!/usr/bin/env bash
# vptree 1.3, a tree for any distance: a range leaves out its end, and codes that are bytes lose the
# zeros at their end on the way into the tree.
#
# What one would expect: get_all_in_range(query, 10), "points within max_distance", has the codes at
# distance 10, and a range of 0 those that are equal, as find() of pybktree does. The distance
# function is called with the codes that were given.
# What happens: the range is below max_distance, so 0 finds nothing, not even the code itself. The
# points go through a NumPy array: bytes become "S8", which has no zeros at its end, so of random
# codes one in 256 comes to the distance function, and back, a byte short. Read as a big-endian
# number it is another code: it does not find itself. Only the first point is kept as it was.
# Seen with: vptree 1.3, pybktree 1.1, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/vptree_range_and_bytes.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  vptree==1.3 pybktree==1.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import random
import sys

import pybktree
import vptree

random.seed(0)
described = True


def of_numbers(one, other):
    return (int(one) ^ int(other)).bit_count()


codes = [random.getrandbits(48) for _ in range(500)]
query = codes[0] ^ 1
trees = vptree.VPTree(codes, of_numbers), pybktree.BKTree(of_numbers, codes)
apart = [of_numbers(query, code) for code in codes]
for radius in (0, 1, 2, min(apart[1:])):
    found = len(trees[0].get_all_in_range(query, radius)), len(trees[1].find(query, radius))
    at_most, below = (sum(test(d) for d in apart) for test in
                      (lambda d: d <= radius, lambda d: d < radius))
    print(f"numbers, range {radius:>2}: vptree {found[0]}, pybktree {found[1]}; "
          f"at most that far {at_most}, nearer {below}")
    described &= found == (below, at_most)
itself = len(trees[0].get_all_in_range(codes[0], 0))
print(f"numbers, a stored code in a range of 0: {itself}")
described &= itself == 0

lengths = {}


def of_bytes(one, other):
    lengths[len(other)] = lengths.get(len(other), 0) + 1
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).bit_count()


codes = [random.randbytes(7) + bytes([i % 250]) for i in range(500)]  # two end in a zero byte
tree = vptree.VPTree(codes, of_bytes)
nearest = {code: tree.get_nearest_neighbor(code) for code in codes}
lost = [code for code, (distance, _) in nearest.items() if distance]
ending = [code for code in codes if code[-1] == 0]
print(f"bytes: {len(ending)} codes end in a zero byte; lengths that the distance saw", lengths)
for code in ending:
    print(f"{code.hex(' ')}: nearest {bytes(nearest[code][1]).hex(' ')}, {nearest[code][0]} bits")
described &= len(ending) == 2 and lost == ending[1:] and set(lengths) == {7, 8}
print("as described" if described else "CHANGED")
sys.exit(not described)
PYTHON
