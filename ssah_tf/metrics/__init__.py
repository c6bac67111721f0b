"""Numbers for image search with binary codes, each with its protocol beside it.

Everything here is NumPy on packed codes: uint8 `(n, ceil(bits / 8))` in `numpy.packbits` order,
the last byte padded with zeros. Two images are relevant to each other if they share a label.
"""

from typing import TYPE_CHECKING

from ssah_tf.system.first_use import on_first_use

if TYPE_CHECKING:
    from ssah_tf.metrics.bootstrap import bootstrap_interval
    from ssah_tf.metrics.chance import chance_average_precision, chance_levels
    from ssah_tf.metrics.codes import CodeStatistics, bit_correlation, code_statistics
    from ssah_tf.metrics.hamming import hamming_distances, pack_codes
    from ssah_tf.metrics.majority import class_codes, majority_code
    from ssah_tf.metrics.neighbours import NeighbourRecall, neighbour_recall
    from ssah_tf.metrics.paired import PairedDifference, paired_difference
    from ssah_tf.metrics.relevance import LabelLists, relevant_counts
    from ssah_tf.metrics.result import RetrievalResult
    from ssah_tf.metrics.retrieval import evaluate_retrieval
    from ssah_tf.metrics.sorted_order import sorted_average_precision
    from ssah_tf.metrics.tie_aware import (
        precision_recall_by_radius,
        tie_aware_average_precision,
        tie_aware_precision,
    )

__all__ = [
    "CodeStatistics",
    "LabelLists",
    "NeighbourRecall",
    "PairedDifference",
    "RetrievalResult",
    "bit_correlation",
    "bootstrap_interval",
    "chance_average_precision",
    "chance_levels",
    "class_codes",
    "code_statistics",
    "evaluate_retrieval",
    "hamming_distances",
    "majority_code",
    "neighbour_recall",
    "pack_codes",
    "paired_difference",
    "precision_recall_by_radius",
    "relevant_counts",
    "sorted_average_precision",
    "tie_aware_average_precision",
    "tie_aware_precision",
]

__getattr__ = on_first_use(
    __name__,
    {
        "CodeStatistics": "codes",
        "LabelLists": "relevance",
        "NeighbourRecall": "neighbours",
        "PairedDifference": "paired",
        "RetrievalResult": "result",
        "bit_correlation": "codes",
        "bootstrap_interval": "bootstrap",
        "chance_average_precision": "chance",
        "chance_levels": "chance",
        "class_codes": "majority",
        "code_statistics": "codes",
        "evaluate_retrieval": "retrieval",
        "hamming_distances": "hamming",
        "majority_code": "majority",
        "neighbour_recall": "neighbours",
        "pack_codes": "hamming",
        "paired_difference": "paired",
        "precision_recall_by_radius": "tie_aware",
        "relevant_counts": "relevance",
        "sorted_average_precision": "sorted_order",
        "tie_aware_average_precision": "tie_aware",
        "tie_aware_precision": "tie_aware",
    },
)
