"""tract, from the file of a fixed batch."""

import tract
from drive import drive


def prepare(file, work):
    """Outputs come in the order of the file; the first is the codes."""
    network = tract.onnx().load(file).into_model().into_runnable()
    return lambda images: network.run([images])[0].to_numpy()


drive(prepare)
