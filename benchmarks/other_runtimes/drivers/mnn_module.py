"""MNN. The command `mnnconvert` would install a package and report to its maker; this does not."""

import _tools
import MNN
import numpy as np
from drive import drive


def prepare(file, work):
    """The input is declared NCHW, though it is not: its shape is then taken as it is."""
    target = str(work / "encoder.mnn")
    words = ["-f", "ONNX", "--modelFile", str(file), "--MNNModel", target, "--bizCode", "MNN"]
    _tools.mnnconvert(["mnnconvert", *words])
    how = {"backend": "CPU", "precision": "high", "numThread": 1}
    manager = MNN.nn.create_runtime_manager((how,))
    network = MNN.nn.load_module_from_file(target, ["images"], ["codes"], runtime_manager=manager)

    def run(images):
        given = MNN.expr.const(images, images.shape, MNN.expr.NCHW, MNN.expr.uint8)
        (codes,) = network.onForward([given])
        return np.array(codes.read())

    return run


drive(prepare)
