"""Features of a frozen backbone, kept for all who need them: by the content of each image."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.data.decode import RULE
from ssah_tf.encoding.feature_parts import parts_of, read_part, write_part
from ssah_tf.models import HNet
from ssah_tf.models.identity import digest_of_network
from ssah_tf.system.files import make_folder
from ssah_tf.system.signals import raise_if_ending
from ssah_tf.training.bars import Bars, no_bar
from ssah_tf.training.hash_layer.features import BATCH, feature_batches

#: Images of a part, some batches: a kill costs the features of so many at most.
PART = 8 * BATCH


def feature_key(hnet: HNet, size: int) -> str:
    """What names features of a backbone: its weights, the decode rule, and the side of images.

    Args:
        hnet: It is built.
        size: Side of the images in pixels.
    """
    what = {"decode_rule": RULE, "size": size, **hnet.backbone.identity()}
    return digest_of_network(what, hnet.backbone.variables)[:16]


class FeatureStore:
    """Features by the content of an image, kept in a folder; a `Features` like any other.

    They lie in parts, as they were computed. A part is named by its `feature_key` and its contents;
    it holds the digest of each of its images, and one of its features. A part that is damaged is
    passed over: what it held is computed anew.

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
        """Features of images at some positions, float32 `(positions, d)`. See `features_of`.

        Raises:
            RunError: The folder cannot be made or written to.
        """
        make_folder(self.folder)
        key = feature_key(hnet, size)
        rows: dict[str, list[int]] = {}
        for row, position in enumerate(positions):
            rows.setdefault(images.digests[position], []).append(row)
        features = np.empty((len(positions), hnet.backbone.feature_size), np.float32)
        absent = dict(rows)
        for path in parts_of(self.folder, key):
            raise_if_ending()
            for digest, found in read_part(path, features.shape[1]):
                if digest in absent:
                    features[absent.pop(digest)] = found
        if absent:
            self.compute(hnet, images, positions, size, features, absent, key)
        return features

    def compute(
        self,
        hnet: HNet,
        images: ImageSet,
        positions: np.ndarray,
        size: int,
        features: np.ndarray,
        absent: dict[str, list[int]],
        key: str,
    ) -> None:
        """Compute the features that no part holds, and keep them part by part.

        Args:
            hnet: See `features_of`.
            images: See `features_of`.
            positions: See `features_of`.
            size: See `features_of`.
            features: Those of the positions; what is absent is filled in.
            absent: Digest -> rows of the features.
            key: How the names of parts begin.
        """
        digests = list(absent)
        firsts = np.array([positions[absent[digest][0]] for digest in digests])
        done = len(features) - sum(map(len, absent.values()))
        with self.bars("features") as bar:
            bar(done, len(features))
            first, waiting = 0, np.empty((0, features.shape[1]), np.float32)
            for batch in feature_batches(hnet, images, firsts, size):
                waiting = np.concatenate([waiting, batch])
                done += len(batch)
                bar(done, len(features))
                if len(waiting) < PART and first + len(waiting) < len(digests):
                    continue
                part = digests[first : first + len(waiting)]
                write_part(self.folder, key, part, waiting)
                for digest, found in zip(part, waiting, strict=True):
                    features[absent[digest]] = found
                first, waiting = first + len(waiting), waiting[:0]
                self.after()

    def remove(self) -> None:
        """Remove all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)
