"""How far a mean over queries could be off because of which queries happened to be drawn."""

import numpy as np

# Resampled values held at a time, so that memory does not grow with the number of queries.
_BLOCK_ELEMENTS = 1 << 20


def bootstrap_interval(
    values: np.ndarray, *, n_bootstrap: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values` (Efron, 1979).

    It covers the choice of queries only, not the spread between training seeds.

    Args:
        values: One number for each query, float `(q,)`.
        n_bootstrap: Number of resamples, each of q values drawn with replacement.
        seed: The same seed gives the same interval.
        level: Share of the resampled means between the two ends.

    Returns:
        Lower and upper end.

    Raises:
        ValueError: `values` is empty or not of one dimension, `n_bootstrap` < 1, or `level` is not
            between 0 and 1.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"values: received shape {values.shape}, expected (q,) with q >= 1")
    if n_bootstrap < 1:
        raise ValueError(f"n_bootstrap: received {n_bootstrap}, expected >= 1")
    if not 0 < level < 1:
        raise ValueError(f"level: received {level}, expected between 0 and 1, such as 0.95")
    rng = np.random.default_rng(seed)
    means = np.empty(n_bootstrap)
    rows = max(1, _BLOCK_ELEMENTS // len(values))
    for start in range(0, n_bootstrap, rows):
        block = means[start : start + rows]
        drawn = rng.integers(len(values), size=(len(block), len(values)))  # (rows, q)
        block[:] = values[drawn].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
