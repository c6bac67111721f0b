#!/usr/bin/env bash
# OpenCV 4.14.0 reads pools of ONNX without count_include_pad and without dilations.
#
# What one would expect: an average that counts the padding divides by all pixels of its kernel, as
# AvgPool2d of PyTorch does by default (Inception pools so); a dilated MaxPool looks at every second
# pixel. An attribute that a program does not know is an error.
# What happens: both are passed over without a word. The corner of a white picture, 3 x 3 with a padding
# of 1, is 1 in place of 4/9; a dilated MaxPool is a plain one, with two rows and columns more. OpenCV
# 5.0.0 is right in both. Without padding, and without dilations, 4.14.0 is right, too.
# Seen with: opencv-python-headless 4.14.0.94 and 5.0.0.93, onnx 1.23.2, NumPy 2.4.6, Python 3.11,
# Linux x86-64.
#
#   bash findings/opencv_average_pool_padding.sh       exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 5.0.0.93 4.14.0.94; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check \
    opencv-python-headless==$version onnx==1.23.2 numpy==2.4.6
done
cat > "$folder/look.py" <<'PYTHON'
import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper

#: A white picture.
IMAGE = np.ones((1, 1, 9, 9), np.float32)


def pooled(kind, side, **how):
    """The result of a pool of 3 x 3, whose sides are known."""
    node = helper.make_node(kind, ["x"], ["y"], kernel_shape=[3, 3], **how)
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, sides, sides])
        for name, sides in (("x", 9), ("y", side))
    ]
    graph = helper.make_graph([node], "pool", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    network = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    network.setInput(IMAGE)
    return network.forward()[0, 0]


print(cv2.__version__)
for counted in (0, 1):
    found = pooled("AveragePool", 9, pads=[1, 1, 1, 1], count_include_pad=counted)
    print(f"average, count_include_pad {counted}: corner {found[0, 0]:.3f}")
for apart in (1, 2):
    found = pooled("MaxPool", 9 - 2 * apart, dilations=[apart, apart])
    print(f"largest, dilations {apart}: {found.shape[0]} rows of {9 - 2 * apart}")
PYTHON
expected() {
  cat <<TEXT
$1
average, count_include_pad 0: corner 1.000
average, count_include_pad 1: corner $2
largest, dilations 1: 7 rows of 7
largest, dilations 2: $3 rows of 5
TEXT
}
"$folder/5.0.0.93/bin/python" "$folder/look.py" 2> /dev/null | tee "$folder/new"
"$folder/4.14.0.94/bin/python" "$folder/look.py" 2> /dev/null | tee "$folder/old"
if diff <(expected 5.0.0 0.444 5) "$folder/new" && diff <(expected 4.14.0 1.000 7) "$folder/old"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
