"""Losses of the game. A pair loss is chosen by name; the others are plain functions."""

from ssah_tf.losses.adversarial import adversarial_loss, own_pair_adversarial_loss
from ssah_tf.losses.bit_balance import bit_balance_loss
from ssah_tf.losses.consistency import consistency_loss
from ssah_tf.losses.contrastive import Contrastive
from ssah_tf.losses.csq import CSQ
from ssah_tf.losses.likelihood import Likelihood
from ssah_tf.losses.orthohash import OrthoHash
from ssah_tf.losses.quantisation import quantisation_loss

#: Every supervised loss that a recipe can name.
SUPERVISED_LOSSES = {
    "contrastive": Contrastive,
    "likelihood": Likelihood,
    "csq": CSQ,
    "orthohash": OrthoHash,
}

__all__ = [
    "CSQ",
    "SUPERVISED_LOSSES",
    "Contrastive",
    "Likelihood",
    "OrthoHash",
    "adversarial_loss",
    "bit_balance_loss",
    "consistency_loss",
    "own_pair_adversarial_loss",
    "quantisation_loss",
]
