"""Appearance codes: how photos of one learned code are told apart, made without labels."""

import numpy as np

from ssah_tf.models import HNet
from ssah_tf.training.hash_layer.itq import itq_rotation, principal_directions

#: Bits of an appearance code, at most: 16 bytes a photo.
BITS = 128


def with_appearance(hnet: HNet, features: np.ndarray, seed: int) -> HNet:
    """An encoder that gives appearance codes, too; its learned codes stay what they are.

    Learned codes collapse: thousands of photos of a class share one. What the backbone sees beyond
    the class is in its features, so an appearance code is ITQ of them (see `itq`): no label plays a
    part. Features that vary in fewer directions than `BITS` give shorter codes.

    Args:
        hnet: A built H-Net.
        features: Of its backbone, float `(n, d)`, of images that it may learn from.
        seed: Seed of the first rotation.

    Returns:
        An H-Net with the same backbone and hash layer; the given one if all features are equal.
    """
    mean, principal = principal_directions(features)
    if not principal.shape[1]:
        return hnet
    projected = (np.asarray(features, np.float64) - mean) @ principal[:, :BITS]
    # Of a deviation of 1: a logit near to 0 hangs on rounding, as one of the hash layer does.
    rotation = itq_rotation(projected, seed)
    kernel = principal[:, :BITS] @ (rotation / (projected @ rotation).std(axis=0))
    return hnet.with_appearance(kernel.astype(np.float32), (-mean @ kernel).astype(np.float32))
