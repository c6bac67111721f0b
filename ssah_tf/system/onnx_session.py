"""Sessions of ONNX Runtime, opened in one way."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ssah_tf.system.text import first_line

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from onnxruntime import InferenceSession

#: Entry of a session's configuration by which integer encoders give the same codes on every x86. It
#: changes no code where the processor has VNNI, but takes 1.8 times as long there.
EXACT_INTEGERS = ("session.x64quantprecision", "1")
#: Where Linux says what the processor can do, and the word for VNNI.
PROCESSOR, VNNI = Path("/proc/cpuinfo"), "avx512_vnni"

#: Pixels that a network is given at once: 8 images of 224 px. With more it takes no less time an
#: image, and memory in proportion: `efficientnet_lite0` at 288 px 1.9 GB for 64 images, .2 for 4.
AT_ONCE = 8 * 224**2


def in_parts(images: "npt.NDArray[np.uint8]") -> "list[npt.NDArray[np.uint8]]":
    """Images `(n, height, width, 3)` in parts of at most `AT_ONCE` pixels, in order; one or more.

    An image that has more pixels is a part of its own.
    """
    step = max(1, AT_ONCE // (images.shape[1] * images.shape[2]))
    return [images[i : i + step] for i in range(0, max(1, len(images)), step)]


@cache
def sums_exactly() -> bool:
    """Whether the processor adds products of 8-bit integers without cutting off, if known."""
    try:
        lines = PROCESSOR.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(line.startswith("flags") and VNNI in line.split() for line in lines)


def open_session(
    model: Path | bytes,
    *,
    threads: int = 0,
    providers: Sequence[str] | None = None,
    optimized: bool = True,
) -> "InferenceSession":
    """Open a session on a model.

    Integers are computed in the same way on every x86 processor: where there is no VNNI, sums of
    8-bit products would be cut off at 16 bits, and codes of integer encoders differ.

    Args:
        model: Its file, or what would be in it.
        threads: Threads of ONNX Runtime, 0 for one a core. They do not spin while they wait, so
            that other work on the machine is not held up.
        providers: Execution providers in order of preference; by default those that are installed,
            CPU last.
        optimized: Whether the network is prepared for running, which takes a moment.

    Raises:
        ValueError: ONNX Runtime does not take it; its first line says why.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not sums_exactly():
        options.add_session_config_entry(*EXACT_INTEGERS)
    options.log_severity_level = 4  # what it logs as an error, it raises, too
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model),
            options,
            providers=list(providers or onnxruntime.get_available_providers()),
        )
    except Exception as error:  # ONNX Runtime's own classes derive from Exception alone
        raise ValueError(first_line(error)) from None


def metadata_of(file: Path) -> dict[str, str]:
    """What an ONNX file says of itself, text by key.

    Raises:
        ValueError: See `open_session`.
    """
    session = open_session(file, providers=["CPUExecutionProvider"], optimized=False)
    found: dict[str, str] = session.get_modelmeta().custom_metadata_map
    return found
