#!/usr/bin/env bash
# OpenVINO 2026.4.1 and OpenCV 5.0.0 round QuantizeLinear of ONNX after adding the zero point.
#
# What one would expect: x / scale is rounded, to the even neighbour where it lies half way, and
# the zero point is added to that. So the specification ("for (x / y_scale), it rounds to the
# nearest even"), ONNX Runtime and the reference implementation in onnx.
# What happens: the sum is rounded. With an even zero point (0, 128) that is the same; with an odd
# one (127, 1) each number that lies half way goes to the other side, one step off, without a
# word. Whole numbers with a scale of 2 (a power of two, as some quantisers choose it): each
# second level.
# Seen with: openvino 2026.4.1, opencv-python-headless 5.0.0.93, onnxruntime 1.32.0, onnx 1.23.2,
# NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/openvino_quantize_zero_point.sh     exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  openvino==2026.4.1 opencv-python-headless==5.0.0.93 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat > "$folder/look.py" <<'PYTHON'
from importlib.metadata import version
from pathlib import Path
from sys import argv

import cv2
import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

#: Each second one lies half way between two steps of 2; none leaves the range of 8 bits.
NUMBERS = np.arange(-120, 120, dtype=np.float32).reshape(1, -1)


def answers(zero_point):
    """The numbers in steps of 2 by four programs."""
    kind = helper.np_dtype_to_tensor_dtype(zero_point.dtype)
    node = helper.make_node("QuantizeLinear", ["x", "scale", "zero_point"], ["y"])
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, NUMBERS.shape),
        helper.make_tensor_value_info("y", kind, NUMBERS.shape),
    ]
    constants = [
        numpy_helper.from_array(np.float32(2), "scale"),
        numpy_helper.from_array(zero_point, "zero_point"),
    ]
    graph = helper.make_graph([node], "quantize", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path = Path(argv[1]) / "quantize.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    # Floats stay floats; on processors with bfloat16 its default is less exact.
    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    network = cv2.dnn.readNetFromONNX(str(path))
    network.setInput(NUMBERS)
    return {
        "ONNX Runtime": session.run(None, {"x": NUMBERS})[0],
        "reference": ReferenceEvaluator(model).run(None, {"x": NUMBERS})[0],
        "OpenVINO": compiled(NUMBERS)[0],
        "OpenCV": network.forward(),
    }


print(*(version(name) for name in ("openvino", "onnxruntime", "onnx")), cv2.__version__)
for zero_point in (np.uint8(128), np.uint8(127), np.int8(0), np.int8(1)):
    right = np.rint(NUMBERS / 2) + zero_point
    for program, found in answers(zero_point).items():
        off = np.abs(found - right)
        start = " ".join(f"{value:.0f}" for value in found[0, 120:126] - np.float32(zero_point))
        name = f"{zero_point.dtype}, zero point {zero_point}, {program}"
        count = np.sum(off > 0)
        print(f"{name}: {count} of {off.size} are {off.max():.0f} off; 0 to 5 are {start}")
PYTHON
cat > "$folder/expected" <<'TEXT'
2026.4.1 1.32.0 1.23.2 5.0.0
uint8, zero point 128, ONNX Runtime: 0 of 240 are 0 off; 0 to 5 are 0 0 1 2 2 2
uint8, zero point 128, reference: 0 of 240 are 0 off; 0 to 5 are 0 0 1 2 2 2
uint8, zero point 128, OpenVINO: 0 of 240 are 0 off; 0 to 5 are 0 0 1 2 2 2
uint8, zero point 128, OpenCV: 0 of 240 are 0 off; 0 to 5 are 0 0 1 2 2 2
uint8, zero point 127, ONNX Runtime: 0 of 240 are 0 off; 0 to 5 are 0 0 1 2 2 2
uint8, zero point 127, reference: 0 of 240 are 0 off; 0 to 5 are 0 0 1 2 2 2
uint8, zero point 127, OpenVINO: 120 of 240 are 1 off; 0 to 5 are 0 1 1 1 2 3
uint8, zero point 127, OpenCV: 120 of 240 are 1 off; 0 to 5 are 0 1 1 1 2 3
int8, zero point 0, ONNX Runtime: 0 of 240 are 0 off; 0 to 5 are 0 0 1 2 2 2
int8, zero point 0, reference: 0 of 240 are 0 off; 0 to 5 are 0 0 1 2 2 2
int8, zero point 0, OpenVINO: 0 of 240 are 0 off; 0 to 5 are 0 0 1 2 2 2
int8, zero point 0, OpenCV: 0 of 240 are 0 off; 0 to 5 are 0 0 1 2 2 2
int8, zero point 1, ONNX Runtime: 0 of 240 are 0 off; 0 to 5 are 0 0 1 2 2 2
int8, zero point 1, reference: 0 of 240 are 0 off; 0 to 5 are 0 0 1 2 2 2
int8, zero point 1, OpenVINO: 120 of 240 are 1 off; 0 to 5 are 0 1 1 1 2 3
int8, zero point 1, OpenCV: 120 of 240 are 1 off; 0 to 5 are 0 1 1 1 2 3
TEXT
"$folder/env/bin/python" "$folder/look.py" "$folder" 2> /dev/null | tee "$folder/found"
if diff "$folder/expected" "$folder/found"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
