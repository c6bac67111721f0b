"""Photos that show the same as another one, mirrored or turned."""

from collections.abc import Callable, Iterator

import numpy as np

from ssah_tf.data.orientation import ORIENTATIONS, Orientation, between, to_standard
from ssah_tf.search.engines import make_engine
from ssah_tf.search.small_pictures import SmallPictures

#: Bits of the perceptual hash up to which pictures are compared. Turned, compressed and brightened
#: copies have moved 16 at most, half of those that are cropped to nine tenths 31.
CANDIDATES = 32
#: Photos that are compared with one in one orientation, those with the closest hashes.
COMPARED = 1000
#: Answers of a search for candidates that are held at once, at most.
BLOCK = 1 << 21


def turned_pairs(
    hashes: np.ndarray,
    pictures: SmallPictures,
    positions: np.ndarray,
    engine: str,
    min_ssim: float,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[int, np.ndarray, Orientation]]:
    """Photos with later ones that show the same, mirrored or turned; each joins one photo.

    No encoder sees that: what is compared are perceptual hashes, brought to a standard form by the
    mirrors that their own bits name. So two searches do for eight orientations.

    Args:
        hashes: Of some photos, uint8 `(n, BYTES)`.
        pictures: Compares photos.
        positions: What the pictures call these photos, int64 `(n,)`, ascending.
        engine: See `make_engine`.
        min_ssim: Smallest SSIM of the pixels.
        progress: Called with how many photos are done, and how many there are.

    Yields:
        A position, positions that join it, and how the one has to be turned to lie as they do.
    """
    mirrors = to_standard(hashes)
    forms = np.empty_like(hashes)
    for orientation in ORIENTATIONS[:4]:
        way = orientation.upside_down, orientation.mirrored
        same = (mirrors == way).all(axis=1)
        forms[same] = orientation.hashes(hashes[same])
    transpose = Orientation(transposed=True)
    free = np.ones(len(hashes), bool)
    step = int(np.clip(BLOCK // max(1, len(hashes)), 1, 256))
    for start in range(0, len(hashes), step):
        progress(start, len(hashes))
        candidates = make_engine(engine, forms[start:])
        queries = start + np.flatnonzero(free[start : start + step])
        found = [
            candidates.within(some, CANDIDATES)
            for some in (forms[queries], transpose.hashes(forms[queries]))
        ]
        for one, *answers in zip(queries.tolist(), *found, strict=True):
            if not free[one]:
                continue
            for transposed, (others, _) in enumerate(answers):
                others = start + others
                others = others[(others > one) & free[others]]
                ways = between(mirrors[one], mirrors[others], bool(transposed))
                for way in np.unique(ways[ways > 0]).tolist():
                    some = others[ways == way][:COMPARED]
                    like = pictures.alike(int(positions[one]), positions[some], ORIENTATIONS[way])
                    joined = some[like >= min_ssim]
                    if len(joined):
                        free[joined] = False
                        yield int(positions[one]), positions[joined], ORIENTATIONS[way]
    progress(len(hashes), len(hashes))
