#!/usr/bin/env bash
# OpenVINO 2026.4.1 keeps windows of a pool that lie behind the picture, if ceil_mode is set.
#
# What one would expect: sides are rounded up, but a window that begins behind the picture or in the
# padding there is left out; and an average that counts the padding counts no pixel behind it. So
# PyTorch 2.14.1, ONNX Runtime and the reference implementation in onnx.
# What happens: a MaxPool of 2 x 2 with steps of 3 makes four rows of nine, and the last one holds
# the least number of its type. An AveragePool of 3 x 3 with a padding of 1 divides by nine in its last column, too, where
# only six pixels are picture or padding. Without ceil_mode all agree. No word is said.
# Seen with: openvino 2026.4.1, onnxruntime 1.32.0, onnx 1.23.2, NumPy 2.4.6, Python 3.11, Linux
# x86-64.
#
#   bash findings/openvino_pools_rounded_up.sh       exit code 0: as described; 1: it has changed
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

#: A white picture.
IMAGE = np.ones((1, 1, 9, 10), np.float32)
POOLS = {
    "largest": {"op_type": "MaxPool", "kernel_shape": [2, 2], "strides": [3, 2]},
    "average": {
        "op_type": "AveragePool",
        "kernel_shape": [3, 3],
        "strides": [2, 2],
        "pads": [1, 1, 1, 1],
        "count_include_pad": 1,
    },
}


def answers(pool, ceil_mode):
    """The last row of a pool by three programs, and how many rows there are."""
    node = helper.make_node(inputs=["x"], outputs=["y"], ceil_mode=ceil_mode, **pool)
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, IMAGE.shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4),
    ]
    graph = helper.make_graph([node], "pool", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    path = Path(argv[1]) / "pool.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return {
        "ONNX Runtime": session.run(None, {"x": IMAGE})[0],
        "reference": ReferenceEvaluator(model).run(None, {"x": IMAGE})[0],
        "OpenVINO": openvino.compile_model(path, "CPU")(IMAGE)[0],
    }


print(*(version(name) for name in ("openvino", "onnxruntime", "onnx")))
for name, pool in POOLS.items():
    for ceil_mode in (0, 1):
        for program, found in answers(pool, ceil_mode).items():
            rows = found[0, 0]
            end = " ".join("least" if value < -1e30 else f"{value:.3f}" for value in rows[-1])
            print(f"{name}, ceil_mode {ceil_mode}, {program}: {len(rows)} rows, the last {end}")
PYTHON
cat > "$folder/expected" <<'TEXT'
2026.4.1 1.32.0 1.23.2
largest, ceil_mode 0, ONNX Runtime: 3 rows, the last 1.000 1.000 1.000 1.000 1.000
largest, ceil_mode 0, reference: 3 rows, the last 1.000 1.000 1.000 1.000 1.000
largest, ceil_mode 0, OpenVINO: 3 rows, the last 1.000 1.000 1.000 1.000 1.000
largest, ceil_mode 1, ONNX Runtime: 3 rows, the last 1.000 1.000 1.000 1.000 1.000
largest, ceil_mode 1, reference: 3 rows, the last 1.000 1.000 1.000 1.000 1.000
largest, ceil_mode 1, OpenVINO: 4 rows, the last least least least least least
average, ceil_mode 0, ONNX Runtime: 5 rows, the last 0.444 0.667 0.667 0.667 0.667
average, ceil_mode 0, reference: 5 rows, the last 0.444 0.667 0.667 0.667 0.667
average, ceil_mode 0, OpenVINO: 5 rows, the last 0.444 0.667 0.667 0.667 0.667
average, ceil_mode 1, ONNX Runtime: 5 rows, the last 0.444 0.667 0.667 0.667 0.667 0.333
average, ceil_mode 1, reference: 5 rows, the last 0.444 0.667 0.667 0.667 0.667 0.333
average, ceil_mode 1, OpenVINO: 5 rows, the last 0.444 0.667 0.667 0.667 0.667 0.222
TEXT
"$folder/env/bin/python" "$folder/look.py" "$folder" 2> /dev/null | tee "$folder/found"
if diff "$folder/expected" "$folder/found"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
