"""Which database images are relevant to a query: those that share a label with it.

An image without any label is relevant to nothing.
"""

import numpy as np

from ssah_tf.metrics.hamming import bit_words


def label_words(labels: np.ndarray) -> np.ndarray:
    """Multi-hot labels `(n, classes)` as bits in machine words `(words, n)`."""
    return bit_words(np.packbits(labels, axis=1))


def shared_bits(query_words: np.ndarray, database_words: np.ndarray) -> np.ndarray:
    """Whether two rows have a bit in common: words `(words, q)`, `(words, n)` -> bool `(q, n)`."""
    shared: np.ndarray = (query_words[0, :, None] & database_words[0, None, :]) != 0  # (q, n)
    for query_word, database_word in zip(query_words[1:], database_words[1:], strict=True):
        shared |= (query_word[:, None] & database_word[None, :]) != 0
    return shared


def check_labels(name: str, labels: np.ndarray, count: int | None = None) -> np.ndarray:
    """`labels` as an array, if they are multi-hot, one row for each of `count` codes.

    Raises:
        ValueError: Not two-dimensional, not bool or whole numbers, a value other than 0 and 1, or
            another number of rows than `count`.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.shape[1] == 0:
        raise ValueError(
            f"{name}: received shape {labels.shape}, expected multi-hot (n, classes); "
            "turn class numbers into rows with numpy.eye(classes, dtype='uint8')[numbers]"
        )
    if labels.dtype != np.bool_ and not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"{name}: received dtype {labels.dtype}, expected multi-hot uint8 or bool")
    if labels.size and (labels.min() < 0 or labels.max() > 1):
        raise ValueError(
            f"{name}: received values from {labels.min()} to {labels.max()}, expected 0 and 1"
        )
    if count is not None and len(labels) != count:
        raise ValueError(
            f"{name}: received {len(labels)} rows, expected {count}, one for each code"
        )
    return labels
