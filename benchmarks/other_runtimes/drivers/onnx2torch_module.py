"""onnx2torch, which makes a module of PyTorch of a file in opset 15."""

import onnx
import torch
from drive import drive
from onnx2torch import convert


def prepare(file, work):
    """The outputs come in the order of the file; the first is the codes."""
    torch.set_num_threads(1)
    older = onnx.version_converter.convert_version(onnx.load(file), 15)
    network = convert(older).eval()

    def run(images):
        with torch.inference_mode():
            return network(torch.from_numpy(images))[0].numpy()

    return run


drive(prepare)
