#!/usr/bin/env bash
# onnx 1.23.2: the reference implementation of LpNormalization with p 1 divides by a sum with signs.
#
# What one would expect: the L1 norm is the sum of absolute values, so that the normalised vector of
# (3, -1) is (.75, -.25).
# What happens: the reference divides by 3 - 1 and gives (1.5, -.5); of a vector whose sum is 0 it makes
# infinite numbers, without an error. p 2, the default, is right; ONNX Runtime and OpenVINO are right
# with both. So is the operator ReduceL1 of the reference.
# Seen with: onnx 1.23.2, onnxruntime 1.32.0, openvino 2026.4.1, NumPy 2.4.6, Python 3.11, Linux
# x86-64.
#
#   bash findings/onnx_reference_l1_normalization.sh       exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat > "$folder/look.py" <<'PYTHON'
from importlib.metadata import version
from pathlib import Path
from sys import argv

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

VECTORS = np.float32([[3, -1], [3, 1], [-2, -6]])


def answers(p):
    """The normalised vectors by three programs."""
    node = helper.make_node("LpNormalization", ["x"], ["y"], axis=1, p=p)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [3, 2]) for name in "xy"]
    graph = helper.make_graph([node], "normalise", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path = Path(argv[1]) / "normalise.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return {
        "reference": ReferenceEvaluator(model).run(None, {"x": VECTORS})[0],
        "ONNX Runtime": session.run(None, {"x": VECTORS})[0],
        "OpenVINO": openvino.compile_model(path, "CPU")(VECTORS)[0],
    }


print(*(version(name) for name in ("onnx", "onnxruntime", "openvino")))
for p in (1, 2):
    for program, found in answers(p).items():
        print(f"p {p}, {program}:", " ".join(f"({a:.3f}, {b:.3f})" for a, b in found))
PYTHON
cat > "$folder/expected" <<'TEXT'
1.23.2 1.32.0 2026.4.1
p 1, reference: (1.500, -0.500) (0.750, 0.250) (0.250, 0.750)
p 1, ONNX Runtime: (0.750, -0.250) (0.750, 0.250) (-0.250, -0.750)
p 1, OpenVINO: (0.750, -0.250) (0.750, 0.250) (-0.250, -0.750)
p 2, reference: (0.949, -0.316) (0.949, 0.316) (-0.316, -0.949)
p 2, ONNX Runtime: (0.949, -0.316) (0.949, 0.316) (-0.316, -0.949)
p 2, OpenVINO: (0.949, -0.316) (0.949, 0.316) (-0.316, -0.949)
TEXT
"$folder/env/bin/python" "$folder/look.py" "$folder" 2> /dev/null | tee "$folder/found"
if diff "$folder/expected" "$folder/found"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
