"""The encoder in 8-bit integers: smaller and quicker, with codes that differ in a few bits."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.export.onnx_model import save_checked
from ssah_tf.export.portable import make_portable
from ssah_tf.export.verify import INT8, bits_apart
from ssah_tf.metrics import evaluate_retrieval
from ssah_tf.system.errors import SsahError
from ssah_tf.system.onnx_session import EXACT_INTEGERS
from ssah_tf.system.reading import read_arrays
from ssah_tf.training.photos import known_images
from ssah_tf.training.run import Run
from ssah_tf.training.sample import Pictures

#: Training images from which the ranges of activations are found.
CALIBRATION = 512
BATCH = 64
#: What is computed in integers. The layers that make bits stay in floats.
OPERATORS = ["Conv", "MatMul", "Gemm", "Add", "Relu", "Clip", "MaxPool"]


class Calibration(CalibrationDataReader):
    """Batches of images in the form that ONNX Runtime's quantiser asks for."""

    def __init__(self, images: np.ndarray):
        self.batches: Iterator = (images[i : i + BATCH] for i in range(0, len(images), BATCH))

    def get_next(self) -> dict | None:
        """The next batch, or `None` after the last."""
        batch = next(self.batches, None)
        return None if batch is None else {"images": batch}


def write_int8(source: Path, target: Path, images: np.ndarray) -> str:
    """Quantise an exported ONNX file statically, weights by channel, in the QDQ form.

    Args:
        source: The file in floats.
        target: The file to write; it keeps the metadata, with an id of its own.
        images: uint8 `(n, size, size, 3)`, training images to calibrate on.

    Returns:
        The model id of the new file.
    """
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(source, ready, skip_symbolic_shape=True)
        nodes = onnx.load(ready).graph.node
        quantize_static(
            ready,
            target,
            Calibration(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=OPERATORS,
            nodes_to_exclude=[
                node.name for node in nodes if node.name.startswith(("hash", "appearance"))
            ],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    model = onnx.load(target)
    make_portable(model)
    about = {entry.key: entry.value for entry in onnx.load(source).metadata_props}
    weights = model.graph.SerializeToString(deterministic=True)
    about["model_id"] = hashlib.sha256(about["model_id"].encode() + weights).hexdigest()[:16]
    about["precision"] = "int8"
    onnx.helper.set_model_props(model, about)
    save_checked(model, target)
    return about["model_id"]


def add_int8(folder: Path, run: Run, pictures: Pictures, max_drop: float, force: bool) -> dict:
    """Write the integer encoder beside the one in floats, and measure what it costs.

    Every query and database image of the run is encoded, as far as there are pixels of it. The
    integer encoder has a model id of its own, for its codes are not those of the encoder in floats.

    Args:
        folder: The export in the making, with its file in floats.
        run: The run, evaluated.
        pictures: Pixels of its images.
        max_drop: Largest fall in mAP@all that is accepted.
        force: Accept any fall.

    Returns:
        `model_id`; `session`, what ONNX Runtime must be told; `bits_changed`, a share; `map` and
        `map_float`, over `queries` and `database` images; `calibration_images`.

    Raises:
        SsahError: mAP falls by more than `max_drop`, or there is nothing to measure it on.
    """
    split = run.evaluated_split
    training = pictures.of(run.whole_split.labelled + run.whole_split.unlabelled)
    parts = {"query": split.query, "database": split.database}
    known = known_images(run, pictures.images)
    labelled = set() if known is None else set(known.ids)
    there = {
        part: [name for name in pictures.of(ids) if name in labelled] for part, ids in parts.items()
    }
    if not training or known is None or not all(there.values()):
        raise SsahError(
            f"{run.folder}: no pixels are left to calibrate --int8 and to measure it on: if the "
            "photos have moved, name their folder with --data"
        )
    spread = np.linspace(0, len(training) - 1, min(CALIBRATION, len(training))).astype(np.int64)
    pixels = pictures.read([training[i] for i in spread])
    model_id = write_int8(folder / "encoder.onnx", folder / INT8, pixels)
    encoder = Encoder.load(folder / INT8)
    arrays = read_arrays(run.codes_path)
    codes, floats, labels = {}, {}, {}
    for part, ids in there.items():
        starts = range(0, len(ids), BATCH)
        batches = (pictures.read(ids[i : i + BATCH]) for i in starts)
        codes[part] = np.concatenate([encoder.encode(batch) for batch in batches])
        row = {name: i for i, name in enumerate(parts[part])}
        floats[part] = arrays[part][[row[name] for name in ids]]
        labels[part] = known.labels[known.positions(tuple(ids))]

    def map_of(codes: dict[str, np.ndarray]) -> float:
        return evaluate_retrieval(
            codes["query"],
            labels["query"],
            codes["database"],
            labels["database"],
            encoder.bits,
            cutoffs=(),
            n_bootstrap=0,
        ).map_tie_aware

    whole = all(len(there[part]) == len(ids) for part, ids in parts.items())
    before = run.metrics()["retrieval"]["map_tie_aware"] if whole else map_of(floats)
    after = map_of(codes)
    if before - after > max_drop and not force:
        raise SsahError(
            f"int8: mAP falls from {before:.4f} to {after:.4f}, by more than {max_drop}; "
            "nothing is written. Export without --int8, allow more with --max-drop, or --force it"
        )
    total = sum(len(part) for part in codes.values()) * encoder.bits
    changed = sum(bits_apart(codes[part], floats[part]) for part in codes)
    return {
        "model_id": model_id,
        "session": dict([EXACT_INTEGERS]),
        "bits_changed": changed / total,
        "map": after,
        "map_float": before,
        "queries": len(codes["query"]),
        "database": len(codes["database"]),
        "calibration_images": len(pixels),
    }
