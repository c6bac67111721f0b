#!/usr/bin/env bash
# usearch 2.26.6 takes a radius for search() and passes over it: neighbours at any distance come.
#
# What one would expect: Index.search(codes, count, radius=10) gives the neighbours up to distance
# 10, or the first count of them. The parameter is the third one of the signature.
# What happens: nothing reads it. With radius 10, 1 and 0 all 500 codes come back, up to distance 42
# of 64 bits, for one query and for a batch, with and without exact=True. No error, no warning; only
# the docstring has no line on it. Who takes the answer for near duplicates gets count of them for
# each picture.
# Seen with: usearch 2.26.6, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/usearch_radius_of_search.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  usearch==2.26.6 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import inspect
import sys

import numpy as np
from usearch.index import Index

COUNT = 500
rng = np.random.default_rng(0)
codes = rng.integers(0, 256, (COUNT, 8), np.uint8)
queries = codes[:3] ^ np.uint8(1)
distances = np.bitwise_count(codes[np.newaxis] ^ queries[:, np.newaxis]).sum(axis=2)
index = Index(ndim=64, metric="hamming", dtype="b1")
index.add(np.arange(COUNT), codes)
print("search" + str(inspect.signature(index.search))[:58] + " ...")
asked = "radius" in inspect.signature(index.search).parameters
described = asked and "param radius" not in (index.search.__doc__ or "")
for exact in (False, True):
    for radius in (10.0, 1.0, 0.0):
        one = index.search(queries[0], COUNT, radius=radius, exact=exact)
        many = index.search(queries, COUNT, radius=radius, exact=exact)
        within = int((distances[0] <= radius).sum())
        print(f"exact={exact!s:<5} radius {radius:>2.0f}: {len(one)} codes, farthest at "
              f"{one.distances.max():.0f}; within it lie {within}; batch {many.counts.tolist()}")
        described &= within < 2 and len(one) > 400 and many.counts.min() > 400
        described &= one.distances.max() > 30
positional = index.search(queries[0], 5, 10.0)
print("search(query, 5, 10.0):", positional.distances.tolist())
described &= len(positional) == 5 and positional.distances.max() > 10
print("as described" if described else "CHANGED")
sys.exit(not described)
PYTHON
