#!/usr/bin/env bash
# OpenVINO 2026.4.1 gives equal numbers of an ONNX TopK in no order, and other ones at its end.
#
# What one would expect: of two equal values the one with the lower index comes first, as the
# specification says ("uses the indices along the axis as a tiebreaker"), so that the answer of a
# search over short codes, whose distances are small whole numbers, is one answer. So ONNX
# Runtime, the reference implementation in onnx and OpenCV 5.0.0.
# What happens: with ten places or twenty, equal ones come mixed, and where the last place falls
# among equal ones, other ids are in the answer, without a word; floats and int32 alike. The
# distances themselves are right. With three places the ids were in order.
# Seen with: openvino 2026.4.1, opencv-python-headless 5.0.0.93, onnxruntime 1.32.0, onnx 1.23.2,
# NumPy 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/openvino_topk_ties.sh       exit code 0: as described; 1: it has changed
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
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator


def answers(distances, count):
    """The nearest ones, their distances and their ids, by four programs."""
    kind = helper.np_dtype_to_tensor_dtype(distances.dtype)
    node = helper.make_node("TopK", ["x", "count"], ["distances", "ids"], largest=0)
    first = helper.make_tensor_value_info("x", kind, distances.shape)
    ends = [
        helper.make_tensor_value_info("distances", kind, [1, count]),
        helper.make_tensor_value_info("ids", onnx.TensorProto.INT64, [1, count]),
    ]
    counts = numpy_helper.from_array(np.int64([count]), "count")
    graph = helper.make_graph([node], "search", [first], ends, [counts])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path = Path(argv[1]) / "search.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    # Floats stay floats; on processors with bfloat16 its default is less exact.
    compiled = openvino.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    network = cv2.dnn.readNetFromONNX(str(path))
    network.setInput(distances)
    found = compiled(distances)
    return {
        "ONNX Runtime": session.run(None, {"x": distances}),
        "reference": ReferenceEvaluator(model).run(None, {"x": distances}),
        "OpenCV": network.forward(["distances", "ids"]),
        "OpenVINO": [found[0], found[1]],
    }


print(*(version(name) for name in ("openvino", "onnxruntime", "onnx")), cv2.__version__)
words = {True: "yes", False: "NO"}
for kind, codes, count in (("f4", 5000, 3), ("f4", 5000, 20), ("i4", 5000, 20)):
    # Distances of random codes of 12 bits.
    distances = np.random.default_rng(0).binomial(12, 0.5, (1, codes)).astype(kind)
    right = np.argsort(distances[0], kind="stable")[:count]
    print(f"{distances.dtype}, {codes} codes, the nearest {count}")
    for program, (near, ids) in answers(distances, count).items():
        ids = np.asarray(ids).ravel().astype(int)
        tests = {
            "distances right": np.array_equal(np.asarray(near).ravel(), distances[0, right]),
            "order right": np.array_equal(ids, right),
            "ids right": set(ids) == set(right),
        }
        said = ", ".join(f"{name} {words[bool(is_so)]}" for name, is_so in tests.items())
        print(f"    {program}: {said}")
PYTHON
cat > "$folder/expected" <<'TEXT'
2026.4.1 1.32.0 1.23.2 5.0.0
float32, 5000 codes, the nearest 3
    ONNX Runtime: distances right yes, order right yes, ids right yes
    reference: distances right yes, order right yes, ids right yes
    OpenCV: distances right yes, order right yes, ids right yes
    OpenVINO: distances right yes, order right yes, ids right yes
float32, 5000 codes, the nearest 20
    ONNX Runtime: distances right yes, order right yes, ids right yes
    reference: distances right yes, order right yes, ids right yes
    OpenCV: distances right yes, order right yes, ids right yes
    OpenVINO: distances right yes, order right NO, ids right NO
int32, 5000 codes, the nearest 20
    ONNX Runtime: distances right yes, order right yes, ids right yes
    reference: distances right yes, order right yes, ids right yes
    OpenCV: distances right yes, order right yes, ids right yes
    OpenVINO: distances right yes, order right NO, ids right NO
TEXT
"$folder/env/bin/python" "$folder/look.py" "$folder" 2> /dev/null | tee "$folder/found"
if diff "$folder/expected" "$folder/found"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
