"""Proof that an export gives the codes of the trained encoder."""

import importlib.util
from pathlib import Path

import numpy as np

from ssah_tf.encoder import Encoder
from ssah_tf.errors import SsahError
from ssah_tf.export.manifest import read_manifest

#: Images and codes that travel with an export, for `verify`.
REFERENCE = "reference.npz"
#: The encoder in 8-bit integers, if there is one.
INT8 = "encoder.int8.onnx"


def bits_apart(codes: np.ndarray, expected: np.ndarray) -> int:
    """Number of bits in which packed codes differ."""
    return int(np.bitwise_count(codes ^ expected).sum())


def saved_model_codes(folder: Path, images: np.ndarray, batch: int = 256) -> np.ndarray:
    """Codes of images by `serving_default` of the SavedModel in an export."""
    import tensorflow as tf

    served = tf.saved_model.load(str(folder / "saved_model" / "1")).signatures["serving_default"]
    parts = [images[i : i + batch] for i in range(0, len(images), batch)]
    return np.concatenate([served(images=tf.constant(part))["codes"].numpy() for part in parts])


def compare(folder: Path, images: np.ndarray, expected: np.ndarray, tensorflow: bool) -> dict:
    """Bits in which the artefacts of an export differ from expected codes.

    Args:
        folder: The export.
        images: uint8 `(n, size, size, 3)`.
        expected: Packed codes, uint8 `(n, bytes)`.
        tensorflow: Whether to run the SavedModel, too.

    Returns:
        Artefact -> number of bits.
    """
    found = {"encoder.onnx": bits_apart(Encoder.load(folder).encode(images), expected)}
    if tensorflow:
        found["saved_model/1"] = bits_apart(saved_model_codes(folder, images), expected)
    return found


def refuse_differences(found: dict[str, int], total: int) -> None:
    """Raise if any artefact differs.

    Raises:
        SsahError: It does.
    """
    for name, bits in found.items():
        if bits:
            raise SsahError(
                f"{name}: {bits:,} of {total:,} bits differ from the trained encoder; 0 are allowed"
            )


def verify(folder: Path) -> dict:
    """Check the files of an export by checksum, and its codes on the images that travel with it.

    Args:
        folder: What `ssah export` wrote.

    Returns:
        The manifest, and under `verified` the artefacts that were run, the number of bits, and
        of an encoder in integers, `int8_bits`, in how many its codes differ.

    Raises:
        SsahError: Not an export, a file changed, or codes differ.
    """
    about = read_manifest(folder)
    with np.load(folder / REFERENCE, allow_pickle=False) as arrays:
        images, expected = arrays["images"], arrays["codes"]
    tensorflow = importlib.util.find_spec("tensorflow") is not None
    found = compare(folder, images, expected, tensorflow)
    total = len(images) * about["bits"]
    refuse_differences(found, total)
    verified = {"artefacts": list(found), "bits": total}
    if "int8" in about:  # its codes may differ, and by processor
        codes = Encoder.load(folder / INT8).encode(images)
        verified["int8_bits"] = bits_apart(codes, expected)
    return {**about, "verified": verified}
