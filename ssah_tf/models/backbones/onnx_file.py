"""An ONNX file of others as one model in memory; nothing is taken from outside its folder."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import first_line

#: A model is one message of protobuf, which holds no more than this; some room for ours is left.
LARGEST = 2**31 - 2**22


def read_onnx_file(path: Path) -> tuple[onnx.ModelProto, str]:
    """Read an ONNX file and the weights that it keeps in files beside it.

    Args:
        path: The file.

    Returns:
        The model, whole; and the SHA-256 of its files.

    Raises:
        SsahError: No such file, cut off, too new or too large, or its weights are missing or lie
            outside its folder.
    """
    if not path.is_file():
        raise SsahError(f"{path}: no such file")
    try:
        if path.stat().st_size > LARGEST:
            raise SsahError(f"{path}: larger than 2 GB, which is more than one ONNX file can hold")
        content = path.read_bytes()
        model = onnx.load_model_from_string(content)
        if not model.graph.node or not model.opset_import:
            raise ValueError("it has no nodes")
    except OSError as error:
        raise SsahError(f"{path}: cannot be read ({error.strerror})") from None
    except SsahError:
        raise
    except Exception as error:  # protobuf raises errors of its own
        raise not_whole(path, error) from None
    check_versions(path, model)
    digest = hashlib.sha256(content)
    beside = external_files(path, model)
    if sum(file.stat().st_size for file in beside) + len(content) > LARGEST:
        raise SsahError(
            f"{path}: with its weights larger than 2 GB, which is more than one ONNX file can hold"
        )
    for file in beside:
        digest.update(file.read_bytes())
    if beside:
        try:
            load_external_data_for_model(model, str(path.parent))
        except (OSError, ValueError, onnx.checker.ValidationError) as error:
            raise not_whole(path, error) from None
        for tensor in tensors_of(model):
            tensor.ClearField("data_location")
    return model, digest.hexdigest()


def not_whole(path: Path, error: Exception) -> SsahError:
    """The error for a file that is no whole ONNX model."""
    return SsahError(f"{path}: not a whole ONNX file, perhaps cut off ({first_line(error)})")


def check_versions(path: Path, model: onnx.ModelProto) -> None:
    """Refuse a model that is newer than the installed packages.

    Raises:
        SsahError: It is.
    """
    known = onnx.defs.onnx_opset_version()
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version > known:
            raise SsahError(
                f"{path}: of opset {entry.version}, onnx {onnx.__version__} knows up to {known}: "
                "pip install --upgrade onnx onnxruntime, or export it in an older opset"
            )
    if model.ir_version > onnx.IR_VERSION:
        raise SsahError(
            f"{path}: of format {model.ir_version}, onnx {onnx.__version__} knows up to "
            f"{onnx.IR_VERSION}: pip install --upgrade onnx onnxruntime"
        )


def external_files(path: Path, model: onnx.ModelProto) -> list[Path]:
    """The files beside a model that hold its weights, each once.

    Raises:
        SsahError: One is missing, or lies outside the folder of the model.
    """
    folder = path.parent.resolve()
    found: dict[Path, None] = {}
    for tensor in tensors_of(model):
        if not uses_external_data(tensor):
            continue
        name = next((e.value for e in tensor.external_data if e.key == "location"), "")
        file = (folder / name).resolve()
        if not name or Path(name).is_absolute() or not file.is_relative_to(folder):
            raise SsahError(f"{path}: its weights lie outside its folder, in {name!r}: refused")
        if not file.is_file():
            raise SsahError(f"{path}: its weights are missing: put {name!r} beside it")
        found[file] = None
    return list(found)


def tensors_of(message: object) -> Iterator[onnx.TensorProto]:
    """Every tensor in a message of ONNX, however deep it lies."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():  # type: ignore[attr-defined]
        if field.message_type is None:
            continue
        for part in [value] if hasattr(value, "ListFields") else value:
            yield from tensors_of(part)


def self_contained(content: bytes) -> onnx.ModelProto:
    """A model in memory that keeps nothing in other files.

    Raises:
        ValueError: It does, or the bytes are none.
    """
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf raises errors of its own
        raise ValueError(first_line(error)) from None
    if any(uses_external_data(tensor) for tensor in tensors_of(model)):
        raise ValueError("an ONNX model with weights in other files")
    return model
