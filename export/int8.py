"""The encoder in 8-bit integers: smaller and quicker, with codes that differ in a few bits."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
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
from ssah_tf.encoding.runtimes import id_of_integers
from ssah_tf.export.onnx_model import save_checked
from ssah_tf.export.portable import make_portable
from ssah_tf.export.verify import bits_apart
from ssah_tf.metrics import evaluate_retrieval
from ssah_tf.system.errors import SsahError
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


def quantise(source: Path, target: Path, images: np.ndarray) -> None:
    """Quantise a network in ONNX statically, weights by channel, in the QDQ form.

    Args:
        source: The file in floats; it takes `images`.
        target: The file to write.
        images: uint8 `(n, size, size, 3)`, training images to calibrate on.
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


def write_int8(source: Path, target: Path, images: np.ndarray) -> None:
    """Quantise an exported file; it keeps the metadata, with an id of its own. See `quantise`."""
    quantise(source, target, images)
    model = onnx.load(target)
    make_portable(model)
    about = {entry.key: entry.value for entry in onnx.load(source).metadata_props}
    weights = model.graph.SerializeToString(deterministic=True)
    about["model_id"] = id_of_integers(about["model_id"], weights)
    about["precision"] = "int8"
    onnx.helper.set_model_props(model, about)
    save_checked(model, target)


@dataclass(frozen=True)
class Trial:
    """What encoders in integers are made from and measured on.

    Attributes:
        calibration: uint8 `(n, size, size, 3)`, training images.
        pictures: Pixels of images.
        ids: Part -> ids of its images, of `query` and `database`, that have pixels and labels.
        labels: Part -> uint8 `(n, classes)`.
        floats: Part -> packed codes by the encoder in floats.
        map_float: mAP@all of these.
    """

    calibration: np.ndarray
    pictures: Pictures
    ids: dict[str, list[str]]
    labels: dict[str, np.ndarray]
    floats: dict[str, np.ndarray]
    map_float: float

    @classmethod
    def of(cls, run: Run, pictures: Pictures, bits: int) -> "Trial":
        """Take every query and database image of an evaluated run, as far as there are pixels.

        Args:
            run: The run.
            pictures: Pixels of its images.
            bits: Length of a code.

        Raises:
            SsahError: There is nothing to calibrate or measure on.
        """
        split = run.evaluated_split
        training = pictures.of(run.whole_split.labelled + run.whole_split.unlabelled)
        parts = {"query": split.query, "database": split.database}
        known = known_images(run, pictures.images)
        labelled = set() if known is None else set(known.ids)
        there = {
            part: [name for name in pictures.of(ids) if name in labelled]
            for part, ids in parts.items()
        }
        if not training or known is None or not all(there.values()):
            raise SsahError(
                f"{run.folder}: no pixels are left to calibrate --int8 and to measure it on: if "
                "the photos have moved, name their folder with --data"
            )
        spread = np.linspace(0, len(training) - 1, min(CALIBRATION, len(training)))
        calibration = pictures.read([training[i] for i in spread.astype(np.int64)])
        arrays = read_arrays(run.codes_path)
        floats, labels = {}, {}
        for part, ids in there.items():
            row = {name: i for i, name in enumerate(parts[part])}
            floats[part] = arrays[part][[row[name] for name in ids]]
            labels[part] = known.labels[known.positions(tuple(ids))]
        if all(len(there[part]) == len(ids) for part, ids in parts.items()):
            map_float = run.metrics()["retrieval"]["map_tie_aware"]
        else:
            map_float = map_of(floats, labels, bits)
        return cls(calibration, pictures, there, labels, floats, map_float)

    def measure(self, encoder: Encoder, max_drop: float, force: bool) -> dict:
        """What an encoder in integers costs. It has a model id of its own, for its codes differ.

        Args:
            encoder: The encoder.
            max_drop: Largest fall in mAP@all that is accepted.
            force: Accept any fall.

        Returns:
            `model_id`; `bits_changed`, a share; `map` and `map_float`, over `queries` and
            `database` images; `calibration_images`.

        Raises:
            SsahError: mAP falls by more than `max_drop`.
        """
        codes = {}
        for part, ids in self.ids.items():
            starts = range(0, len(ids), BATCH)
            batches = (self.pictures.read(ids[i : i + BATCH]) for i in starts)
            codes[part] = np.concatenate([encoder.encode(batch) for batch in batches])
        after = map_of(codes, self.labels, encoder.bits)
        if self.map_float - after > max_drop and not force:
            raise SsahError(
                f"{encoder.path.name}: mAP falls from {self.map_float:.4f} to {after:.4f}, by more "
                f"than {max_drop}; nothing is written. Export without --int8, allow more with "
                "--max-drop, or --force it"
            )
        total = sum(len(part) for part in codes.values()) * encoder.bits
        changed = sum(bits_apart(codes[part], self.floats[part]) for part in codes)
        return {
            "model_id": encoder.model_id,
            "bits_changed": changed / total,
            "map": after,
            "map_float": self.map_float,
            "queries": len(codes["query"]),
            "database": len(codes["database"]),
            "calibration_images": len(self.calibration),
        }


def map_of(codes: dict[str, np.ndarray], labels: dict[str, np.ndarray], bits: int) -> float:
    """mAP@all, tie-aware, of the codes of queries and database."""
    return evaluate_retrieval(
        codes["query"],
        labels["query"],
        codes["database"],
        labels["database"],
        bits,
        cutoffs=(),
        n_bootstrap=0,
    ).map_tie_aware
