#!/usr/bin/env bash
# OpenVINO 2026.4.1 reads an ONNX Resize as if its antialias were not there.
#
# What one would expect: a network that makes pictures smaller with antialias, as a preprocessing inside
# an ONNX file does, gives the numbers of ONNX Runtime and of the reference implementation in onnx; an
# attribute that a program does not know is an error.
# What happens: it is passed over without a word. Columns that are black, black and white in turns, a
# third as wide: grey with antialias (85 of 255), all black in OpenVINO. Linear and cubic alike.
# Seen with: openvino 2026.4.1, onnxruntime 1.32.0, onnx 1.23.2, NumPy 2.4.6, Python 3.11, Linux
# x86-64.
#
#   bash findings/openvino_resize_antialias.sh       exit code 0: as described; 1: it has changed
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

#: Columns of black, black and white; nine rows.
IMAGE = np.tile(np.float32([0, 0, 255]), (1, 1, 9, 5))


def answers(mode, antialias):
    """The first row of the picture made a third as wide, by three programs."""
    node = helper.make_node(
        "Resize",
        ["x", "", "", "sizes"],
        ["y"],
        mode=mode,
        antialias=antialias,
        coordinate_transformation_mode="half_pixel",
    )
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sides)
        for name, sides in (("x", IMAGE.shape), ("y", [1, 1, 9, 5]))
    ]
    sizes = numpy_helper.from_array(np.int64([1, 1, 9, 5]), "sizes")
    graph = helper.make_graph([node], "resize", ends[:1], ends[1:], [sizes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path = Path(argv[1]) / "resize.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return {
        "ONNX Runtime": session.run(None, {"x": IMAGE})[0],
        "reference": ReferenceEvaluator(model).run(None, {"x": IMAGE})[0],
        "OpenVINO": openvino.compile_model(path, "CPU")(IMAGE)[0],
    }


print(*(version(name) for name in ("openvino", "onnxruntime", "onnx")))
for mode in ("linear", "cubic"):
    for antialias in (0, 1):
        for program, found in answers(mode, antialias).items():
            row = " ".join(f"{abs(value):.0f}" for value in found[0, 0, 0])
            print(f"{mode}, antialias {antialias}, {program}: {row}")
PYTHON
cat > "$folder/expected" <<'TEXT'
2026.4.1 1.32.0 1.23.2
linear, antialias 0, ONNX Runtime: 0 0 0 0 0
linear, antialias 0, reference: 0 0 0 0 0
linear, antialias 0, OpenVINO: 0 0 0 0 0
linear, antialias 1, ONNX Runtime: 57 85 85 85 113
linear, antialias 1, reference: 57 85 85 85 113
linear, antialias 1, OpenVINO: 0 0 0 0 0
cubic, antialias 0, ONNX Runtime: 0 0 0 0 0
cubic, antialias 0, reference: 0 0 0 0 0
cubic, antialias 0, OpenVINO: 0 0 0 0 0
cubic, antialias 1, ONNX Runtime: 58 90 85 80 112
cubic, antialias 1, reference: 58 90 85 80 112
cubic, antialias 1, OpenVINO: 0 0 0 0 0
TEXT
"$folder/env/bin/python" "$folder/look.py" "$folder" 2> /dev/null | tee "$folder/found"
if diff "$folder/expected" "$folder/found"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
