#!/usr/bin/env bash
# OpenCV 5.0.0 and 4.14.0 resize axes 2 and 3 of an ONNX Resize, whichever axes the file names.
#
# What one would expect: sizes (or scales) have a number for each axis, so a picture with its
# channels last, as preprocessing inside an ONNX file and networks of TensorFlow have it, becomes
# larger in axes 1 and 2. So the specification, ONNX Runtime and the reference implementation.
# What a program cannot do is an error.
# What happens: axis 1, the rows, stays as it was, without a word: 4 x 6 to 8 x 12 gives 4 x 12.
# The shape that stands in the file for the result is passed over, too. With channels first both
# are right.
# Seen with: opencv-python-headless 5.0.0.93 and 4.14.0.94, onnxruntime 1.32.0, onnx 1.23.2, NumPy
# 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/opencv_resize_channels_last.sh       exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 5.0.0.93 4.14.0.94; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check \
    opencv-python-headless==$version onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
done
cat > "$folder/look.py" <<'PYTHON'
import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

#: A picture of 4 x 6 pixels and 3 channels, channels last.
IMAGE = np.arange(72, dtype=np.float32).reshape(1, 4, 6, 3)


def answers(image, shape, how):
    """A picture made twice as large by three programs; the nearest pixel, as an old file has it."""
    node = helper.make_node(
        "Resize",
        ["x", "", "", "how"] if how == "sizes" else ["x", "", "how"],
        ["y"],
        mode="nearest",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sides)
        for name, sides in (("x", image.shape), ("y", shape))
    ]
    scales = np.float32(shape) / np.float32(image.shape)
    values = numpy_helper.from_array(np.int64(shape) if how == "sizes" else scales, "how")
    graph = helper.make_graph([node], "resize", ends[:1], ends[1:], [values])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    written = model.SerializeToString()
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    network = cv2.dnn.readNetFromONNX(np.frombuffer(written, np.uint8))
    network.setInput(image)
    return {
        "ONNX Runtime": session.run(None, {"x": image})[0],
        "reference": ReferenceEvaluator(model).run(None, {"x": image})[0],
        "OpenCV": network.forward(),
    }


print(cv2.__version__)
for order, image, shape in (
    ("last", IMAGE, [1, 8, 12, 3]),
    ("first", np.ascontiguousarray(IMAGE.transpose(0, 3, 1, 2)), [1, 3, 8, 12]),
):
    for how in ("sizes", "scales"):
        for program, found in answers(image, shape, how).items():
            print(f"channels {order}, {how}, {program}:", *found.shape)
PYTHON
expected() {
  cat <<TEXT
$1
channels last, sizes, ONNX Runtime: 1 8 12 3
channels last, sizes, reference: 1 8 12 3
channels last, sizes, OpenCV: 1 4 12 3
channels last, scales, ONNX Runtime: 1 8 12 3
channels last, scales, reference: 1 8 12 3
channels last, scales, OpenCV: 1 4 12 3
channels first, sizes, ONNX Runtime: 1 3 8 12
channels first, sizes, reference: 1 3 8 12
channels first, sizes, OpenCV: 1 3 8 12
channels first, scales, ONNX Runtime: 1 3 8 12
channels first, scales, reference: 1 3 8 12
channels first, scales, OpenCV: 1 3 8 12
TEXT
}
"$folder/5.0.0.93/bin/python" "$folder/look.py" 2> /dev/null | tee "$folder/new"
"$folder/4.14.0.94/bin/python" "$folder/look.py" 2> /dev/null | tee "$folder/old"
if diff <(expected 5.0.0) "$folder/new" && diff <(expected 4.14.0) "$folder/old"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
