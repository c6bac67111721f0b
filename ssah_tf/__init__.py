"""Compact binary hash codes for image search, learnt from few labels and many unlabelled images.

Data flows one way: images (`ssah_tf.data`) -> H-Net, A-Net and their game (`ssah_tf.models`,
`ssah_tf.losses`) -> codes -> retrieval numbers (`ssah_tf.metrics`). The stages that a person runs
are `ssah_tf.training` and the command `ssah`.
"""

from ssah_tf.version import __version__

__all__ = ["__version__"]
