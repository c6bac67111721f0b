"""The two networks and their game. Needs the extra `train` (TensorFlow and Keras 3)."""

from ssah_tf.models import backbones  # noqa: F401  a saved H-Net names its backbone
from ssah_tf.models.anet import ANet
from ssah_tf.models.game import SSAH
from ssah_tf.models.hnet import HNet
from ssah_tf.models.pace import CompetencePace, SchedulePace
from ssah_tf.models.random_deformation import RandomDeformation

__all__ = ["SSAH", "ANet", "CompetencePace", "HNet", "RandomDeformation", "SchedulePace"]
