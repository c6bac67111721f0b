#!/usr/bin/env bash
# TensorFlow 2.21 fills alpha with the palette's index when it decodes a palette PNG to 4 channels.
#
# What one would expect: tf.io.decode_png(file, channels=4) of a picture without transparency gives
# alpha 255 everywhere, as it does for grey and RGB files.
# What happens: for a PNG with a palette, alpha is the number of the colour in the palette, and for a
# PNG of 1 bit it is 0 or 1, so that an opaque picture comes out all but transparent. Red, green and
# blue are right, channels=3 is right, and there is no error. Whoever lays the result on a background
# loses the picture.
# Seen with: TensorFlow 2.21.0 (CPU), Pillow 13.0.0, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/tensorflow_palette_png_alpha.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  tensorflow-cpu==2.21.0 pillow==13.0.0 numpy==2.4.6
TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES= "$folder/venv/bin/python" - <<'PYTHON'
import io
import sys

import numpy as np
import tensorflow as tf
from PIL import Image

colours = np.zeros((4, 4, 3), np.uint8)
colours[..., 0] = [0, 80, 160, 240]
colours[..., 1] = [[10], [90], [170], [250]]
palette = Image.fromarray(colours).quantize(16)
files = {
    "RGB": Image.fromarray(colours),
    "grey": Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4) * 17),
    "palette": palette,
    "1 bit": Image.fromarray(np.arange(16).reshape(4, 4) % 3 == 0),
}
wrong = []
for name, picture in files.items():
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    right = np.asarray(Image.open(stream).convert("RGBA"))
    three = tf.io.decode_png(stream.getvalue(), channels=3).numpy()
    four = tf.io.decode_png(stream.getvalue(), channels=4).numpy()
    assert np.array_equal(three, right[..., :3]) and np.array_equal(four[..., :3], three)
    print(f"{name:<8} alpha {four[..., 3].ravel().tolist()}")
    if (four[..., 3] != 255).any():
        wrong.append(name)
        index = np.asarray(Image.open(stream)).astype(np.uint8)
        assert np.array_equal(four[..., 3], index), "not the index of the palette"
print("as described" if wrong == ["palette", "1 bit"] else f"CHANGED: wrong are {wrong}")
sys.exit(wrong != ["palette", "1 bit"])
PYTHON
