"""A runtime of the product: `product.py FILE WORK PASSES RUNTIME`."""

import sys

from drive import drive

from ssah_tf import Encoder


def prepare(file, work):
    """`Encoder` on one thread, from the export that the file is of."""
    export = next(folder for folder in file.parents if (folder / "encoder.onnx").exists())
    return Encoder.load(export, runtime=sys.argv[4], threads=1).encode


drive(prepare)
