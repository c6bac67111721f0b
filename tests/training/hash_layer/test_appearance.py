"""Appearance codes: signs of PCA and a rotation, made without labels, beside the learned codes."""

import numpy as np

from ssah_tf.models import HNet
from ssah_tf.training.hash_layer.appearance import BITS, with_appearance
from ssah_tf.training.hash_layer.frozen import CachedFeatures
from ssah_tf.training.hash_layer.itq import itq


def layer_on(features, bits=9):
    """An H-Net on features, untrained."""
    hnet = HNet(CachedFeatures(features.shape[1]), bits)
    hnet.build((None, features.shape[1]))
    return hnet


def unpacked(codes, bits):
    return np.unpackbits(codes, axis=1, count=bits)


def test_its_bits_are_those_of_itq(rng):
    """The scale of a direction does not turn its sign."""
    features = (rng.normal(size=(500, 30)) + 4).astype(np.float32)
    hnet = layer_on(features)
    both = with_appearance(hnet, features, 3)
    directions, mean = itq(features, 30, 3)
    values = (features - mean) @ directions
    clear = np.abs(values) > 1e-4
    assert both.appearance_bits == 30
    found = both.full_codes([features])
    assert found.shape == (500, 2 + 4)
    bits = unpacked(found[:, 2:], 30)
    np.testing.assert_array_equal(bits[clear], (values >= 0)[clear])
    logits = both.all_logits(features)[1].numpy()
    np.testing.assert_allclose(logits.std(axis=0), 1, atol=1e-3)


def test_learned_codes_stay(rng):
    features = rng.normal(size=(200, 40)).astype(np.float32)
    hnet = layer_on(features)
    before = hnet.encode([features])
    both = with_appearance(hnet, features, 0)
    np.testing.assert_array_equal(both.encode([features]), before)
    np.testing.assert_array_equal(both.full_codes([features])[:, :2], before)
    assert not both.appearance_layer.trainable_variables


def test_no_more_bits_than_directions(rng):
    """Three photos vary in two directions; equal ones in none, and give no appearance code."""
    wide = rng.normal(size=(400, 300)).astype(np.float32)
    assert with_appearance(layer_on(wide), wide, 0).appearance_bits == BITS
    assert with_appearance(layer_on(wide), wide[:3], 0).appearance_bits == 2
    equal = np.ones((5, 300), np.float32)
    hnet = layer_on(wide)
    assert with_appearance(hnet, equal, 0) is hnet
    assert hnet.full_codes([equal]).shape == (5, 2)
