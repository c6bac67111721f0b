#!/usr/bin/env bash
# SurrealDB 2.0.0 (Python, embedded): a search of neighbours by JACCARD or PEARSON gives the codes
# that are least alike, and the Jaccard likeness of two vectors of 0 and 1 is above 1.
#
# What one would expect: WHERE code <|5, JACCARD|> $query has the five most alike, the stored code
# itself first at distance 0, as with HAMMING, COSINE and EUCLIDEAN. The number that
# vector::similarity::jaccard() gives is between 0 and 1.
# What happens: the likeness is taken for the distance, as it is. Of sets of numbers those come
# first that have none in common, and the set itself comes last, at 1.0; in an HNSW index with DIST
# JACCARD, too. By PEARSON the lowest correlation comes first. In Jaccard a number counts each time
# that it comes, over how many different ones there are: four ones against themselves give 4.0, and
# 48 bits of both kinds 24.0 against any others. HAMMING is right. No error, no warning.
# Seen with: surrealdb 2.0.0, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/surrealdb_jaccard_search.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  surrealdb==2.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from surrealdb import Surreal

rng = np.random.default_rng(0)
codes = rng.integers(0, 2, (200, 48))
sets = np.stack([rng.permutation(48)[:12] for _ in range(200)])  # the places of twelve ones
database = Surreal("mem://")
database.use("findings", "findings")
described = True

for one, other, known in (
    ([1, 2, 3, 4], [3, 4, 5, 6], 1 / 3),
    ([1, 1, 1, 1], [1, 1, 1, 1], 4.0),
    ([0, 0, 1, 1], [1, 1, 0, 0], 2.0),
    (codes[0].tolist(), codes[1].tolist(), 24.0),
):
    found = database.query("RETURN vector::similarity::jaccard($a, $b)", {"a": one, "b": other})
    print("likeness", str(one)[:12], str(other)[:12], round(found, 3))
    described &= abs(found - known) < 1e-9
rows = [{"id": i, "code": code.tolist(), "ones": ones.tolist()}
        for i, (code, ones) in enumerate(zip(codes, sets))]
database.query("INSERT INTO photo $rows", {"rows": rows})


def nearest(field, how, query):
    text = (f"SELECT id, vector::distance::knn() AS d FROM photo WHERE {field} <|5, {how}|> $q "
            "ORDER BY d")
    found = database.query(text, {"q": query.tolist()})
    return [row["id"].id for row in found], [float(row["d"]) for row in found]


def show(name, likeness, found):
    ids, distances = found
    print(f"{name:<16} likeness of the five {np.round(likeness[ids], 2).tolist()}, least "
          f"{likeness.min():.2f}, most {likeness.max():.2f}; distances "
          f"{[round(d, 2) for d in distances]}")
    return 0 in ids, np.allclose(np.sort(likeness)[:5], distances)


shared = np.array([len(set(sets[0]) & set(ones)) for ones in sets])
share = shared / (24 - shared)
correlation = np.corrcoef(codes)[0]
same = 48.0 - (codes != codes[0]).sum(axis=1)
described &= show("sets, JACCARD", share, nearest("ones", "JACCARD", sets[0])) == (False, True)
database.query(
    "DEFINE INDEX graph ON photo FIELDS ones HNSW DIMENSION 12 TYPE I16 DIST JACCARD"
)
itself, _ = show("sets, HNSW", share, nearest("ones", "100", sets[0]))
described &= not itself
described &= show("codes, PEARSON", correlation,
                  nearest("code", "PEARSON", codes[0])) == (False, True)
ids, distances = nearest("code", "HAMMING", codes[0])
show("codes, HAMMING", same, (ids, distances))
described &= ids[0] == 0 and distances == np.sort(48 - same)[:5].tolist()
print("as described" if described else "CHANGED")
sys.exit(not described)
PYTHON
