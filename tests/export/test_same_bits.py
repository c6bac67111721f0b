"""An encoder in floats gives the same bits however it is run: the table of docs/deploy.md.

Other runtimes are in `test_runtimes.py`, and Node.js is in `test_consumers.py`.
"""

import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from ssah_tf import Encoder
from ssah_tf.data import load_fashion
from ssah_tf.encoding.runtimes import FILES

LEVELS = ("DISABLE_ALL", "BASIC", "EXTENDED", "LAYOUT", "ALL")
BATCHES = (1, 7, 33, 64, 500)


def at_level(folder, pixels, level):
    """ONNX Runtime at a level of optimisation."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(
        onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level}".replace("ENABLE_DIS", "DIS")
    )
    session = onnxruntime.InferenceSession(
        folder / FILES["onnxruntime"], options, providers=["CPUExecutionProvider"]
    )
    return session.run(["codes"], {"images": pixels})[0]


def on_threads(folder, pixels, threads):
    """ONNX Runtime on so many threads."""
    return Encoder.load(folder, threads=threads).encode(pixels)


def in_batches(folder, pixels, batch):
    """So many images at once."""
    return Encoder.load(folder).encode(pixels, batch=batch)


def with_resolver(folder, pixels, name):
    """LiteRT with XNNPACK, its default, with its own kernels, or with those of reference."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        str(folder / FILES["litert"]), experimental_op_resolver_type=OpResolverType[name]
    )
    return interpreter.get_signature_runner()(images=pixels)["codes"]


WAYS = [
    *[(at_level, level) for level in LEVELS],
    *[(on_threads, threads) for threads in (1, 2)],
    *[(in_batches, batch) for batch in BATCHES],
    (with_resolver, "BUILTIN"),
    (with_resolver, "BUILTIN_WITHOUT_DEFAULT_DELEGATES"),
    pytest.param(with_resolver, "BUILTIN_REF", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("way", "how"), WAYS)
def test_no_bit_differs(exported, way, how):
    pixels = load_fashion().pixels[:1000]
    expected = Encoder.load(exported[1]).encode(pixels)
    np.testing.assert_array_equal(way(exported[1], pixels, how), expected)


def test_the_page_names_them():
    """What the table says was tried is what is tried here."""
    page = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")
    (levels,) = re.findall(r"^\| ONNX Runtime's levels of optimisation: (.*?) \|", page, flags=re.M)
    assert re.findall(r"`ORT_(?:ENABLE_)?(\w+)`", levels) == [*LEVELS]
    (batches,) = re.findall(r"^\| batches of (.*?) images", page, flags=re.M)
    assert [int(number) for number in re.findall(r"\d+", batches)] == [*BATCHES]
