"""Health of a set of codes: are the bits balanced, independent, and the codes spread out."""

from dataclasses import asdict, dataclass

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

    def to_dict(self) -> dict:
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
    together = np.zeros((bits, bits))  # images in which bits i and j are both 1
    for start in range(0, n, _CHUNK):
        ones = np.unpackbits(codes[start : start + _CHUNK], axis=1, count=bits).astype(np.float32)
        together += ones.T @ ones  # exact: at most 8192, well below 2^24
    means = together.diagonal() / n
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
        mean_bit_correlation=_mean_correlation(together[np.ix_(alive, alive)] / n),
    )


def _mean_correlation(together: np.ndarray) -> float | None:
    """Mean |correlation| off the diagonal, from the shares in which two bits are both 1."""
    bits = len(together)
    if bits < 2:
        return None
    means = together.diagonal()
    spread = np.sqrt(means * (1 - means))
    correlation = (together - np.outer(means, means)) / np.outer(spread, spread)
    off_diagonal = np.abs(correlation).sum() - np.abs(correlation.diagonal()).sum()
    return float(off_diagonal / (bits * (bits - 1)))
