#!/usr/bin/env bash
# OpenVINO 2026.4.1 computes ONNX bit operations of 8, 32 and 64 bits in other types.
#
# What one would expect: BitShift and BitwiseXor work on the bits of the type that the file names, as
# in NumPy, ONNX Runtime and the reference implementation in onnx; so a file may pack codes into
# bytes, or compare codes of 64 bits. What a program cannot do is an error.
# What happens, without a word: of uint8 what does not fit becomes 255, 200 << 1 is 255 and not 144.
# Of uint32 a shift to the right rounds large numbers as floats do, and brings ones in from the left
# if the highest bit is set; XOR is right. Of uint64 the lower 32 bits are taken, with a sign: the XOR
# of two codes of more bits lacks the upper ones. uint16 is right.
# Seen with: openvino 2026.4.1, onnxruntime 1.32.0, onnx 1.23.2, NumPy 2.4.6, Python 3.11, Linux
# x86-64.
#
#   bash findings/openvino_bit_operations.sh       exit code 0: as described; 1: it has changed
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
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator


def answers(kind, operator, numbers, others, **how):
    """The numbers and others by an operator, by three programs."""
    numbers, others = (np.array(values, kind) for values in (numbers, others))
    element = helper.np_dtype_to_tensor_dtype(numbers.dtype)
    node = helper.make_node(operator, ["a", "b"], ["y"], **how)
    ends = [helper.make_tensor_value_info(name, element, numbers.shape) for name in "aby"]
    graph = helper.make_graph([node], "bits", ends[:2], ends[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    path = Path(argv[1]) / "bits.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return {
        "ONNX Runtime": session.run(None, {"a": numbers, "b": others})[0],
        "reference": ReferenceEvaluator(model).run(None, {"a": numbers, "b": others})[0],
        "OpenVINO": openvino.compile_model(path, "CPU")([numbers, others])[0],
    }


print(*(version(name) for name in ("openvino", "onnxruntime", "onnx")))
CASES = (
    ("u1", "BitShift", [1, 100, 200], [1, 1, 1], {"direction": "LEFT"}),
    ("u2", "BitShift", [1, 100, 51200], [1, 1, 1], {"direction": "LEFT"}),
    ("u4", "BitShift", [2, 2**31 - 2, 2**31], [1, 1, 1], {"direction": "RIGHT"}),
    ("u8", "BitShift", [2, 2**31, 2**40], [1, 1, 1], {"direction": "RIGHT"}),
    ("u4", "BitwiseXor", [5, 2**31, 2**32 - 1], [3, 1, 1], {}),
    ("u8", "BitwiseXor", [5, 2**31 - 1, 2**40 + 5], [3, 1, 2**50 + 3], {}),
)
for kind, operator, numbers, others, how in CASES:
    print(np.dtype(kind), operator, how.get("direction", "of"), numbers, others)
    for program, found in answers(kind, operator, numbers, others, **how).items():
        print(f"    {program}:", *(int(value) for value in found))
PYTHON
cat > "$folder/expected" <<'TEXT'
2026.4.1 1.32.0 1.23.2
uint8 BitShift LEFT [1, 100, 200] [1, 1, 1]
    ONNX Runtime: 2 200 144
    reference: 2 200 144
    OpenVINO: 2 200 255
uint16 BitShift LEFT [1, 100, 51200] [1, 1, 1]
    ONNX Runtime: 2 200 36864
    reference: 2 200 36864
    OpenVINO: 2 200 36864
uint32 BitShift RIGHT [2, 2147483646, 2147483648] [1, 1, 1]
    ONNX Runtime: 1 1073741823 1073741824
    reference: 1 1073741823 1073741824
    OpenVINO: 1 1073741824 3221225472
uint64 BitShift RIGHT [2, 2147483648, 1099511627776] [1, 1, 1]
    ONNX Runtime: 1 1073741824 549755813888
    reference: 1 1073741824 549755813888
    OpenVINO: 1 18446744072635809792 0
uint32 BitwiseXor of [5, 2147483648, 4294967295] [3, 1, 1]
    ONNX Runtime: 6 2147483649 4294967294
    reference: 6 2147483649 4294967294
    OpenVINO: 6 2147483649 4294967294
uint64 BitwiseXor of [5, 2147483647, 1099511627781] [3, 1, 1125899906842627]
    ONNX Runtime: 6 2147483646 1126999418470406
    reference: 6 2147483646 1126999418470406
    OpenVINO: 6 2147483646 6
TEXT
"$folder/env/bin/python" "$folder/look.py" "$folder" 2> /dev/null | tee "$folder/found"
if diff "$folder/expected" "$folder/found"; then
  echo "as described"
else
  echo "CHANGED: see the lines above"
  exit 1
fi
