"""Files of the features of a frozen backbone, by the content of each image; see `FeatureStore`."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssah_tf.system.files import atomic_path
from ssah_tf.system.machine import need_room
from ssah_tf.system.reading import read_arrays

Floats = npt.NDArray[np.float32]


def features_in(work: Path) -> Path:
    """Where features lie in a working folder, or in the folder of a run."""
    return work / "features"


def parts_of(folder: Path, key: str) -> list[Path]:
    """The parts in a folder whose names begin with a key."""
    return sorted(folder.glob(f"{key}-*.npz"))


def write_part(folder: Path, key: str, digests: list[str], features: Floats) -> None:
    """Write a part, whole or not at all. See `FeatureStore`.

    Args:
        folder: Where it lies.
        key: How its name begins.
        digests: Of the contents of its images, hexadecimal.
        features: `(digests, d)`.

    Raises:
        RunError: The disk is full, or the folder cannot be written.
    """
    names = np.array(digests)
    features = np.ascontiguousarray(features, np.float32)
    of_names = hashlib.sha256(names.tobytes()).hexdigest()[:16]
    path = folder / f"{key}-{of_names}.npz"
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        need_room(temporary, features.nbytes + names.nbytes)
        digest = np.array(digest_of(names, features))
        np.savez(stream, names=names, features=features, digest=digest)


def names_kept(folder: Path, key: str) -> set[str]:
    """Digests of the images of which whole parts in a folder have features."""
    return {name for path in parts_of(folder, key) for name, _ in read_part(path)}


def read_part(path: Path, width: int | None = None) -> Iterator[tuple[str, Floats]]:
    """The digests of the images of a part, and their features; none if it is not whole.

    Args:
        path: Its file.
        width: Number of features; any by default.
    """
    try:
        arrays = read_arrays(path)
        names, features, digest = arrays["names"], arrays["features"], str(arrays["digest"])
    except (OSError, ValueError, KeyError):
        return
    shape = (len(names), features.shape[-1] if width is None else width)
    whole = features.dtype == np.float32 and features.shape == shape
    if whole and digest_of(names, features) == digest:
        yield from zip(names.tolist(), features, strict=True)


def digest_of(names: npt.NDArray[np.str_], features: Floats) -> str:
    """SHA-256 of what is in a part."""
    return hashlib.sha256(names.tobytes() + features.tobytes()).hexdigest()
