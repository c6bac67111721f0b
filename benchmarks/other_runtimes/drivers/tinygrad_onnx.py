"""tinygrad, which compiles with clang at the first call."""

from drive import drive
from tinygrad import Tensor
from tinygrad.nn.onnx import OnnxRunner


def prepare(file, work):
    """Each call builds the graph anew."""
    network = OnnxRunner(file)
    return lambda images: network({"images": Tensor(images)})["codes"].numpy()


drive(prepare)
