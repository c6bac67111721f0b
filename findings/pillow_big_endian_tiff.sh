#!/usr/bin/env bash
# Pillow 13.0.0 turns the bytes of a big-endian TIFF once too often, if its numbers have a sign or
# are floats and the file is compressed.
#
# What one would expect: compression changes no pixel. A big-endian TIFF of int16, int32 or float32
# opens with the values that were written, whether it is compressed or not.
# What happens: uncompressed, the values are right, and so are unsigned 16 bits and every
# little-endian file. Compressed with Deflate, each value comes with its bytes in the other order:
# 300 becomes 11265, and floats become nearly 0. There is no error and no warning.
# Seen with: Pillow 13.0.0, tifffile 2026.3.3 (which writes the files and reads them back right),
# NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/pillow_big_endian_tiff.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import numpy as np
import tifffile
from PIL import Image

values = np.arange(64).reshape(8, 8) * 400 + 300
wrong = []
for kind in ("int16", "int32", "float32", "uint16"):
    for order in "<>":
        for compression in (None, "zlib"):
            stream = io.BytesIO()
            written = values.astype(kind)
            tifffile.imwrite(
                stream, written, byteorder=order, compression=compression, photometric="minisblack"
            )
            stream.seek(0)
            assert np.array_equal(tifffile.imread(stream), written)
            stream.seek(0)
            read = np.asarray(Image.open(stream))
            equal = np.array_equal(read.astype(np.float64), written.astype(np.float64))
            print(f"{kind:<8} {order} {compression or 'none':<5} first value {read[0, 0]:>14} "
                  f"{'right' if equal else 'WRONG, 300 was written'}")
            if not equal:
                wrong.append((kind, order, compression))
expected = [(kind, ">", "zlib") for kind in ("int16", "int32", "float32")]
print("as described" if wrong == expected else f"CHANGED: wrong are {wrong}")
sys.exit(wrong != expected)
PYTHON
