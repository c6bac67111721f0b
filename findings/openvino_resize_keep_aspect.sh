#!/usr/bin/env bash
# OpenVINO 2026.4.1 reads an ONNX Resize without keep_aspect_ratio_policy and exclude_outside.
#
# What one would expect: "not_smaller" makes the shorter side of a picture as long as asked for
# and keeps its proportions, as most preprocessing does before it crops; "not_larger" fits it in.
# exclude_outside leaves pixels behind the edge out of a cubic average. So the specification, ONNX
# Runtime and the reference implementation in onnx. An attribute that a program does not know is
# an error.
# What happens: both are passed over without a word. A picture of 6 x 9 that should become 4 x 6
# is pressed into 4 x 4, so that the network sees it distorted, and the pixels at the edges of a
# cubic one are other numbers. With "stretch" and exclude_outside 0, the defaults, all agree.
# Seen with: openvino 2026.4.1, onnxruntime 1.32.0, onnx 1.23.2, NumPy 2.4.6, Python 3.11, Linux
# x86-64.
#
#   bash findings/openvino_resize_keep_aspect.sh       exit code 0: as described; 1: it has changed
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
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

#: Columns of black, black and white; six rows.
IMAGE = np.tile(np.float32([0, 0, 255]), (1, 1, 6, 3))


def answers(sides, **how):
    """The picture with other sides, by three programs."""
    node = helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], axes=[2, 3], **how)
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, IMAGE.shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, None, None]),
    ]
    sizes = numpy_helper.from_array(np.int64(sides), "sizes")
    graph = helper.make_graph([node], "resize", ends[:1], ends[1:], [sizes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path = Path(argv[1]) / "resize.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    # Floats stay floats; on processors with bfloat16 its default is less exact.
    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return {
        "ONNX Runtime": session.run(None, {"x": IMAGE})[0],
        "reference": ReferenceEvaluator(model).run(None, {"x": IMAGE})[0],
        "OpenVINO": compiled(IMAGE)[0],
    }


print(*(version(name) for name in ("openvino", "onnxruntime", "onnx")))
for policy in ("stretch", "not_larger", "not_smaller"):
    for program, found in answers([4, 4], mode="linear", keep_aspect_ratio_policy=policy).items():
        rows, columns = found.shape[2:]
        print(f"6 x 9 to 4 x 4, {policy}, {program}: {rows} x {columns}")
for outside in (0, 1):
    for program, found in answers([6, 18], mode="cubic", exclude_outside=outside).items():
        row = found[0, 0, 0]
        end = " ".join(f"{value:.1f}" for value in row[-3:])
        print(f"cubic, exclude_outside {outside}, {program}: the row ends {end}")
PYTHON
cat > "$folder/expected" <<'TEXT'
2026.4.1 1.32.0 1.23.2
6 x 9 to 4 x 4, stretch, ONNX Runtime: 4 x 4
6 x 9 to 4 x 4, stretch, reference: 4 x 4
6 x 9 to 4 x 4, stretch, OpenVINO: 4 x 4
6 x 9 to 4 x 4, not_larger, ONNX Runtime: 3 x 4
6 x 9 to 4 x 4, not_larger, reference: 3 x 4
6 x 9 to 4 x 4, not_larger, OpenVINO: 4 x 4
6 x 9 to 4 x 4, not_smaller, ONNX Runtime: 4 x 6
6 x 9 to 4 x 4, not_smaller, reference: 4 x 6
6 x 9 to 4 x 4, not_smaller, OpenVINO: 4 x 4
cubic, exclude_outside 0, ONNX Runtime: the row ends 57.8 197.2 281.9
cubic, exclude_outside 0, reference: the row ends 57.8 197.2 281.9
cubic, exclude_outside 0, OpenVINO: the row ends 57.8 197.2 281.9
cubic, exclude_outside 1, ONNX Runtime: the row ends 64.5 202.7 289.8
cubic, exclude_outside 1, reference: the row ends 64.5 202.7 289.8
cubic, exclude_outside 1, OpenVINO: the row ends 57.8 197.2 281.9
TEXT
"$folder/env/bin/python" "$folder/look.py" "$folder" 2> /dev/null | tee "$folder/found"
if diff "$folder/expected" "$folder/found"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
