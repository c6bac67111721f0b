"""The programs that can run an encoder, behind one call; each gives the same codes."""

import hashlib
import importlib.util
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssah_tf.system.errors import SsahError
from ssah_tf.system.onnx_session import metadata_of, open_session
from ssah_tf.system.openvino_network import compile_network
from ssah_tf.system.text import first_line

#: Gives outputs by name for uint8 images `(batch, size, size, 3)`.
Run = Callable[[Sequence[str], npt.NDArray[np.uint8]], list[npt.NDArray[Any]]]

#: Runtime -> the file or folder of an export that it runs.
FILES = {
    "onnxruntime": "encoder.onnx",
    "openvino": "encoder.onnx",
    "litert": "encoder.tflite",
    "tensorflow": "saved_model/1",
}
#: The encoder in 8-bit integers for LiteRT. What it is stands in `encoder.onnx` beside it.
LITERT_INTEGERS = "encoder.int8.tflite"
#: Runtime -> the module that it is, and what to install for it.
MODULES = {
    "openvino": ("openvino", "openvino"),
    "litert": ("ai_edge_litert", "'ssah-tf[litert]'"),
    "tensorflow": ("tensorflow", "'ssah-tf[train]'"),
}


def open_runtime(
    runtime: str, file: Path, threads: int, providers: Sequence[str] | None = None
) -> tuple[dict[str, str], Run]:
    """Open an encoder in one of `FILES`.

    Args:
        runtime: A key of `FILES`.
        file: `encoder.onnx`, or a file in integers beside it; the others of its export are found
            from there.
        threads: Threads of the runtime for one call, 0 for one a core. With 1, calls of several
            threads run side by side. TensorFlow takes the first number of a process for all of it.
        providers: Execution providers of ONNX Runtime.

    Returns:
        What the encoder says of itself, text by key; and what runs it.

    Raises:
        SsahError: Such a runtime is not known or not installed, or cannot run this encoder.
    """
    if runtime not in FILES:
        raise SsahError(f"runtime {runtime!r}: choose from {', '.join(FILES)}")
    if not installed(runtime):
        raise SsahError(f"runtime {runtime} is not installed: pip install {MODULES[runtime][1]}")
    if providers and runtime != "onnxruntime":
        raise SsahError(f"execution providers are of ONNX Runtime: runtime {runtime} has none")
    lite = file.suffix == ".tflite"
    if lite and runtime != "litert":
        raise SsahError(f"{file}: a file of LiteRT, which {runtime} does not run")
    place = file if lite or FILES[runtime] == "encoder.onnx" else file.parent / FILES[runtime]
    if not place.exists():
        raise SsahError(
            f"{place}: no such file; runtime {runtime} needs the folder that `ssah export` wrote"
            + (", with --litert" if runtime == "litert" else "")
        )
    try:
        if runtime == "onnxruntime":
            session = open_session(place, threads=threads, providers=providers)
            about = session.get_modelmeta().custom_metadata_map
            return about, lambda outputs, images: session.run(list(outputs), {"images": images})
        about = metadata_of(file.with_name(FILES["onnxruntime"]) if lite else file)
        if lite:
            about |= {"model_id": id_of_integers(about["model_id"], file.read_bytes())}
        elif about.get("precision") == "int8":
            raise ValueError(f"an encoder in integers, which {runtime} rounds otherwise")
        opened = {"openvino": openvino, "litert": litert, "tensorflow": tensorflow}[runtime]
        return about, opened(place, threads)
    except Exception as error:  # each runtime raises its own
        raise SsahError(f"{place}: cannot be loaded ({first_line(error)})") from None


def id_of_integers(model_id: str, content: bytes) -> str:
    """The model id of an encoder in integers, whose codes are not those of the encoder in floats.

    Args:
        model_id: Of the encoder in floats.
        content: What the other one consists of.
    """
    return hashlib.sha256(model_id.encode() + content).hexdigest()[:16]


def installed(runtime: str) -> bool:
    """Whether a runtime of `FILES` can be imported; ONNX Runtime comes with the product."""
    return runtime not in MODULES or importlib.util.find_spec(MODULES[runtime][0]) is not None


def openvino(file: Path, threads: int) -> Run:
    """OpenVINO. Its number of threads is that of all calls together, in streams of a call each."""
    options = {}
    if threads:
        streams = max(1, (os.cpu_count() or 1) // threads)
        options = {"NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": threads * streams}
    model = compile_network(str(file), options)
    port = {name: output for output in model.outputs for name in output.get_names()}
    local = threading.local()

    def run(outputs: Sequence[str], images: npt.NDArray[np.uint8]) -> list[npt.NDArray[Any]]:
        if not hasattr(local, "request"):
            local.request = model.create_infer_request()
        found = local.request.infer([images])
        return [found[port[name]].copy() for name in outputs]

    return run


def litert(file: Path, threads: int) -> Run:
    """LiteRT. An interpreter has room for one batch at a time, so that each thread has its own."""
    from ai_edge_litert.interpreter import Interpreter

    def signature() -> Any:
        opened = Interpreter(model_path=str(file), num_threads=threads or os.cpu_count())
        return opened.get_signature_runner()

    local = threading.local()
    local.signature = signature()  # a file that is none is told now

    def run(outputs: Sequence[str], images: npt.NDArray[np.uint8]) -> list[npt.NDArray[Any]]:
        if not hasattr(local, "signature"):
            local.signature = signature()
        found = local.signature(images=images)
        return [found[name].copy() for name in outputs]

    return run


def tensorflow(folder: Path, threads: int) -> Run:
    """TensorFlow: codes alone by `serving_default`, all else by `logits`, which gives all."""
    import tensorflow as tf

    with suppress(RuntimeError):  # it runs already
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    loaded = tf.saved_model.load(str(folder))  # kept: its variables live as long as it does

    def run(outputs: Sequence[str], images: npt.NDArray[np.uint8]) -> list[npt.NDArray[Any]]:
        name = "serving_default" if [*outputs] == ["codes"] else "logits"
        found = loaded.signatures[name](images=tf.constant(images))
        return [found[name].numpy() for name in outputs]

    return run
