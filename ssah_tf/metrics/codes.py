"""Health of a set of codes: are the bits balanced, independent, and the codes spread out."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ssah_tf.metrics.hamming import check_codes

# Codes unpacked to float at a time for the bit correlations.
_CHUNK = 8192


@dataclass(frozen=True)
class CodeStatistics:
    """What a set of codes looks like, whatever its labels.

    Attributes:
        codes: Number of codes.
        bits: Length of a code.
        distinct_codes: Number of different codes.
        largest_bucket: Number of images that share the most common code.
        bit_means: Share of ones of each bit.
        mean_imbalance: Mean over bits of |share of ones - 1/2|: 0 balanced, 1/2 all bits constant.
        worst_bit: The bit with the largest imbalance (the first of equals).
        constant_bits: Number of bits that never change, which carry nothing.
        mean_bit_correlation: Mean |Pearson correlation| between two different bits, over the bits
            that are not constant; `None` if fewer than two of them are left.
    """

    codes: int
    bits: int
    distinct_codes: int
    largest_bucket: int
    bit_means: tuple[float, ...]
    mean_imbalance: float
    worst_bit: int
    constant_bits: int
    mean_bit_correlation: float | None

    def to_dict(self) -> dict[str, Any]:
        """The statistics as plain numbers and lists, ready for `json.dumps`."""
        return asdict(self) | {"bit_means": list(self.bit_means)}


def code_statistics(codes: np.ndarray, bits: int) -> CodeStatistics:
    """Measures balance, correlation and crowding of a set of codes.

    Args:
        codes: Packed codes, uint8 `(n, ceil(bits / 8))`.
        bits: Length of a code.

    Raises:
        ValueError: `codes` is not packed codes of `bits` bits, or there are none.
    """
    codes = check_codes("codes", codes, bits)
    n = len(codes)
    _, bucket_sizes = np.unique(codes, axis=0, return_counts=True)
    together = _ones_together(codes, bits)
    means = together.diagonal()
    imbalance = np.abs(means - 0.5)
    alive = (means > 0) & (means < 1)
    return CodeStatistics(
        codes=n,
        bits=int(bits),
        distinct_codes=len(bucket_sizes),
        largest_bucket=int(bucket_sizes.max()),
        bit_means=tuple(means.tolist()),
        mean_imbalance=float(imbalance.mean()),
        worst_bit=int(imbalance.argmax()),
        constant_bits=int((~alive).sum()),
        mean_bit_correlation=_mean_correlation(_correlation(together), alive),
    )


def bit_correlation(codes: np.ndarray, bits: int) -> np.ndarray:
    """|Pearson correlation| of every two bits of a set of codes.

    Args:
        codes: Packed codes, uint8 `(n, ceil(bits / 8))`.
        bits: Length of a code.

    Returns:
        float64 `(bits, bits)`; 0 for a bit that never changes, also with itself.

    Raises:
        ValueError: `codes` is not packed codes of `bits` bits, or there are none.
    """
    return _correlation(_ones_together(check_codes("codes", codes, bits), bits))


def _ones_together(codes: np.ndarray, bits: int) -> np.ndarray:
    """Share of codes in which bits i and j are both 1, `(bits, bits)`."""
    together = np.zeros((bits, bits))
    for start in range(0, len(codes), _CHUNK):
        ones = np.unpackbits(codes[start : start + _CHUNK], axis=1, count=bits).astype(np.float32)
        together += ones.T @ ones  # exact: at most 8192, well below 2^24
    return together / len(codes)


def _correlation(together: np.ndarray) -> np.ndarray:
    """|Correlation| of the bits, from the shares in which two of them are both 1."""
    means = together.diagonal()
    spread = np.sqrt(means * (1 - means))
    scale = np.where(spread > 0, spread, 1)
    found: np.ndarray = np.abs(together - np.outer(means, means)) / np.outer(scale, scale)
    return found


def _mean_correlation(correlation: np.ndarray, alive: np.ndarray) -> float | None:
    """Mean |correlation| off the diagonal of the bits that change."""
    bits = int(alive.sum())
    if bits < 2:
        return None
    off_diagonal = correlation.sum() - correlation.diagonal().sum()
    return float(off_diagonal / (bits * (bits - 1)))
