"""Photos of one burst: taken within a minute, with near codes."""

from collections.abc import Callable, Iterator

import numpy as np

from ssah_tf.data.capture_time import Moment, capture_time
from ssah_tf.data.threads import in_batches
from ssah_tf.metrics.hamming import hamming_distances

#: Seconds within which photos of a burst are taken, before or after its first.
WITHIN = 60.0
#: Files that are looked at in one go.
BATCH = 256


def burst_pairs(
    paths: list[str],
    codes: np.ndarray,
    radius: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Photos with the later ones of the list that are of one burst with each; each photo once.

    Args:
        paths: Of the files; what cannot be read, or does not say when it was taken, is in none.
        codes: Packed codes, uint8 `(n, bytes)`.
        radius: Largest distance of codes, in bits.
        progress: Called with how many files are read, and how many there are.

    Yields:
        A position, and positions that join it, int64 ascending.
    """
    moments: list[Moment | None] = []
    for batch in in_batches(capture_time, paths, BATCH):
        progress(len(moments), len(paths))
        moments += batch
    progress(len(paths), len(paths))
    known = np.array([place for place, moment in enumerate(moments) if moment], np.int64)
    found = [moment for moment in moments if moment]
    seconds = np.array([moment.seconds for moment in found])
    offsets = np.array([moment.offset for moment in found], np.float64)  # NaN for none
    order = np.argsort(seconds, kind="stable")
    free = np.ones(len(found), bool)
    lows = np.searchsorted(seconds[order], seconds - WITHIN, "left")
    highs = np.searchsorted(seconds[order], seconds + WITHIN, "right")
    for one in np.flatnonzero(highs - lows > 1).tolist():
        others = np.sort(order[lows[one] : highs[one]])
        others = others[(others > one) & free[others]]
        # Another offset at the same time of the clock is another hour.
        others = others[~(np.abs(offsets[others] - offsets[one]) > 0)]
        if free[one] and len(others):
            far = hamming_distances(codes[known[one]][None], codes[known[others]])[0]
            joined = others[far <= radius]
            if len(joined):
                free[joined] = False
                yield int(known[one]), known[joined]
