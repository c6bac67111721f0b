#!/usr/bin/env bash
# OpenCV 5.0.0 pads a convolution of ONNX with auto_pad SAME_UPPER before the picture, not behind it.
#
# What one would expect: with an even side, a kernel of 3 or 5 and stride 2 an odd number of pixels is
# added, and SAME_UPPER adds the odd one at the right and at the bottom. So do ONNX Runtime and
# OpenCV 4.14.0; so does TensorFlow's "SAME", which files with this attribute come from.
# What happens: the new engine of OpenCV 5.0.0 adds it at the left and at the top, as SAME_LOWER says.
# The shape is right, there is no error, and the numbers are those of a picture that is shifted by one
# pixel. With the same pads written out in `pads` it is right. Stride 1 and odd sides are right.
# Seen with: opencv-python-headless 5.0.0.93 and 4.14.0.94, ONNX Runtime 1.32.0, onnx 1.23.2, NumPy
# 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/opencv_convolution_same_upper.sh       exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 5.0.0.93 4.14.0.94; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check \
    opencv-python-headless==$version onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
done
cat > "$folder/look.py" <<'PYTHON'
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

draw = np.random.default_rng(0)


def model_of(kernel, side, stride, **how):
    weights = draw.normal(size=(4, 3, kernel, kernel)).astype(np.float32)
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], kernel_shape=[kernel] * 2, strides=[stride] * 2, **how
    )
    out = -(-side // stride)
    graph = helper.make_graph(
        [node],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, side, side])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4, out, out])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(), graph


def equal(kernel, side, stride, **how):
    """Whether OpenCV gives the numbers of ONNX Runtime; both get the same file."""
    content, _ = model_of(kernel, side, stride, **how)
    images = draw.normal(size=(2, 3, side, side)).astype(np.float32)
    (right,) = onnxruntime.InferenceSession(content).run(None, {"x": images})
    network = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
    network.setInput(images)
    found = network.forward()
    assert found.shape == right.shape
    return bool(np.abs(found - right).max() < 1e-3)


print(cv2.__version__)
for kernel in (3, 5):
    for side, stride in ((8, 2), (16, 2), (9, 2), (8, 1)):
        print(f"kernel {kernel}, side {side}, stride {stride}: SAME_UPPER {equal(kernel, side, stride, auto_pad='SAME_UPPER')}")
    written = [(kernel - 2) // 2] * 2 + [(kernel - 1) // 2] * 2
    print(f"kernel {kernel}, side 8, stride 2: pads {written} {equal(kernel, 8, 2, pads=written)}")
PYTHON
expected() {
  printf '%s\n' "$1"
  for kernel in 3 5; do
    printf 'kernel %s, side 8, stride 2: SAME_UPPER %s\n' $kernel "$2"
    printf 'kernel %s, side 16, stride 2: SAME_UPPER %s\n' $kernel "$2"
    printf 'kernel %s, side 9, stride 2: SAME_UPPER True\n' $kernel
    printf 'kernel %s, side 8, stride 1: SAME_UPPER True\n' $kernel
    printf 'kernel %s, side 8, stride 2: pads [%s] True\n' $kernel "$([ $kernel = 3 ] && echo '0, 0, 1, 1' || echo '1, 1, 2, 2')"
  done
}
"$folder/5.0.0.93/bin/python" "$folder/look.py" | tee "$folder/new"
"$folder/4.14.0.94/bin/python" "$folder/look.py" | tee "$folder/old"
if diff <(expected 5.0.0 False) "$folder/new" && diff <(expected 4.14.0 True) "$folder/old"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
