#!/usr/bin/env bash
# OpenCV 5.0.0 and 4.14.0 make a ConvTranspose of ONNX with auto_pad SAME_UPPER and steps of 2 too
# small; 4.14.0 passes over its dilations, too.
#
# What one would expect: with SAME_UPPER the result has the sides of its input times the steps, as
# the specification says: 4 x 4 becomes 8 x 8. A dilated kernel of 3 spans 5 pixels.
# What happens: 7 x 7 comes, in both versions, as if steps of 1 were padded. With kernels of 2 and 4
# the last row and column are missing. 4.14.0 passes over dilations: the kernel spans 3. ONNX Runtime
# follows the formula of the specification in all of them, and the result has the sides that the file
# itself declares. No error, no warning. With even `pads` in place of auto_pad, and with steps of 1,
# undilated kernels are right in both.
# Seen with: opencv-python-headless 4.14.0.94 and 5.0.0.93, onnx 1.23.2, ONNX Runtime 1.32.0,
# NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/opencv_transposed_convolution.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 5.0.0.93 4.14.0.94; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check \
    opencv-python-headless==$version onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
done
cat > "$folder/look.py" <<'PYTHON'
import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

SIDE = 4
rng = np.random.default_rng(0)
IMAGE = rng.integers(1, 9, (1, 1, SIDE, SIDE)).astype(np.float32)


def of_specification(kernel, step, apart, before, side):
    """The sum of all kernels, each put down at its pixel, from `before` on."""
    largest = step * (SIDE - 1) + (len(kernel) - 1) * apart + 1
    whole = np.zeros((largest + step, largest + step), np.float32)
    for y in range(SIDE):
        for x in range(SIDE):
            for (row, column), weight in np.ndenumerate(kernel):
                place = y * step + row * apart, x * step + column * apart
                whole[place] += IMAGE[0, 0, y, x] * weight
    return whole[before : before + side, before : before + side]


def compare(name, kernel_side, step, apart, **how):
    kernel = rng.integers(1, 9, (kernel_side, kernel_side)).astype(np.float32)
    spans = (kernel_side - 1) * apart + 1
    side, before = step * (SIDE - 1) + spans, 0
    if name != "VALID":
        # total_padding of the specification, of which SAME_UPPER puts the smaller half first.
        side, before = step * SIDE, (step * (SIDE - 1) + spans - step * SIDE) // 2
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[step] * 2,
                            kernel_shape=[kernel_side] * 2, dilations=[apart] * 2, **how)
    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, [1, 1, sides, sides])
            for end, sides in (("x", SIDE), ("y", side))]
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1, 1, *kernel.shape], kernel.ravel())
    graph = helper.make_graph([node], "transposed", ends[:1], ends[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    wanted = of_specification(kernel, step, apart, before, side)
    (by_runtime,) = onnxruntime.InferenceSession(content).run(None, {"x": IMAGE})
    assert np.array_equal(by_runtime[0, 0], wanted), "ONNX Runtime"
    network = cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))
    network.setInput(IMAGE)
    found = network.forward()[0, 0]
    if found.shape == wanted.shape:
        verdict = "right" if np.allclose(found, wanted) else "other numbers"
    else:
        least = min(len(found), side)
        same = np.allclose(found[:least, :least], wanted[:least, :least])
        verdict = f"{len(found)} x {len(found)}, " + ("cut off" if same else "other numbers")
    print(f"{name}, kernel {kernel_side}, steps {step}, dilations {apart}: {side} x {side}: "
          f"{verdict}")


print(cv2.__version__)
for kernel_side in (2, 3, 4):
    compare("SAME_UPPER", kernel_side, 2, 1, auto_pad="SAME_UPPER")
compare("SAME_UPPER", 3, 1, 1, auto_pad="SAME_UPPER")
compare("pads", 4, 2, 1, pads=[1, 1, 1, 1])
compare("VALID", 3, 1, 2)
compare("VALID", 3, 2, 2)
PYTHON
expected() {
  cat <<TEXT
$1
SAME_UPPER, kernel 2, steps 2, dilations 1: 8 x 8: 7 x 7, cut off
SAME_UPPER, kernel 3, steps 2, dilations 1: 8 x 8: 7 x 7, other numbers
SAME_UPPER, kernel 4, steps 2, dilations 1: 8 x 8: 7 x 7, cut off
SAME_UPPER, kernel 3, steps 1, dilations 1: 4 x 4: right
pads, kernel 4, steps 2, dilations 1: 8 x 8: right
VALID, kernel 3, steps 1, dilations 2: 8 x 8: $2
VALID, kernel 3, steps 2, dilations 2: 11 x 11: $3
TEXT
}
"$folder/5.0.0.93/bin/python" "$folder/look.py" 2> /dev/null | tee "$folder/new"
"$folder/4.14.0.94/bin/python" "$folder/look.py" 2> /dev/null | tee "$folder/old"
if diff <(expected 5.0.0 right right) "$folder/new" &&
  diff <(expected 4.14.0 "6 x 6, other numbers" "9 x 9, other numbers") "$folder/old"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
