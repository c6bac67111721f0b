"""Integers are exact on every processor, and quick where that costs nothing."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ssah_tf.system import onnx_session
from ssah_tf.system.onnx_session import EXACT_INTEGERS, open_session, sums_exactly


@pytest.fixture
def processor(tmp_path, monkeypatch):
    """Makes a processor with some abilities; one that says nothing if they are `None`."""

    def make(flags):
        path = tmp_path / "cpuinfo"
        if flags is not None:
            path.write_text(f"model name : avx512_vnni\nflags\t\t: {flags}\nbugs : none\n")
        monkeypatch.setattr(onnx_session, "PROCESSOR", path)
        sums_exactly.cache_clear()

    yield make
    sums_exactly.cache_clear()


@pytest.fixture
def model(rng):
    """A quantised product whose sums reach far beyond 16 bits."""
    weights = rng.choice([-127, 127], size=(256, 8)).astype(np.int8)
    node = helper.make_node("MatMulInteger", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [None, 256])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [None, 8])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(), weights


@pytest.mark.parametrize(
    ("flags", "exact"),
    [("fpu avx512_vnni sse", False), ("fpu avx2 sse", True), ("", True), (None, True)],
)
def test_the_entry_is_set_where_sums_would_be_cut_off(processor, model, flags, exact):
    processor(flags)
    options = open_session(model[0]).get_session_options()
    if exact:
        assert options.get_session_config_entry(EXACT_INTEGERS[0]) == EXACT_INTEGERS[1]
    else:
        with pytest.raises(RuntimeError, match="x64quantprecision"):
            options.get_session_config_entry(EXACT_INTEGERS[0])


def test_sums_are_exact_on_this_processor(model, rng):
    images = rng.choice([0, 255], size=(64, 256)).astype(np.uint8)
    (found,) = open_session(model[0]).run(None, {"x": images})
    np.testing.assert_array_equal(found, images.astype(np.int64) @ model[1].astype(np.int64))
