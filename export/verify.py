"""Proof that an export gives the codes of the trained encoder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.hash_layer import UNDECIDED
from ssah_tf.encoding.runtimes import FILES, LITERT_INTEGERS, installed
from ssah_tf.export.manifest import read_manifest
from ssah_tf.export.onnx_codes import LOGITS, codes_by, variants_in
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.system.errors import SsahError
from ssah_tf.system.reading import read_array, read_arrays
from ssah_tf.system.text import first_line

#: Images and codes that travel with an export, for `verify`.
REFERENCE = "reference.npz"
#: Images on which TensorFlow's second signature is tried, at most.
SECOND = 64
#: Largest middle difference of logits, of their deviation, that is rounding; and how many times the
#: middle one the largest may be.
NOISE, SPREAD = 1e-3, 16
#: The encoder in 8-bit integers, if there is one.
INT8 = "encoder.int8.onnx"
#: What a manifest says of encoders in integers, by the key there -> the file.
INTEGERS = {"int8": INT8, "int8_litert": LITERT_INTEGERS}


def bits_apart(codes: np.ndarray, expected: np.ndarray) -> int:
    """Number of bits in which packed codes differ."""
    return int(np.bitwise_count(codes ^ expected).sum())


def decided(*logits: np.ndarray, margin: float = UNDECIDED) -> np.ndarray:
    """Which bits do not hang on rounding: packed like codes, a 1 where |logit| > `margin`.

    Args:
        logits: Of the code and, if there is one, of the appearance code.
        margin: See `rounding`.
    """
    return np.concatenate([np.packbits(np.abs(x) > margin, axis=1) for x in logits], axis=1)


def rounding(logits: np.ndarray, expected: np.ndarray) -> float:
    """How near to 0 a logit is whose bit hangs on rounding: `UNDECIDED`, or more for deep networks.

    Two programs add in different orders, and layers amplify it: logits of `ResNet101` with random
    weights, of deviation 1, differ by 1e-4 in the middle and by 1e-3 at most.

    Args:
        logits: By an export, `(n, bits)`.
        expected: By the trained encoder.

    Returns:
        `SPREAD` times the middle difference, `UNDECIDED` at least.

    Raises:
        SsahError: They differ by more than rounding.
    """
    noise, most = float(np.median(np.abs(logits - expected))), NOISE * float(expected.std())
    if not noise <= most:
        raise SsahError(
            f"the export's logits differ from the trained encoder's by {noise:.2g} in the middle; "
            f"rounding would explain {most:.2g}"
        )
    return max(UNDECIDED, SPREAD * noise)


@dataclass(frozen=True)
class Answer:
    """What an artefact gives for some images.

    Attributes:
        rows: Which images, numbers `(n,)`.
        codes: uint8 `(n, bytes)`.
        full: Whether those are full codes, with appearance codes behind them.
    """

    rows: np.ndarray
    codes: np.ndarray
    full: bool = True


def answers_of(encoder: Encoder, images: np.ndarray) -> list[Answer]:
    """The codes that an encoder gives in its runtime.

    TensorFlow has two signatures for images. Both call one function, so `serving_default`, which
    clients call, codes all images; `logits` codes `SECOND` of them, spread evenly.
    """
    rows = np.arange(len(images))
    if encoder.runtime != "tensorflow":
        return [Answer(rows, encoder.full_codes(images))]
    some = np.linspace(0, len(images) - 1, min(len(images), SECOND)).astype(int)
    signs = np.packbits(encoder.logits(images[some]) >= 0, axis=1)
    answers = [Answer(rows, encoder.encode(images), False), Answer(some, signs, False)]
    if encoder.appearance_bits:
        answers.append(Answer(some, encoder.full_codes(images[some])))
    return answers


def compare(
    folder: Path, images: np.ndarray, codes: np.ndarray, sure: np.ndarray
) -> dict[str, int]:
    """Bits in which the artefacts of an export differ from the codes of the trained encoder.

    Each is run in its own runtime, as far as that is installed.

    Two runtimes add in different orders, so in a deep network logits differ in the sixth digit, and
    a bit whose logit is 0 but for that may come out either way. Such bits may differ, others not.

    Args:
        folder: The export.
        images: uint8 `(n, size, size, 3)`.
        codes: Full codes by the trained encoder, uint8 `(n, bytes)`.
        sure: Which of their bits must be equal; see `decided`.

    Returns:
        Artefact -> number of bits that differ.

    Raises:
        SsahError: A bit differs that must not.
    """
    encoder = Encoder.load(folder)
    total = len(images) * (encoder.bits + encoder.appearance_bits)
    found = {}
    for runtime in ("onnxruntime", "tensorflow", "litert"):
        if (folder / FILES[runtime]).exists() and installed(runtime):
            found[FILES[runtime]] = answers_of(Encoder.load(folder, runtime=runtime), images)
    rows = np.arange(len(images))
    for path in variants_in(folder):
        answer = Answer(rows, codes_by(path, images)[0], path.name != LOGITS)
        found[path.name] = [answer]
    differ = {}
    for name, answers in found.items():
        apart = np.zeros_like(codes)
        for answer in answers:
            width = codes.shape[1] if answer.full else code_bytes(encoder.bits)
            if answer.codes.shape != (len(answer.rows), width):
                raise SsahError(
                    f"{name}: codes of {answer.codes.shape[1]} bytes instead of {width}, those of "
                    "appearance included; export again"
                )
            apart[answer.rows, :width] |= answer.codes ^ codes[answer.rows, :width]
        wrong = int(np.bitwise_count(apart & sure).sum())
        if wrong:
            raise SsahError(
                f"{name}: {wrong:,} of {total:,} bits differ from the trained encoder, "
                "though their logits are not so near to 0 that rounding decides"
            )
        differ[name] = int(np.bitwise_count(apart).sum())
    return differ


def check_identity(folder: Path, about: dict) -> None:
    """Refuse a manifest that says something else of the encoder than the encoder's own file.

    Raises:
        SsahError: Model id, bits or image size differ.
    """
    encoder = Encoder.load(folder)
    for key in ("model_id", "bits", "appearance_bits", "image_size"):
        # Exports of older versions have no appearance codes, and do not speak of them.
        if about.get(key, 0) != getattr(encoder, key):
            raise SsahError(
                f"{folder}: {key} is {about.get(key)!r} in the manifest and "
                f"{getattr(encoder, key)!r} in {encoder.path.name}; export again"
            )


@dataclass(frozen=True)
class Reference:
    """Images that travel with an export, and their codes by the trained encoder.

    Attributes:
        images: uint8 `(n, size, size, 3)`.
        codes: Full codes, uint8 `(n, bytes)`.
        sure: Which of their bits must be equal; see `decided`.
        lengths: Bits of a code, and of its appearance code, if there is one.
    """

    images: np.ndarray
    codes: np.ndarray
    sure: np.ndarray
    lengths: tuple[int, ...]

    @property
    def bits(self) -> int:
        """How many bits the codes have in all."""
        return len(self.images) * sum(self.lengths)

    @property
    def width(self) -> int:
        """Bytes of a code without its appearance code."""
        return code_bytes(self.lengths[0])


def read_reference(folder: Path) -> Reference:
    """Read what travels with an export.

    Raises:
        SsahError: Missing or damaged.
    """
    try:
        arrays = read_arrays(folder / REFERENCE)
        codes = [arrays[key] for key in ("codes", "appearance") if key in arrays]
        logits = [arrays[key] for key in ("logits", "appearance_logits") if key in arrays]
        return Reference(
            arrays["images"],
            np.concatenate(codes, axis=1),
            decided(*logits, margin=float(arrays.get("margin", UNDECIDED))),
            tuple(part.shape[1] for part in logits),
        )
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise SsahError(f"{folder / REFERENCE}: missing or damaged ({error})") from None


def verify(folder: Path) -> dict:
    """Check the files of an export by checksum, and its codes on the images that travel with it.

    Args:
        folder: What `ssah export` wrote.

    Returns:
        The manifest, and under `verified` the `artefacts` that were run with the number of
        undecided bits in which each differs, the number of `bits`, and of encoders in integers,
        `int8_bits` and `int8_litert_bits`, in how many their codes differ.

    Raises:
        SsahError: Not an export, a file changed, or codes differ; or an encoder in integers has
            another id than the manifest says.
    """
    about = read_manifest(folder)
    check_identity(folder, about)
    known = read_reference(folder)
    found = compare(folder, known.images, known.codes, known.sure)
    verified = {"artefacts": found, "bits": known.bits}
    for key, name in INTEGERS.items():
        if key not in about or (name == LITERT_INTEGERS and not installed("litert")):
            continue
        encoder = Encoder.load(folder / name)
        if encoder.model_id != about[key]["model_id"]:
            raise SsahError(f"{folder / name}: another model id than in the manifest; export again")
        codes = encoder.encode(known.images)  # they may differ
        verified[f"{key}_bits"] = bits_apart(codes, known.codes[:, : known.width])
    return {**about, "verified": verified}


def verify_codes(folder: Path, codes: np.ndarray) -> dict:
    """Hold codes that something else has made against the codes that travel with an export.

    Args:
        folder: What `ssah export` wrote.
        codes: Packed codes of the images in its `reference.npz`, in their order; uint8 `(n,
            bytes)`, with or without the appearance codes behind them.

    Returns:
        `model_id` of the export; `bits` compared; `differ`, in how many they differ; `decided`,
        how many of these are no matter of rounding.

    Raises:
        SsahError: Not an export, or codes of another shape.
    """
    about, known = read_manifest(folder), read_reference(folder)
    whole = codes.ndim == 2 and codes.shape[1:] == known.codes.shape[1:]
    width = known.codes.shape[1] if whole else known.width
    expected, sure = known.codes[:, :width], known.sure[:, :width]
    if codes.dtype != np.uint8 or codes.shape != expected.shape:
        raise SsahError(
            f"codes must be uint8 {expected.shape}, of the images in {folder / REFERENCE} in their "
            f"order. Received: {codes.dtype} {codes.shape}"
        )
    return {
        "model_id": about["model_id"],
        "bits": known.bits if whole else len(codes) * known.lengths[0],
        "differ": bits_apart(codes, expected),
        "decided": int(np.bitwise_count((codes ^ expected) & sure).sum()),
    }


def read_codes(path: Path) -> np.ndarray:
    """Read packed codes that something else has made.

    Args:
        path: `.npy`, uint8 `(n, bytes)`; or text with a code a line: in hexadecimal, or its bytes
            as whole numbers with commas between.

    Raises:
        SsahError: It cannot be read, or holds something else.
    """
    try:
        if path.suffix == ".npy":
            return read_array(path)
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        rows = [
            [*map(int, line.split(","))] if "," in line else [*bytes.fromhex(line)]
            for line in lines
            if line
        ]
        return np.array(rows, np.uint8)
    except (OSError, ValueError, OverflowError) as error:
        raise SsahError(
            f"{path}: not packed codes, .npy or a line of hexadecimal or of bytes with commas an "
            f"image ({first_line(error)})"
        ) from None
