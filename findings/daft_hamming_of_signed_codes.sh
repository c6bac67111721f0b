#!/usr/bin/env bash
# Daft 0.7.26: hamming_distance() of signed codes is null where one of the two is below zero, and a
# filter for near codes then leaves them out.
#
# What one would expect: hamming_distance(left, right), "popcount of XOR, supports integer inputs",
# counts the bits that differ, also in int64, which is what databases keep codes of 64 bits in.
# What happens: a negative number has no distance, not even to itself. Of random codes that is half,
# and of pairs of them three quarters. hamming_distance(...) <= 10 drops all of these rows, without
# a word. As uint64 the same codes are right; in DuckDB int64 is right, too.
# Seen with: Daft 0.7.26, NumPy 2.4.6, DuckDB 2.0.1, Python 3.11, Linux x86-64.
#
#   bash findings/daft_hamming_of_signed_codes.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  daft==0.7.26 numpy==2.4.6 duckdb==2.0.1
cd "$folder"
DAFT_PROGRESS_BAR=0 "$folder/venv/bin/python" - <<'PYTHON'
import sys

import daft
import duckdb
import numpy as np
from daft.functions import hamming_distance

rng = np.random.default_rng(0)
codes = rng.integers(-(2**63), 2**63, 1000, np.int64)
near = codes ^ (1 << rng.integers(0, 62, 1000))  # each with a copy one bit away, of the same sign
shuffled = rng.permutation(codes)


def distances(left, right, kind=None):
    frame = daft.from_pydict({"left": left, "right": right})
    if kind is not None:
        frame = frame.with_columns({name: frame[name].cast(kind) for name in ("left", "right")})
    frame = frame.with_column("bits", hamming_distance(frame["left"], frame["right"]))
    kept = frame.where(frame["bits"] <= 10).count_rows()
    return frame.to_pydict()["bits"], kept


def unsigned(numbers):
    return numbers.view(np.uint64)


described = True
for name, right in (("a copy one bit away", near), ("itself", codes), ("another", shuffled)):
    wanted = np.bitwise_count(unsigned(codes ^ right)).astype(int)
    negative = (codes < 0) | (right < 0)
    signed, kept = distances(codes, right)
    right_ones, kept_unsigned = distances(unsigned(codes), unsigned(right))
    nulls = sum(one is None for one in signed)
    print(f"int64, to {name:<20}{nulls:>4} of 1000 null; within 10 bits {kept}, as uint64 "
          f"{kept_unsigned}")
    described &= nulls == negative.sum() > 400 and right_ones == wanted.tolist()
    described &= all(one == (None if below else bits)
                     for one, below, bits in zip(signed, negative, wanted.tolist()))
small = {str(kind): distances([5, -1, -1], [3, 0, -1], kind)[0]
         for kind in (daft.DataType.int8(), daft.DataType.int32(), daft.DataType.int64())}
print("5 and 3, -1 and 0, -1 and -1:", small)
described &= all(found == [2, None, None] for found in small.values())
((by_duckdb,),) = duckdb.sql("SELECT bit_count(xor(-1::BIGINT, 0::BIGINT))").fetchall()
print("-1 and 0 in DuckDB:", by_duckdb)
described &= by_duckdb == 64
print("as described" if described else "CHANGED")
sys.exit(not described)
PYTHON
