"""Features of a frozen backbone, kept in parts while several recipes need them."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import keras
import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.data.decode import RULE
from ssah_tf.models import HNet
from ssah_tf.system.files import atomic_path
from ssah_tf.system.machine import need_room
from ssah_tf.system.reading import read_arrays
from ssah_tf.training.bars import Bars, no_bar
from ssah_tf.training.hash_layer.features import BATCH, feature_batches

#: Images of a part, some batches: a kill costs the features of so many at most.
PART = 8 * BATCH


class FeatureStore:
    """Features in a folder, one file for each part of the images; a `Features` like any other.

    A part is named by what its features depend on: the backbone with its weights, the side and the
    contents of its images. It holds a digest of its features. A part that is damaged, or of
    something else, is computed anew.

    Args:
        folder: Where the parts lie; made if need be.
        bars: Show how far it is.
        after: Is called after each part.
    """

    def __init__(self, folder: Path, bars: Bars = no_bar, after: Callable[[], None] = lambda: None):
        self.folder = folder
        self.bars = bars
        self.after = after

    def __call__(
        self, hnet: HNet, images: ImageSet, positions: np.ndarray, size: int
    ) -> np.ndarray:
        """Features of images at some positions, float32 `(positions, d)`. See `features_of`."""
        self.folder.mkdir(exist_ok=True)
        backbone = identity_of(hnet)
        parts = [positions[first : first + PART] for first in range(0, len(positions), PART)]
        paths = [self.path_of(backbone, images, part, size) for part in parts]
        found = [read_part(path, len(part)) for path, part in zip(paths, parts, strict=True)]
        absent = [number for number, features in enumerate(found) if features is None]
        if absent:
            missing = np.concatenate([parts[number] for number in absent])
            computed = feature_batches(hnet, images, missing, size)
            with self.bars("features") as bar:
                batches = told(computed, bar, len(positions) - len(missing), len(positions))
                for number in absent:
                    count = -(-len(parts[number]) // BATCH)  # all but the last are whole batches
                    features = np.concatenate(list(islice(batches, count)))
                    write_part(paths[number], features)
                    found[number] = features
                    self.after()
        return np.concatenate([features for features in found if features is not None])

    def path_of(self, backbone: str, images: ImageSet, part: np.ndarray, size: int) -> Path:
        """Where the features of a part lie."""
        contents = "".join(images.digests[position] for position in part)
        key = hashlib.sha256(f"{backbone} {RULE} {size} {contents}".encode()).hexdigest()
        return self.folder / f"{key[:32]}.npz"

    def remove(self) -> None:
        """Remove all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)


def told(
    batches: Iterator[np.ndarray], bar: Callable[[int, int], None], done: int, total: int
) -> Iterator[np.ndarray]:
    """The same batches; a bar is told how many images are done."""
    bar(done, total)
    for batch in batches:
        done += len(batch)
        bar(done, total)
        yield batch


def identity_of(hnet: HNet) -> str:
    """SHA-256 of the backbone of an H-Net: what it is and its weights."""
    config = keras.saving.serialize_keras_object(hnet.backbone)
    config["config"].pop("name", None)
    digest = hashlib.sha256(json.dumps(config["config"], sort_keys=True, default=str).encode())
    digest.update(config["class_name"].encode())
    for weights in hnet.backbone.get_weights():
        digest.update(np.ascontiguousarray(weights).tobytes())
    return digest.hexdigest()


def write_part(path: Path, features: np.ndarray) -> None:
    """Write the features of a part, whole or not at all."""
    features = np.ascontiguousarray(features, np.float32)
    digest = hashlib.sha256(features.tobytes()).hexdigest()
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        need_room(temporary, features.nbytes)
        np.savez(stream, features=features, digest=np.array(digest))


def read_part(path: Path, count: int) -> np.ndarray | None:
    """The features of a part, float32 `(count, d)`; `None` if it is not there or not whole."""
    try:
        arrays = read_arrays(path)
        features, digest = arrays["features"], str(arrays["digest"])
    except (OSError, ValueError, KeyError):
        return None
    whole = features.dtype == np.float32 and features.ndim == 2 and len(features) == count
    if not whole or hashlib.sha256(features.tobytes()).hexdigest() != digest:
        return None
    return features
