#!/usr/bin/env bash
# onnx's converter to older opsets leaves an attribute that the older operator does not have.
#
# What one would expect: onnx.version_converter.convert_version(model, 17) gives a valid model of
# opset 17, or raises, as it does where it has no adapter.
# What happens: ReduceMean and its like took noop_with_empty_axes in opset 18. Where a file says it,
# even with its default 0 and with axes given, it stays in the result for opset 17 and below. No
# error, no warning. onnx's own checker and ONNX Runtime then refuse the file. Without the attribute
# the same model converts, and gives the same numbers. tf2onnx writes it.
# Seen with: onnx 1.23.2, onnxruntime 1.32.0, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/onnx_older_opset_keeps_attribute.sh      exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper, version_converter

x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def model(kind, **attributes):
    node = helper.make_node(kind, ["x", "axes"], ["y"], keepdims=0, **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 4])],
        [numpy_helper.from_array(np.array([1], np.int64), "axes")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(made):
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


def refused(call, made):
    try:
        call(made)
    except Exception as error:
        return "noop_with_empty_axes" in str(error)
    return False


changed = []
for kind in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL2", "ReduceSumSquare"):
    for opset in (17, 15, 13):
        plain, said = model(kind), model(kind, noop_with_empty_axes=0)
        right = np.array_equal(run(version_converter.convert_version(plain, opset)), run(plain))
        older = version_converter.convert_version(said, opset)
        by_checker, by_runtime = refused(onnx.checker.check_model, older), refused(run, older)
        print(f"{kind:<16} to opset {opset}: converted; refused by onnx's checker: {by_checker}, by "
              f"ONNX Runtime: {by_runtime}; without the attribute right: {right}")
        if not (right and by_checker and by_runtime):
            changed.append((kind, opset))
print(f"CHANGED: {changed}" if changed else "as described")
sys.exit(bool(changed))
PYTHON
