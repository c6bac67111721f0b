"""The code of a class: one code that stands for the codes of its images."""

import numpy as np

from ssah_tf.metrics.relevance import LabelLists, Members

# Codes unpacked at a time.
_CHUNK = 1 << 16


def majority_code(codes: np.ndarray) -> np.ndarray:
    """The bitwise majority: no code has a smaller sum of Hamming distances to the given ones.

    It is the sign of the mean code in {-1, +1}. A bit that exactly half of the codes have is 1,
    for sign(0) is +1 as in `pack_codes`; that sum is the same either way.

    Args:
        codes: Packed codes, uint8 `(m, bytes)`, with appearance codes behind them or without.

    Returns:
        uint8 `(1, bytes)`.

    Raises:
        ValueError: There are no codes, or they are not packed.
    """
    codes = np.asarray(codes)
    if codes.dtype != np.uint8 or codes.ndim != 2 or not codes.size:
        raise ValueError(
            f"codes: received {codes.dtype} {codes.shape}, expected packed uint8 (m, bytes), m >= 1"
        )
    ones = np.zeros(8 * codes.shape[1], np.int64)
    for start in range(0, len(codes), _CHUNK):
        ones += np.unpackbits(codes[start : start + _CHUNK], axis=1).sum(axis=0, dtype=np.int64)
    return np.packbits(2 * ones >= len(codes))[None]


def class_codes(codes: np.ndarray, labels: LabelLists) -> tuple[np.ndarray, LabelLists]:
    """The majority code of each class that has images, and the class of each as its label.

    Args:
        codes: Packed codes, uint8 `(n, bytes)`.
        labels: Of these images, maybe several each.

    Returns:
        uint8 `(c, bytes)` and their labels, classes ascending.
    """
    members = Members(labels)
    there = np.flatnonzero(labels.counts())
    found = [majority_code(codes[members.of(one)]) for one in there[:, None]]
    empty = np.zeros((0, codes.shape[1]), np.uint8)
    return (
        np.concatenate([empty, *found]),
        LabelLists(there, np.arange(len(there) + 1), labels.classes),
    )
