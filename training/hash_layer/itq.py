"""A hash layer that begins where PCA and a rotation would end (ITQ)."""

import numpy as np

from ssah_tf.losses.target_loss import TargetLoss
from ssah_tf.models import SSAH, HNet
from ssah_tf.system.errors import RecipeError

ITERATIONS = 50


class TooManyBits(RecipeError):
    """Features have fewer directions than codes were to have bits.

    Attributes:
        directions: How many they have; 0 if all features are equal.
    """

    def __init__(self, bits: int, directions: int):
        super().__init__(
            f"model.bits: {bits} bits need as many directions; the features have {directions}"
        )
        self.directions = directions


def begin_with_itq(hnet: HNet, features: np.ndarray, seed: int) -> None:
    """Give the hash layer the directions of PCA over the backbone's features, rotated by ITQ.

    Its normalisation takes the mean off and divides by the deviation. Labels play no part.

    Args:
        hnet: A built H-Net.
        features: Of its pretrained backbone, float `(n, d)`.
        seed: Seed of the first rotation.

    Raises:
        TooManyBits: There are more bits than directions.
    """
    directions, mean = itq(features, hnet.bits, seed)
    hnet.hash_layer.set_weights([directions])
    spread = ((features - mean) @ directions).var(axis=0)
    hnet.hash_norm.set_weights([np.ones(hnet.bits), np.zeros(hnet.bits), mean @ directions, spread])


def begin_game_with_itq(game: SSAH, features: np.ndarray, labels: np.ndarray, seed: int) -> None:
    """See `begin_with_itq`; class targets, if the loss has such, are then those of the codes.

    Args:
        game: A built game.
        features: Of the labelled images first, float `(n, d)`.
        labels: Of the labelled images, uint8 `(labelled, classes)`.
        seed: Seed of the first rotation.

    Raises:
        TooManyBits: There are more bits than directions.
    """
    begin_with_itq(game.hnet, features, seed)
    if isinstance(game.supervised_loss, TargetLoss):
        hnet = game.hnet
        logits = hnet.code_logits(features[: len(labels)])
        game.supervised_loss.fit_targets(np.tanh(logits), labels)


def itq(features: np.ndarray, bits: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Iterative quantisation (Gong and Lazebnik, CVPR 2011).

    PCA to K directions, then a rotation R that minimises |sign(V R) - V R|, by turns of B =
    sign(V R) and the orthogonal R nearest to it (Procrustes).

    Args:
        features: float `(n, d)`.
        bits: Number of directions K.
        seed: Seed of the first rotation.

    Returns:
        Directions float32 `(d, K)` and the mean `(d,)`: a code is sign((f - mean) directions).

    Raises:
        TooManyBits: The features have fewer than K directions.
    """
    mean, principal = principal_directions(features)
    known = principal.shape[1]
    if bits > known:
        raise TooManyBits(bits, known)
    principal = principal[:, :bits]
    projected = (np.asarray(features, np.float64) - mean) @ principal
    directions = principal @ itq_rotation(projected, seed)
    return directions.astype(np.float32), mean.astype(np.float32)


def principal_directions(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of features, and the directions of their variance, the largest first.

    Args:
        features: float `(n, d)`.

    Returns:
        float64 `(d,)`, and orthonormal columns float64 `(d, directions)`: those in which the
        features vary at all.
    """
    features = np.asarray(features, np.float64)
    mean = features.mean(axis=0)
    centred = features - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / len(features))
    known = int((values > max(1e-9 * values[-1], 0)).sum())
    return mean, vectors[:, ::-1][:, :known]


def itq_rotation(projected: np.ndarray, seed: int) -> np.ndarray:
    """The rotation R that minimises |sign(V R) - V R|. See `itq`.

    Args:
        projected: V, float `(n, K)`.
        seed: Seed of the first rotation.

    Returns:
        float64 `(K, K)`.
    """
    bits = projected.shape[1]
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(bits, bits)))
    for _ in range(ITERATIONS):
        signs = np.where(projected @ rotation >= 0, 1.0, -1.0)
        left, _, right = np.linalg.svd(projected.T @ signs)
        rotation = left @ right
    return rotation
