#!/usr/bin/env bash
# OpenCV 4.14.0 reads an ONNX Resize to the nearest pixel without its nearest_mode.
#
# What one would expect: nearest_mode says which of two pixels is taken, and so which picture
# comes out; its default, round_prefer_floor, takes the left one where both are as near. A row of
# eight pixels at half its length is then 0 2 4 6 by default, and 1 3 5 7 with ceil. An attribute
# that a program does not know is an error.
# What happens: it is passed over without a word. 4.14.0 gives 1 3 5 7 with each nearest_mode, the
# default included, and other pixels at 1.5 times the length, too. OpenCV 5.0.0, ONNX Runtime and
# the reference implementation in onnx are right. With floor and asymmetric, as PyTorch's exporter
# writes it, 4.14.0 is right.
# Seen with: opencv-python-headless 4.14.0.94 and 5.0.0.93, onnxruntime 1.32.0, onnx 1.23.2, NumPy
# 2.4.6, Python 3.11, Linux x86-64.
#
#   bash findings/opencv_nearest_mode.sh       exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 5.0.0.93 4.14.0.94; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check \
    opencv-python-headless==$version onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
done
cat > "$folder/look.py" <<'PYTHON'
import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

#: One row of eight pixels, each with its place as its value.
ROW = np.arange(8, dtype=np.float32).reshape(1, 1, 1, 8)


def answers(length, coordinates, **how):
    """Which pixels of the row are taken for one of another length, by three programs."""
    node = helper.make_node(
        "Resize",
        ["x", "", "", "sizes"],
        ["y"],
        mode="nearest",
        coordinate_transformation_mode=coordinates,
        **how,
    )
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 1, side])
        for name, side in (("x", 8), ("y", length))
    ]
    sizes = numpy_helper.from_array(np.int64([1, 1, 1, length]), "sizes")
    graph = helper.make_graph([node], "resize", ends[:1], ends[1:], [sizes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    written = model.SerializeToString()
    session = onnxruntime.InferenceSession(written, providers=["CPUExecutionProvider"])
    network = cv2.dnn.readNetFromONNX(np.frombuffer(written, np.uint8))
    network.setInput(ROW)
    return {
        "OpenCV": network.forward(),
        "ONNX Runtime": session.run(None, {"x": ROW})[0],
        "reference": ReferenceEvaluator(model).run(None, {"x": ROW})[0],
    }


print(cv2.__version__)
for length, coordinates, how in (
    (4, "half_pixel", {}),
    (4, "half_pixel", {"nearest_mode": "floor"}),
    (4, "half_pixel", {"nearest_mode": "ceil"}),
    (12, "half_pixel", {}),
    (4, "asymmetric", {"nearest_mode": "floor"}),
):
    mode = how.get("nearest_mode", "default")
    found = {
        program: " ".join(f"{value:.0f}" for value in pixels.ravel())
        for program, pixels in answers(length, coordinates, **how).items()
    }
    agreed = "reference too" if found["ONNX Runtime"] == found["reference"] else "reference differs"
    print(f"{length} pixels, {coordinates}, {mode}: OpenCV {found['OpenCV']}")
    print(f"    ONNX Runtime {found['ONNX Runtime']}, {agreed}")
PYTHON
expected() {
  cat <<TEXT
$1
4 pixels, half_pixel, default: OpenCV $2
    ONNX Runtime 0 2 4 6, reference too
4 pixels, half_pixel, floor: OpenCV $2
    ONNX Runtime 0 2 4 6, reference too
4 pixels, half_pixel, ceil: OpenCV 1 3 5 7
    ONNX Runtime 1 3 5 7, reference too
12 pixels, half_pixel, default: OpenCV $3
    ONNX Runtime 0 0 1 2 2 3 4 4 5 6 6 7, reference too
4 pixels, asymmetric, floor: OpenCV 0 2 4 6
    ONNX Runtime 0 2 4 6, reference too
TEXT
}
"$folder/5.0.0.93/bin/python" "$folder/look.py" 2> /dev/null | tee "$folder/new"
"$folder/4.14.0.94/bin/python" "$folder/look.py" 2> /dev/null | tee "$folder/old"
if diff <(expected 5.0.0 "0 2 4 6" "0 0 1 2 2 3 4 4 5 6 6 7") "$folder/new" \
  && diff <(expected 4.14.0 "1 3 5 7" "0 1 1 2 3 3 4 5 5 6 7 7") "$folder/old"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
