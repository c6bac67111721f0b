"""Compact binary hash codes for image search, learnt from few labels and many unlabelled images.

Data flows one way: images (`ssah_tf.data`) -> H-Net, A-Net and their game (`ssah_tf.models`,
`ssah_tf.losses`) -> codes -> retrieval numbers (`ssah_tf.metrics`). The stages that a person runs
are `ssah_tf.training` and `ssah_tf.export`, behind the command `ssah`. `ssah_tf.Encoder` runs what
was exported, without TensorFlow.
"""

from ssah_tf.version import __version__

__all__ = ["Encoder", "__version__"]


def __getattr__(name: str):
    """`Encoder` on first use: importing the package alone loads nothing heavy."""
    if name == "Encoder":
        from ssah_tf.encoding.encoder import Encoder

        return Encoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
