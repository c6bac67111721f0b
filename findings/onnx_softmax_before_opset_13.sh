#!/usr/bin/env bash
# onnx's reference, OpenVINO and OpenCV compute a Softmax older than opset 13 as one of opset 13.
#
# What one would expect: up to opset 12 Softmax is taken over all axes from "axis" on together
# (the input is coerced into two dimensions), and axis is 1 where the file does not say it.
# Numbers of a picture then have the sum 1. From opset 13 on it is one axis, the last one by
# default. A program that reads a file of opset 11 keeps to opset 11, as ONNX Runtime does.
# What happens: the reference implementation of onnx 1.23.2, OpenVINO 2026.4.1 and OpenCV 5.0.0
# take one axis at opset 11, without a word, so that 2 x 2 x 2 numbers have the sum 4. The
# reference also takes the last axis by default: logits of 1 x 4 x 1 x 1, as SqueezeNet has them,
# all become 1. OpenVINO is right in LogSoftmax. At opset 13 all agree, and so they do at opset 11
# with two axes and the default.
# Seen with: onnx 1.23.2, openvino 2026.4.1, opencv-python-headless 5.0.0.93, onnxruntime 1.32.0,
# NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/onnx_softmax_before_opset_13.sh       exit code 0: as described; 1: it has changed
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
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def answers(kind, shape, opset, **how):
    """Softmax or its logarithm of 0, 1, 2, ... in a shape, by four programs."""
    numbers = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    node = helper.make_node(kind, ["x"], ["y"], **how)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph([node], "softmax", ends[:1], ends[1:])
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=6)
    onnx.checker.check_model(model, full_check=True)
    path = Path(argv[1]) / "softmax.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    # Floats stay floats; on processors with bfloat16 its default is less exact.
    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    network = cv2.dnn.readNetFromONNX(str(path))
    network.setInput(numbers)
    return {
        "ONNX Runtime": session.run(None, {"x": numbers})[0],
        "reference": ReferenceEvaluator(model).run(None, {"x": numbers})[0],
        "OpenVINO": compiled(numbers)[0],
        "OpenCV": network.forward(),
    }


print(*(version(name) for name in ("onnx", "openvino", "onnxruntime")), cv2.__version__)
for kind, shape, opset, how in (
    ("Softmax", [1, 2, 2, 2], 11, {"axis": 1}),
    ("LogSoftmax", [1, 2, 2, 2], 11, {"axis": 1}),
    ("Softmax", [1, 2, 2, 2], 13, {"axis": 1}),
    ("Softmax", [1, 4, 1, 1], 11, {}),
    ("Softmax", [1, 4], 11, {}),
):
    sides = " x ".join(str(side) for side in shape)
    print(f"{kind} of {sides}, opset {opset}, axis {how.get('axis', 'not said')}")
    for program, found in answers(kind, shape, opset, **how).items():
        total = np.sum(np.exp(found) if kind == "LogSoftmax" else found)
        end = " ".join(f"{value:.3f}" for value in found.ravel()[-4:])
        print(f"    {program}: sum {total:.1f}, the last ones {end}")
PYTHON
cat > "$folder/expected" <<'TEXT'
1.23.2 2026.4.1 1.32.0 5.0.0
Softmax of 1 x 2 x 2 x 2, opset 11, axis 1
    ONNX Runtime: sum 1.0, the last ones 0.031 0.086 0.233 0.632
    reference: sum 4.0, the last ones 0.982 0.982 0.982 0.982
    OpenVINO: sum 4.0, the last ones 0.982 0.982 0.982 0.982
    OpenCV: sum 4.0, the last ones 0.982 0.982 0.982 0.982
LogSoftmax of 1 x 2 x 2 x 2, opset 11, axis 1
    ONNX Runtime: sum 1.0, the last ones -3.458 -2.458 -1.458 -0.458
    reference: sum 4.0, the last ones -0.018 -0.018 -0.018 -0.018
    OpenVINO: sum 1.0, the last ones -3.458 -2.458 -1.458 -0.458
    OpenCV: sum 4.0, the last ones -0.018 -0.018 -0.018 -0.018
Softmax of 1 x 2 x 2 x 2, opset 13, axis 1
    ONNX Runtime: sum 4.0, the last ones 0.982 0.982 0.982 0.982
    reference: sum 4.0, the last ones 0.982 0.982 0.982 0.982
    OpenVINO: sum 4.0, the last ones 0.982 0.982 0.982 0.982
    OpenCV: sum 4.0, the last ones 0.982 0.982 0.982 0.982
Softmax of 1 x 4 x 1 x 1, opset 11, axis not said
    ONNX Runtime: sum 1.0, the last ones 0.032 0.087 0.237 0.644
    reference: sum 4.0, the last ones 1.000 1.000 1.000 1.000
    OpenVINO: sum 1.0, the last ones 0.032 0.087 0.237 0.644
    OpenCV: sum 1.0, the last ones 0.032 0.087 0.237 0.644
Softmax of 1 x 4, opset 11, axis not said
    ONNX Runtime: sum 1.0, the last ones 0.032 0.087 0.237 0.644
    reference: sum 1.0, the last ones 0.032 0.087 0.237 0.644
    OpenVINO: sum 1.0, the last ones 0.032 0.087 0.237 0.644
    OpenCV: sum 1.0, the last ones 0.032 0.087 0.237 0.644
TEXT
"$folder/env/bin/python" "$folder/look.py" "$folder" 2> /dev/null | tee "$folder/found"
if diff "$folder/expected" "$folder/found"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
