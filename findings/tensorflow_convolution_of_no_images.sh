#!/usr/bin/env bash
# TensorFlow 2.21: a convolution of a batch of no images has the shape of its input.
#
# What one would expect: 4 filters with stride 2 over (0, 8, 8, 3) give (0, 4, 4, 4), as 4 filters
# over (1, 8, 8, 3) give (1, 4, 4, 4). Batches of no images come about where images are sorted out
# before a network, by a mask or a confidence.
# What happens: on x86, where oneDNN is on by default, tf.nn.conv2d, tf.nn.depthwise_conv2d and
# keras.layers.Conv2D(use_bias=False) give (0, 8, 8, 3): filters, stride and padding are left out, in
# a tf.function, too. There is no error; only a bias raises one. The wrong shape goes on to whatever
# comes behind.
# With TF_ENABLE_ONEDNN_OPTS=0 the shape is right. Transposed convolution and pooling are right.
# Seen with: TensorFlow 2.21.0 (CPU), Keras 3.15.1, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/tensorflow_convolution_of_no_images.sh   exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  tensorflow-cpu==2.21.0 keras==3.15.1 numpy==2.4.6
cat > "$folder/look.py" <<'PYTHON'
import keras
import tensorflow as tf

kernel, deep = tf.ones((3, 3, 3, 4)), tf.ones((3, 3, 3, 1))
layer = keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)
traced = tf.function(lambda x: layer(x))
kinds = {
    "tf.nn.conv2d": lambda x: tf.nn.conv2d(x, kernel, 2, "SAME"),
    "tf.nn.depthwise_conv2d": lambda x: tf.nn.depthwise_conv2d(x, deep, [1, 1, 1, 1], "VALID"),
    "keras.layers.Conv2D": layer,
    "the same in a tf.function": traced,
    "keras.layers.Conv2DTranspose": keras.layers.Conv2DTranspose(4, 3, strides=2, padding="same"),
    "keras.layers.MaxPooling2D": keras.layers.MaxPooling2D(2),
}
for name, convolve in kinds.items():
    one = convolve(tf.zeros((1, 8, 8, 3))).shape
    none = convolve(tf.zeros((0, 8, 8, 3))).shape
    print(f"{name:<28} one image {tuple(one)}, none {tuple(none)}")
PYTHON
look() { TF_CPP_MIN_LOG_LEVEL=3 CUDA_VISIBLE_DEVICES= "$folder/venv/bin/python" "$folder/look.py"; }
cat > "$folder/expected" <<'TEXT'
tf.nn.conv2d                 one image (1, 4, 4, 4), none (0, 8, 8, 3)
tf.nn.depthwise_conv2d       one image (1, 6, 6, 3), none (0, 8, 8, 3)
keras.layers.Conv2D          one image (1, 4, 4, 4), none (0, 8, 8, 3)
the same in a tf.function    one image (1, 4, 4, 4), none (0, 8, 8, 3)
keras.layers.Conv2DTranspose one image (1, 16, 16, 4), none (0, 16, 16, 4)
keras.layers.MaxPooling2D    one image (1, 4, 4, 3), none (0, 4, 4, 3)
TEXT
sed -e 's/none (0, 8, 8, 3)/none (0, 4, 4, 4)/' -e '/depthwise/s/none (0, 4, 4, 4)/none (0, 6, 6, 3)/' \
  "$folder/expected" > "$folder/right"
look > "$folder/found"
cat "$folder/found"
TF_ENABLE_ONEDNN_OPTS=0 look > "$folder/without"
if diff "$folder/expected" "$folder/found" && diff "$folder/right" "$folder/without"; then
  echo "as described"
else
  echo "CHANGED: the shapes are others"
  exit 1
fi
