"""The page that a run is looked at with: self-contained HTML, made from what the run holds."""

from ssah_tf.training.report.compare import write_comparison
from ssah_tf.training.report.page import write_report

__all__ = ["write_comparison", "write_report"]
