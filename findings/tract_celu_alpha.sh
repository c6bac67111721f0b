#!/usr/bin/env bash
# tract 0.23.9 gives other numbers for Celu of ONNX with an alpha that is not 1.
#
# What one would expect: Celu(x) = max(0, x) + min(0, alpha * (exp(x / alpha) - 1)), as Barron,
# "Continuously Differentiable Exponential Linear Units" (arXiv 1704.07483), the specification of ONNX
# and ONNX Runtime have it; at -2 with alpha 2 it is 2 * (1 / e - 1) = -1.264.
# What happens: tract gives -0.632 there, without an error: the factor before the bracket is missing.
# With alpha 1 it is right, and so is Elu with any alpha.
# Seen with: tract 0.23.9, onnxruntime 1.32.0, onnx 1.23.2, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/tract_celu_alpha.sh       exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  tract==0.23.9 onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat > "$folder/look.py" <<'PYTHON'
from importlib.metadata import version
from pathlib import Path
from sys import argv

import numpy as np
import onnx
import onnxruntime
import tract
from onnx import TensorProto, helper

NUMBERS = np.float32([[-4, -2, -1, 0, 1]])


def answers(kind, alpha):
    """An activation of the numbers by two programs."""
    node = helper.make_node(kind, ["x"], ["y"], alpha=alpha)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 5]) for name in "xy"]
    graph = helper.make_graph([node], "activation", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path = Path(argv[1]) / "activation.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    runnable = tract.onnx().load(path).into_model().into_runnable()
    return {
        "ONNX Runtime": session.run(None, {"x": NUMBERS})[0],
        "tract": runnable.run([NUMBERS])[0].to_numpy(),
    }


print(*(version(name) for name in ("tract", "onnxruntime", "onnx")))
for kind, alpha in (("Celu", 1.0), ("Celu", 2.0), ("Elu", 2.0)):
    for program, found in answers(kind, alpha).items():
        print(f"{kind} {alpha:g}, {program}:", " ".join(f"{value:.3f}" for value in found[0]))
PYTHON
cat > "$folder/expected" <<'TEXT'
0.23.9 1.32.0 1.23.2
Celu 1, ONNX Runtime: -0.982 -0.865 -0.632 0.000 1.000
Celu 1, tract: -0.982 -0.865 -0.632 0.000 1.000
Celu 2, ONNX Runtime: -1.729 -1.264 -0.787 0.000 1.000
Celu 2, tract: -0.865 -0.632 -0.393 0.000 1.000
Elu 2, ONNX Runtime: -1.963 -1.729 -1.264 0.000 1.000
Elu 2, tract: -1.963 -1.729 -1.264 0.000 1.000
TEXT
"$folder/env/bin/python" "$folder/look.py" "$folder" 2> /dev/null | tee "$folder/found"
if diff "$folder/expected" "$folder/found"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
