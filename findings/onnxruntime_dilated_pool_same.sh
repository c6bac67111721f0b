#!/usr/bin/env bash
# ONNX Runtime 1.32.0 leaves dilations out of account when it pads a MaxPool with auto_pad SAME_UPPER.
#
# What one would expect: with stride 1 the result has the sides of the input, as "SAME" says and as
# the specification writes: pads = (output - 1) * stride + (kernel - 1) * dilation + 1 - input.
# What happens: the pads are those of a kernel without dilation, so that 8 x 8 become 6 x 6, and with
# stride 2 3 x 3 in place of 4 x 4, without a word. A convolution of the same kind is refused with a
# line ("Dilation not supported for AutoPadType"). The reference implementation in onnx keeps the
# sides; so does ONNX Runtime itself, once the pads are written out.
# Seen with: onnxruntime 1.32.0, onnx 1.23.2, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/onnxruntime_dilated_pool_same.sh       exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat > "$folder/look.py" <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

IMAGE = np.random.default_rng(0).normal(size=(1, 1, 8, 8)).astype(np.float32)
PADS = {1: [2, 2, 2, 2], 2: [1, 1, 2, 2]}


def pooled(stride, **pad):
    """A MaxPool of 3 x 3, every second pixel."""
    node = helper.make_node(
        "MaxPool", ["x"], ["y"], kernel_shape=[3, 3], dilations=[2, 2], strides=[stride] * 2, **pad
    )
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, IMAGE.shape),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4),
    ]
    graph = helper.make_graph([node], "pool", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model):
    """By ONNX Runtime."""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": IMAGE})[0]


print(onnxruntime.__version__)
for stride, pads in PADS.items():
    automatic = pooled(stride, auto_pad="SAME_UPPER")
    (reference,) = ReferenceEvaluator(automatic).run(None, {"x": IMAGE})
    written = run(pooled(stride, pads=pads))
    sides = [found.shape[2:] for found in (run(automatic), written, reference)]
    print(f"stride {stride}: SAME_UPPER {sides[0]}, pads {sides[1]}, reference {sides[2]}")
    print(f"pads as the reference: {np.array_equal(written, reference)}")
PYTHON
cat > "$folder/expected" <<'TEXT'
1.32.0
stride 1: SAME_UPPER (6, 6), pads (8, 8), reference (8, 8)
pads as the reference: True
stride 2: SAME_UPPER (3, 3), pads (4, 4), reference (4, 4)
pads as the reference: True
TEXT
"$folder/env/bin/python" "$folder/look.py" 2> /dev/null | tee "$folder/found"
if diff "$folder/expected" "$folder/found"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
