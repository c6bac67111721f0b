"""Codes from features that are there already: the hash layer of an export, without its backbone."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.feature_parts import Floats, features_in, parts_of, read_part
from ssah_tf.system.errors import SsahError
from ssah_tf.system.files import atomic_path
from ssah_tf.system.reading import read_arrays
from ssah_tf.system.text import printable

#: A bit whose logit is nearer to 0 than this hangs on rounding; logits have a deviation of about 1.
#: An export of a very deep network has a margin of its own.
UNDECIDED = 1e-4
#: File beside `encoder.onnx`, in exports of encoders with a frozen backbone.
NAME = "hash_layer.npz"

Uint8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class HashLayer:
    """What an encoder with a frozen backbone makes of features, d of them, in codes of K bits.

    A logit is `scale * (x W - mean) + beta`; of an appearance code of A bits, `x V + bias`.

    Attributes:
        key: Names features of its backbone; see `feature_key`.
        model_id: Of the encoder.
        kernel: W, float32 `(d, K)`.
        mean: float32 `(K,)`.
        scale: float32 `(K,)`.
        beta: float32 `(K,)`.
        appearance_kernel: V, float32 `(d, A)`; A is 0 if there is no such code.
        appearance_bias: float32 `(A,)`.
        margin: How near to 0 a logit is whose bit hangs on rounding.
    """

    key: str
    model_id: str
    kernel: Floats
    mean: Floats
    scale: Floats
    beta: Floats
    appearance_kernel: Floats
    appearance_bias: Floats
    margin: float = UNDECIDED

    @classmethod
    def read(cls, path: Path) -> "HashLayer":
        """Read the file of an export.

        Raises:
            SsahError: There is none, or it is damaged.
        """
        try:
            arrays = read_arrays(path)
            floats = {field.name: arrays[field.name] for field in fields(cls)[2:-1]}
            margin = float(arrays.get("margin", UNDECIDED))  # older versions wrote none
            layer = cls(str(arrays["key"]), str(arrays["model_id"]), **floats, margin=margin)
            if not layer.whole():
                raise ValueError("its arrays do not fit each other")
        except FileNotFoundError:
            raise SsahError(
                f"{path}: no such file: the backbone of this encoder is not frozen, or an older "
                "version exported it: leave out --features, or run `ssah export RUN` again"
            ) from None
        except (OSError, ValueError, KeyError) as error:
            raise SsahError(f"{path}: damaged ({error}): run `ssah export RUN` again") from None
        return layer

    def write(self, path: Path) -> None:
        """Write it to a file.

        Raises:
            RunError: It cannot be written.
        """
        arrays: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **arrays)

    def whole(self) -> bool:
        """Whether key and arrays have the forms that they should have."""
        if not self.key.isalnum() or self.kernel.ndim != 2 or self.appearance_kernel.ndim != 2:
            return False
        (features, bits), (width, appearance) = self.kernel.shape, self.appearance_kernel.shape
        vectors = ((self.mean, bits), (self.scale, bits), (self.beta, bits))
        forms = all(v.shape == (n,) for v, n in (*vectors, (self.appearance_bias, appearance)))
        arrays = (
            self.kernel,
            self.appearance_kernel,
            self.appearance_bias,
            *(v for v, _ in vectors),
        )
        return forms and width == features and all(a.dtype == np.float32 for a in arrays)

    def full_codes(self, features: Floats) -> tuple[Uint8, npt.NDArray[np.bool_]]:
        """Full codes of features, and whether no bit of them hangs on rounding.

        Args:
            features: `(n, d)`.

        Returns:
            uint8 `(n, bytes)`, the appearance code behind the code; bool `(n,)`.
        """
        logits = (features @ self.kernel - self.mean) * self.scale + self.beta
        seen = features @ self.appearance_kernel + self.appearance_bias
        codes = [np.packbits(part >= 0, axis=1) for part in (logits, seen)]
        sure = (np.abs(np.concatenate([logits, seen], axis=1)) > self.margin).all(axis=1)
        return np.concatenate(codes, axis=1), np.asarray(sure, bool)


def codes_of_features(encoder: Encoder, work: Path) -> dict[bytes, Uint8]:
    """Codes of the images whose features are in a working folder, by the digest of their content.

    Left out are images of which a bit hangs on rounding: the encoder decides those itself. So the
    codes are the ones that it gives.

    Args:
        encoder: Its hash layer lies beside its file.
        work: The folder, as `ssah suggest` and `ssah label` keep it.

    Raises:
        SsahError: The export has no hash layer, or the folder has no features of its backbone.
    """
    layer = HashLayer.read(encoder.path.with_name(NAME))
    if layer.model_id != encoder.model_id:
        raise SsahError(
            f"{encoder.path}: {NAME} beside it is of another encoder; with --features take the "
            "encoder.onnx of the export"
        )
    found: dict[bytes, Uint8] = {}
    for path in parts_of(features_in(work), layer.key):
        part = dict(read_part(path, len(layer.kernel)))
        if part:
            codes, sure = layer.full_codes(np.stack(list(part.values())))
            digests = [bytes.fromhex(digest) for digest in part]
            found |= {d: code for d, code, s in zip(digests, codes, sure, strict=True) if s}
    if not found:
        raise SsahError(
            f"{printable(str(features_in(work)))}: no features of this encoder's backbone at "
            f"{encoder.image_size} px: they are of other weights or of another image size"
        )
    return found


def check_codes(encoder: Encoder, pixels: Uint8, codes: Uint8) -> None:
    """Compare codes of features with those of the encoder, on some images.

    Args:
        encoder: The encoder.
        pixels: uint8 `(n, side, side, 3)`.
        codes: Of their features, uint8 `(n, bytes)`.

    Raises:
        SsahError: They differ.
    """
    wrong = int((encoder.full_codes(pixels) != codes).any(axis=1).sum())
    if wrong:
        raise SsahError(
            f"--features: {wrong:,} of {len(codes):,} photos get other codes from their features "
            "than from the encoder: the features were computed on hardware that rounds more; "
            "leave out --features"
        )
