#!/usr/bin/env bash
# TensorFlow 2.21 gives opaque PNG files of 1, 2 or 4 bits an alpha of 1, 3 or 15 of 255.
#
# What one would expect: tf.io.decode_png(file, channels=4) of a picture without transparency gives
# alpha 255 everywhere.
# What happens: so it is for 8 bits (RGB, grey, palettes of more than 16 colours). With a palette of
# up to 2, 4 or 16 colours, and for black and white, alpha is the largest number of that many bits.
# The opaque picture is all but transparent. Its colours are right, channels=3 is right, and there
# is no error. Whoever lays the result on a background loses the picture.
# Seen with: TensorFlow 2.21.0 (CPU), Pillow 13.0.0, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/tensorflow_png_alpha_of_few_bits.sh      exit code 0: as described; 1: it has changed
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

colours = np.zeros((8, 8, 3), np.uint8)
colours[..., 0] = np.arange(8) * 30
colours[..., 1] = np.arange(8)[:, None] * 31
rgb = Image.fromarray(colours)
files = {"RGB": (rgb, {}, 255), "grey": (rgb.convert("L"), {}, 255)}
for bits, count in ((8, 64), (4, 16), (2, 4), (1, 2)):
    alpha = 2**bits - 1
    files[f"palette of {count}"] = (rgb.quantize(count), {"bits": bits}, alpha)
files["black and white"] = (rgb.convert("1"), {}, 1)
changed = []
for name, (picture, options, alpha) in files.items():
    stream = io.BytesIO()
    picture.save(stream, "PNG", **options)
    right = np.asarray(Image.open(stream).convert("RGBA"))
    assert (right[..., 3] == 255).all(), "the picture is opaque"
    three = tf.io.decode_png(stream.getvalue(), channels=3).numpy()
    four = tf.io.decode_png(stream.getvalue(), channels=4).numpy()
    assert np.array_equal(three, right[..., :3]) and np.array_equal(four[..., :3], three)
    print(f"{name:<16} alpha {np.unique(four[..., 3]).tolist()}")
    if (four[..., 3] != alpha).any():
        changed.append(name)
print(f"CHANGED: {changed}" if changed else "as described")
sys.exit(bool(changed))
PYTHON
