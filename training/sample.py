"""Pixels of some images that a run keeps, so that it can be exported without its photos."""

from collections.abc import Sequence

import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.data.sampling import evenly
from ssah_tf.system.errors import RunError
from ssah_tf.system.files import atomic_path
from ssah_tf.system.reading import read_arrays
from ssah_tf.training.run import Run

#: Images that are kept, at most, and what their pixels take.
COUNT = 256
BYTES = 50_000_000
#: Of those beside the pictures of the report, the share of queries; the others are trained on.
QUERIES = 0.25


def room(size: int) -> int:
    """How many images of a side of `size` px are kept, at most."""
    return max(1, min(COUNT, BYTES // (size * size * 3)))


def keep_sample(run: Run, images: ImageSet, first: Sequence[str]) -> None:
    """Write `sample.npz`: pixels as the encoder sees them, and which images of the split they are.

    Nothing is written if the recipe says so, or over images that are not there any more.

    Args:
        run: The run.
        images: Its images.
        first: Ids of images that come before others: those of the report.
    """
    recipe, split = run.recipe, run.split
    if not recipe.data.keep_sample or (run.missing and run.sample_path.is_file()):
        return
    most = room(recipe.data.image_size)
    chosen = dict.fromkeys(list(first)[: most - most // 3])
    left = most - len(chosen)
    queries = [name for name in split.query if name not in chosen]
    trained = split.labelled + split.validation + split.unlabelled
    others = [name for name in trained if name not in chosen]
    few = min(len(queries), max(round(QUERIES * left), left - len(others)))
    for names, count in ((queries, few), (others, left - few)):
        if count > 0:
            chosen |= dict.fromkeys(names[i] for i in evenly(np.arange(len(names)), count))
    place = {name: i for i, name in enumerate(run.whole_split.ids)}
    pixels = images.read(images.positions(tuple(chosen)), recipe.data.image_size)
    with atomic_path(run.sample_path) as path, open(path, "wb") as stream:
        positions = np.array([place[name] for name in chosen], np.int64)
        np.savez_compressed(stream, positions=positions, pixels=pixels)


def read_sample(run: Run) -> dict[str, np.ndarray]:
    """Images that a run keeps: id -> uint8 `(size, size, 3)`; none if it keeps none.

    Raises:
        RunError: The file is damaged.
    """
    if not run.sample_path.is_file():
        return {}
    size, ids = run.recipe.data.image_size, run.whole_split.ids
    try:
        arrays = read_arrays(run.sample_path)
        positions, pixels = arrays["positions"], arrays["pixels"]
        fits = (
            positions.dtype == np.int64
            and pixels.dtype == np.uint8
            and pixels.shape == (*positions.shape, size, size, 3)
            and bool(((positions >= 0) & (positions < len(ids))).all())
        )
        if positions.ndim != 1 or not fits:
            raise ValueError("arrays of other forms")
    except (OSError, ValueError, KeyError) as error:
        raise RunError(f"{run.sample_path}: damaged ({error}); remove it") from None
    return {ids[i]: image for i, image in zip(positions.tolist(), pixels, strict=True)}


class Pictures:
    """Pixels of a run's images: of the photos that are there, and of those that the run keeps.

    Args:
        run: The run.
        images: Its images that are there; `None` if none is.

    Attributes:
        sample: All that the run keeps. See `read_sample`.
        kept: Those whose photos are not there.
    """

    def __init__(self, run: Run, images: ImageSet | None):
        self.size = run.recipe.data.image_size
        self.images = images
        self.place = {} if images is None else {name: i for i, name in enumerate(images.ids)}
        self.sample = read_sample(run)
        self.kept = {name: p for name, p in self.sample.items() if name not in self.place}

    def __contains__(self, name: str) -> bool:
        return name in self.place or name in self.kept

    def of(self, ids: Sequence[str]) -> list[str]:
        """Those of some images whose pixels can be had."""
        return [name for name in ids if name in self]

    def read(self, ids: Sequence[str]) -> np.ndarray:
        """Pixels of images, uint8 `(n, size, size, 3)`."""
        out = np.empty((len(ids), self.size, self.size, 3), np.uint8)
        rows = [i for i, name in enumerate(ids) if name in self.place]
        if self.images is not None and rows:
            out[rows] = self.images.read(np.array([self.place[ids[i]] for i in rows]), self.size)
        for i, name in enumerate(ids):
            if name not in self.place:
                out[i] = self.kept[name]
        return out
