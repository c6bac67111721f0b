#!/usr/bin/env bash
# fastparquet 2026.9.0 takes the zero bytes off the end of binary values of a fixed length.
#
# What one would expect: a Parquet column of FIXED_LEN_BYTE_ARRAY(6), such as hash codes of 48 bits,
# has six bytes in each row, as pyarrow, polars, DuckDB and pandas with pyarrow read it.
# What happens: the values pass through a NumPy array of "S6", which has no zeros at its end. A code
# that ends in a zero byte comes back shorter, the code of zeros alone as b"". No error, no warning:
# of random codes one in 256. Distances of codes of unequal length are then wrong, or the rows do not
# fit into an array. A BYTE_ARRAY column (pyarrow.binary() without a length) is read right.
# Seen with: fastparquet 2026.9.0, pandas 3.1.1, NumPy 2.4.6, pyarrow 26.0.1, polars 2.1.0, DuckDB
# 2.0.1, Python 3.11, Linux x86-64.
#
#   bash findings/fastparquet_fixed_binary_zeros.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  fastparquet==2026.9.0 pandas==3.1.1 numpy==2.4.6 pyarrow==26.0.1 polars==2.1.0 duckdb==2.0.1
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import duckdb
import fastparquet
import pandas
import polars
import pyarrow
import pyarrow.parquet

CODES = [b"\1\2\3\4\5\0", b"\0\0\0\0\0\0", b"\0\0\1\0\0\0", b"\1\1\1\1\1\1"]


def lengths(name):
    """Bytes of each code, by reader."""
    return {
        "fastparquet": [len(c) for c in fastparquet.ParquetFile(name).to_pandas().code],
        "pyarrow": [len(c) for c in pyarrow.parquet.read_table(name)["code"].to_pylist()],
        "pandas": [len(c) for c in pandas.read_parquet(name, engine="pyarrow").code],
        "polars": [len(c) for c in polars.read_parquet(name)["code"]],
        "DuckDB": [len(c) for (c,) in duckdb.sql(f"SELECT code FROM '{name}'").fetchall()],
    }


seen = {}
for name, kind in (("fixed", pyarrow.binary(6)), ("free", pyarrow.binary())):
    table = pyarrow.table({"code": pyarrow.array(CODES, kind)})
    pyarrow.parquet.write_table(table, f"{name}.parquet")
    seen[name] = lengths(f"{name}.parquet")
for name, readers in seen.items():
    for reader, found in readers.items():
        print(f"{name:<6}{reader:<12}{found}")
described = {
    (name, reader): [5, 0, 3, 6] if reader == "fastparquet" and name == "fixed" else [6] * 4
    for name, readers in seen.items()
    for reader in readers
}
found = {(name, reader): bytes_ for name, row in seen.items() for reader, bytes_ in row.items()}
print("as described" if found == described else "CHANGED")
sys.exit(found != described)
PYTHON
