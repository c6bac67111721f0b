#!/usr/bin/env bash
# mosaicml-streaming 0.10.0: MDS files lose the palette of a picture and the byte order of an array.
#
# What one would expect: a column of kind `pil` gives the picture back that was written, one of kind
# `ndarray` the array. What a kind cannot hold is an error, as other types of numbers are.
# What happens: `pil` stores the numbers of the palette without the palette: of a PNG or GIF of few
# colours all colours are gone, blue comes back black. `ndarray` stores the bytes of a big-endian
# array, as FITS and network protocols have them, under the name of its type without the order:
# codes of 64 bits come back with their bytes exchanged, 1 as 72057594037927936. There is no error,
# no warning. Kind `png` keeps the colours; `ndarray:uint64` refuses such an array.
# The file of the package that writes and reads the kinds is loaded by itself, since all of it needs
# PyTorch.
# Seen with: mosaicml-streaming 0.10.0, Pillow 13.0.0, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/mds_palettes_and_byte_order.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
  mosaicml-streaming==0.10.0 numpy==2.4.6 pillow==13.0.0 typing-extensions==4.16.0
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.util
import io
import sys
import sysconfig

import numpy as np
from PIL import Image

COLOURS = {"blue": (0, 0, 255), "white": (255, 255, 255), "orange": (255, 160, 0)}
place = sysconfig.get_path("purelib") + "/streaming/base/format/mds/encodings.py"
spec = importlib.util.spec_from_file_location("encodings_of_mds", place)
kinds = importlib.util.module_from_spec(spec)
spec.loader.exec_module(kinds)


def there_and_back(kind, value):
    return kinds.mds_decode(kind, kinds.mds_encode(kind, value))


def opened(colour):
    """A PNG of one colour with a palette, as a program opens it."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).quantize(4).save(file, "PNG")
    return Image.open(file)


described = True
for kind in ("pil", "png"):
    back = {name: there_and_back(kind, opened(colour)) for name, colour in COLOURS.items()}
    found = {name: picture.convert("RGB").getpixel((4, 4)) for name, picture in back.items()}
    print(f"{kind}, pictures with a palette:", found)
    described &= found == (COLOURS if kind == "png" else dict.fromkeys(COLOURS, (0, 0, 0)))
plain = there_and_back("pil", opened(COLOURS["blue"]).convert("RGB"))
print("pil, the blue one in RGB:", plain.getpixel((4, 4)))
described &= plain.getpixel((4, 4)) == COLOURS["blue"]
codes = np.array([1, 2, 2**63], np.uint64)
for order, wanted in (("<", codes), (">", codes.byteswap())):
    back = there_and_back("ndarray", codes.astype(order + "u8"))
    print(f"ndarray, {order}u8 {codes.tolist()}: {back.tolist()}")
    described &= back.tolist() == wanted.tolist()
try:
    there_and_back("ndarray:uint64", codes.astype(">u8"))
    described = False
except ValueError as error:
    print("ndarray:uint64, >u8:", error)
print("as described" if described else "CHANGED")
sys.exit(not described)
PYTHON
