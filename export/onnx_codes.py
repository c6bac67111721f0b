"""Files of an encoder, its own and what became of them, run in ONNX Runtime."""

from pathlib import Path

import numpy as np

from ssah_tf.system.errors import SsahError
from ssah_tf.system.onnx_session import open_session

#: The form of floats in, logits out.
LOGITS = "encoder.logits.onnx"
#: The form of so many images at once.
FIXED_BATCH = "encoder.batch{}.onnx"
#: Images that a file without a fixed batch takes at once here.
FREE_BATCH = 64


def variants_in(folder: Path) -> list[Path]:
    """The files of an export for runtimes that want no bytes or no free batch."""
    return sorted(path for name in (LOGITS, FIXED_BATCH.format("*")) for path in folder.glob(name))


def codes_by(path: Path, images: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Codes of images by an ONNX file, in ONNX Runtime.

    Args:
        path: The file, ours or what became of it. Its input is uint8 or float32 images, its
            outputs are `codes` and perhaps `appearance`, or `logits` alone.
        images: uint8 `(n, size, size, 3)`.

    Returns:
        uint8 `(n, bytes)`: packed codes; those of appearance behind them, if the file gives them.
        And the model id that the file says it has.

    Raises:
        SsahError: It cannot be loaded, or is not such a file.
    """
    try:
        session = open_session(path)
    except ValueError as error:
        raise SsahError(f"{path}: cannot be loaded ({error})") from None
    given, names = session.get_inputs(), [value.name for value in session.get_outputs()]
    outputs = [name for name in ("codes", "appearance") if name in names] or ["logits"]
    if len(given) != 1 or not {"codes", "logits"}.intersection(names):
        raise SsahError(f"{path}: not an encoder: one input and an output `codes` or `logits`")
    free, *shape = given[0].shape
    if shape != list(images.shape[1:]):
        raise SsahError(f"{path}: takes images {shape}, these are {list(images.shape[1:])}")
    batch = free if isinstance(free, int) else FREE_BATCH
    if given[0].type == "tensor(float)":
        images = images.astype(np.float32)
    found = []
    for start in range(0, len(images), batch):
        part = images[start : start + batch]
        missing = batch - len(part) if isinstance(free, int) else 0
        whole = np.concatenate([part, np.zeros((missing, *shape), part.dtype)])
        answers = session.run(outputs, {given[0].name: whole})
        found.append(np.concatenate(answers, axis=1)[: len(part)])
    rows = np.concatenate(found)
    if outputs == ["logits"]:
        rows = np.packbits(rows >= 0, axis=1)
    return rows, session.get_modelmeta().custom_metadata_map.get("model_id")
