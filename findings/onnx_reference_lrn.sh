#!/usr/bin/env bash
# The reference implementation of onnx 1.23.2 normalises as many channels in LRN as there are images.
#
# What one would expect: local response normalisation, as AlexNet and GoogLeNet have it, divides
# each channel by what its neighbours hold, whatever the batch; the reference implementation is what
# others are measured by.
# What happens: its loop over the channels ends at the number of images. Of one image with eight
# channels the first is right, and seven are divided by one constant; with eight images all are
# right. So an answer depends on the batch.
# Seen with: onnx 1.23.2, onnxruntime 1.32.0, NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/onnx_reference_lrn.sh       exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check \
  onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat > "$folder/look.py" <<'PYTHON'
from importlib.metadata import version

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

CHANNELS, SIZE, ALPHA, BETA, BIAS = 8, 5, 0.5, 0.75, 2.0


def by_formula(images):
    """Each channel divided by (bias + alpha / size * sum of the neighbours' squares) ** beta."""
    sums = np.zeros_like(images)
    for channel in range(CHANNELS):
        first, last = max(0, channel - (SIZE - 1) // 2), channel + SIZE // 2
        sums[:, channel] = (images[:, first : last + 1] ** 2).sum(axis=1)
    return images / (BIAS + ALPHA / SIZE * sums) ** BETA


print(*(version(name) for name in ("onnx", "onnxruntime")))
for count in (1, 3, 8):
    images = np.random.default_rng(0).uniform(1, 2, (count, CHANNELS, 2, 2)).astype(np.float32)
    node = helper.make_node("LRN", ["x"], ["y"], size=SIZE, alpha=ALPHA, beta=BETA, bias=BIAS)
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, images.shape) for n in "xy"]
    graph = helper.make_graph([node], "lrn", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    written = model.SerializeToString()
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    for program, found in (
        ("ONNX Runtime", session.run(None, {"x": images})[0]),
        ("reference", ReferenceEvaluator(model).run(None, {"x": images})[0]),
    ):
        right = np.isclose(found, by_formula(images), rtol=1e-4).all(axis=(0, 2, 3))
        gap = np.abs(found - by_formula(images)).max()
        print(f"{count} images, {program}: {right.sum()} of 8 channels right, at most {gap:.2f} off")
PYTHON
cat > "$folder/expected" <<'TEXT'
1.23.2 1.32.0
1 images, ONNX Runtime: 8 of 8 channels right, at most 0.00 off
1 images, reference: 1 of 8 channels right, at most 0.36 off
3 images, ONNX Runtime: 8 of 8 channels right, at most 0.00 off
3 images, reference: 3 of 8 channels right, at most 0.42 off
8 images, ONNX Runtime: 8 of 8 channels right, at most 0.00 off
8 images, reference: 8 of 8 channels right, at most 0.00 off
TEXT
"$folder/env/bin/python" "$folder/look.py" 2> /dev/null | tee "$folder/found"
if diff "$folder/expected" "$folder/found"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
