#!/usr/bin/env bash
# NumPy 2.4 counts the bits of the absolute value: Hamming distances of signed 64-bit codes are wrong
# for one pair in two.
#
# What one would expect: np.bitwise_count(a ^ b) is the number of bits in which two words differ, as
# bit_count of DuckDB, bitwise_count_ones of Polars and the processor's own instruction count them;
# -1 has 64 ones.
# What happens: np.bitwise_count(np.int64(-1)) is 1. Databases and Parquet files give 64-bit codes as
# signed integers (BIGINT, int64). Where the highest bits of two codes differ, their exclusive or is
# negative, and the distance is that of another number, too large or too small, without a warning.
# A code at distance 64 comes out at distance 1. Viewed as uint64 first, every distance is right.
# Seen with: NumPy 2.4.6, DuckDB 2.0.1, Polars 2.1.0, Python 3.11, Linux x86-64.
#
#   bash findings/numpy_bit_count_of_signed_codes.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  numpy==2.4.6 duckdb==2.0.1 polars==2.1.0 pyarrow==26.0.1
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import duckdb
import numpy as np
import polars as pl

rng = np.random.default_rng(0)
codes = rng.integers(-(2**63), 2**63, (2, 10_000), np.int64)
differ = codes[0] ^ codes[1]
right = np.array([(int(value) & (2**64 - 1)).bit_count() for value in differ])
frame = pl.DataFrame({"differ": differ})
counts = {
    "NumPy, int64": np.bitwise_count(differ),
    "NumPy, viewed as uint64": np.bitwise_count(differ.view(np.uint64)),
    "DuckDB, BIGINT": np.array(
        [row[0] for row in duckdb.sql("SELECT bit_count(differ) FROM frame").fetchall()]
    ),
    "Polars, Int64": frame["differ"].bitwise_count_ones().to_numpy(),
}
wrong = {}
for name, count in counts.items():
    wrong[name] = int((count.astype(int) != right).sum())
    print(f"{name:<24} {wrong[name]:>5} of {len(right):,} distances are wrong")
opposite = np.int64(0) ^ np.int64(-1)
print("all 64 bits differ: NumPy counts", int(np.bitwise_count(opposite)))
negative = int((differ < 0).sum())
described = (
    0.9 * negative < wrong.pop("NumPy, int64") <= negative
    and not any(wrong.values())
    and int(np.bitwise_count(opposite)) == 1
)
print("as described" if described else "CHANGED")
sys.exit(not described)
PYTHON
