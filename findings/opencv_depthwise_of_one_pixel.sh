#!/usr/bin/env bash
# OpenCV 4.14.0: a depthwise convolution of 3 x 3 over a map of a single pixel gives wrong numbers.
#
# What one would expect: with a padding of 1 the only pixel meets the middle of each kernel. A network
# of five halvings, such as EfficientNet or MobileNet, has such maps for images of 32 px.
# What happens: numbers are wrong, some of them by 10^30 and more, without an error, with 8 channels
# and with 32. Maps of 2 x 2 pixels and kernels of 5 x 5 are right, and so is a convolution over all
# channels. OpenCV 5.0.0 is right. The codes that an encoder for 32 px gives are as good as drawn.
# Seen with: opencv-python-headless 4.14.0.94 and 5.0.0.93, onnx 1.23.2, NumPy 2.4.6, Python 3.11,
# Linux x86-64 with AVX-512.
#
#   bash findings/opencv_depthwise_of_one_pixel.sh       exit code 0: as described; 1: it has changed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for version in 5.0.0.93 4.14.0.94; do
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check \
    opencv-python-headless==$version onnx==1.23.2 numpy==2.4.6
done
cat > "$folder/look.py" <<'PYTHON'
import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def equal(side, kernel, channels, depthwise):
    """Whether OpenCV's numbers are those of the reference implementation in onnx."""
    draw = np.random.default_rng(0)
    shape = (channels, 1 if depthwise else channels, kernel, kernel)
    weights = draw.normal(size=shape).astype(np.float32)
    node = helper.make_node(
        "Conv",
        ["x", "w"],
        ["y"],
        kernel_shape=[kernel] * 2,
        pads=[kernel // 2] * 4,
        group=channels if depthwise else 1,
    )
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [3, channels, side, side])
        for name in "xy"
    ]
    graph = helper.make_graph(
        [node], "convolution", ends[:1], ends[1:], [numpy_helper.from_array(weights, "w")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    images = draw.normal(size=(3, channels, side, side)).astype(np.float32)
    if side == 1:  # by hand: the middle of each kernel alone
        middle = weights[:, :, kernel // 2, kernel // 2]
        flat = images[..., 0, 0]
        right = (flat * middle[:, 0] if depthwise else flat @ middle.T)[..., None, None]
    else:
        padded = np.pad(images, [(0, 0), (0, 0), [kernel // 2] * 2, [kernel // 2] * 2])
        windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (2, 3))
        right = np.einsum("nchwij,cij->nchw", windows, weights[:, 0])
    network = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8))
    network.setInput(images)
    return bool(np.abs(network.forward() - right).max() < 1e-3)


print(cv2.__version__)
for case in ((1, 3, 8, True), (1, 3, 32, True), (2, 3, 32, True), (1, 5, 32, True), (1, 3, 32, False)):
    side, kernel, channels, depthwise = case
    kind = "depthwise" if depthwise else "all channels"
    print(f"{side} x {side}, kernel {kernel}, {channels} channels, {kind}: right {equal(*case)}")
PYTHON
expected() {
  cat <<TEXT
$1
1 x 1, kernel 3, 8 channels, depthwise: right $2
1 x 1, kernel 3, 32 channels, depthwise: right $2
2 x 2, kernel 3, 32 channels, depthwise: right True
1 x 1, kernel 5, 32 channels, depthwise: right True
1 x 1, kernel 3, 32 channels, all channels: right True
TEXT
}
"$folder/5.0.0.93/bin/python" "$folder/look.py" | tee "$folder/new"
"$folder/4.14.0.94/bin/python" "$folder/look.py" | tee "$folder/old"
if diff <(expected 5.0.0 True) "$folder/new" && diff <(expected 4.14.0 False) "$folder/old"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
