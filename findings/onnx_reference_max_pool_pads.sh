#!/usr/bin/env bash
# onnx 1.23.2: the reference implementation of MaxPool takes unequal pads in another order.
#
# What one would expect: pads are [top, left, bottom, right], as in AveragePool, and as checker, shape
# inference and all runtimes have it. A padding of one row and one column at the end, with which "SAME"
# of TensorFlow is written out for kernels of even sides, keeps 9 x 10.
# What happens: with steps of 1 the sides are 8 x 11, without a word; those that shape inference of the
# same package gives are 9 x 10. AveragePool is right with the same pads, and so is MaxPool with equal
# ones, or with steps of 2. Whoever holds a runtime against the reference takes the runtime for wrong.
# Seen with: onnx 1.23.2, onnxruntime 1.32.0, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/onnx_reference_max_pool_pads.sh       exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cat > "$folder/look.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, shape_inference
from onnx.reference import ReferenceEvaluator

IMAGE = np.random.default_rng(0).normal(size=(1, 1, 9, 10)).astype(np.float32)


def sides(kind, step, pads):
    """Height and width of a pool of 2 x 2, by reference, by shape inference, by ONNX Runtime."""
    node = helper.make_node(
        kind, ["x"], ["y"], kernel_shape=[2, 2], strides=[step, step], pads=pads
    )
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, IMAGE.shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4),
    ]
    graph = helper.make_graph([node], "pool", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    (reference,) = ReferenceEvaluator(model).run(None, {"x": IMAGE})
    inferred = shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape.dim
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {"x": IMAGE})
    shapes = reference.shape, tuple(dim.dim_value for dim in inferred), found.shape
    return ", ".join(f"{height} x {width}" for _, _, height, width in shapes)


print(onnx.__version__, onnxruntime.__version__)
for kind in ("MaxPool", "AveragePool"):
    for step, pads in ((1, [0, 0, 1, 1]), (1, [1, 0, 1, 1]), (1, [1, 1, 1, 1]), (2, [0, 0, 1, 1])):
        print(f"{kind}, step {step}, pads {pads}: {sides(kind, step, pads)}")
PYTHON
cat > "$folder/expected" <<'TEXT'
1.23.2 1.32.0
MaxPool, step 1, pads [0, 0, 1, 1]: 8 x 11, 9 x 10, 9 x 10
MaxPool, step 1, pads [1, 0, 1, 1]: 9 x 11, 10 x 10, 10 x 10
MaxPool, step 1, pads [1, 1, 1, 1]: 10 x 11, 10 x 11, 10 x 11
MaxPool, step 2, pads [0, 0, 1, 1]: 5 x 5, 5 x 5, 5 x 5
AveragePool, step 1, pads [0, 0, 1, 1]: 9 x 10, 9 x 10, 9 x 10
AveragePool, step 1, pads [1, 0, 1, 1]: 10 x 10, 10 x 10, 10 x 10
AveragePool, step 1, pads [1, 1, 1, 1]: 10 x 11, 10 x 11, 10 x 11
AveragePool, step 2, pads [0, 0, 1, 1]: 5 x 5, 5 x 5, 5 x 5
TEXT
"$folder/env/bin/python" "$folder/look.py" 2> /dev/null | tee "$folder/found"
if diff "$folder/expected" "$folder/found"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
