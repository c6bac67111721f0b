"""ONNX Runtime's own format for mobile builds, in its style Fixed."""

import subprocess
import sys

import onnxruntime
from drive import drive


def prepare(file, work):
    """Converts, and runs what came out."""
    tool = [sys.executable, "-m", "onnxruntime.tools.convert_onnx_models_to_ort", file]
    words = ["--optimization_style", "Fixed", "--output_dir", work / "ort"]
    subprocess.run([*tool, *words], check=True, capture_output=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        work / "ort" / file.with_suffix(".ort").name, options, providers=["CPUExecutionProvider"]
    )
    return lambda images: session.run(["codes"], {"images": images})[0]


drive(prepare)
