"""TVM, compiled for a processor as it is, without tuning."""

import onnx
import tvm
from drive import drive
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx


def prepare(file, work):
    """The outputs come in the order of the file; the first is the codes."""
    module = from_onnx(onnx.load(file))
    machine = relax.VirtualMachine(tvm.compile(module, target="llvm"), tvm.cpu())
    return lambda images: machine["main"](tvm.runtime.tensor(images))[0].numpy()


drive(prepare)
