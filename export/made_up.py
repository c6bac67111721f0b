"""Images that show nothing: for proofs where no photo may travel, or none is there."""

import numpy as np
from PIL import Image

#: Cells of the coarsest and of the finest pattern.
COARSE, FINE = 2, 16


def made_up(count: int, size: int) -> np.ndarray:
    """Soft random patterns, from coarse to fine and of all contrasts; always the same ones.

    Args:
        count: How many.
        size: Their side in pixels.

    Returns:
        uint8 `(count, size, size, 3)`.
    """
    rng = np.random.default_rng(0)
    out = np.empty((count, size, size, 3), np.uint8)
    for image in out:
        cells = int(rng.integers(COARSE, FINE + 1))
        low, high = np.sort(rng.integers(0, 256, 2))
        pattern = rng.integers(low, high + 1, (cells, cells, 3)).astype(np.uint8)
        soft = Image.fromarray(pattern).resize((size, size), Image.Resampling.BICUBIC)
        image[:] = np.asarray(soft)
    return out
