"""What can be said of an encoder without labels: how well codes keep the neighbours of features."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.metrics import neighbour_recall
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.models import HNet
from ssah_tf.training.doubts import NO_LABELS, doubt_of_neighbours
from ssah_tf.training.hash_layer.features import feature_batches
from ssah_tf.training.run import Run

DEFINITION = (
    "share of the {near} nearest database images by features of the backbone (Euclidean distance) "
    "that are among the first k by codes, expected over all orders of ties, mean over queries, "
    "which the encoder has not seen"
)


def measure_without_labels(
    run: Run, images: ImageSet, encoder: HNet, progress: Callable[[int, int], None]
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Encode queries and database of a run, and compare their codes with their features.

    Args:
        run: The run.
        images: Its images.
        encoder: Its encoder.
        progress: Is told (images seen, all) now and then.

    Returns:
        Full codes of queries and of database, and the numbers: see `evaluate`.
    """
    split, bits = run.split, encoder.bits
    query, database = images.positions(split.query), images.positions(split.database)
    both, found = np.concatenate([query, database]), []
    for batch in feature_batches(encoder, images, both, run.recipe.data.image_size):
        found.append(batch)
        progress(sum(map(len, found)), len(both))
    features = np.concatenate(found)
    full = encoder.codes_of_features(features)
    codes = np.ascontiguousarray(full[:, : code_bytes(bits)])
    asks, searched = slice(len(query)), slice(len(query), None)
    result = neighbour_recall(
        features[asks], codes[asks], features[searched], codes[searched], bits, run.recipe.seed
    )
    return [full[asks], full[searched]], {
        "validation_chance": None,
        "retrieval": None,
        "neighbours": {
            "queries": result.queries,
            "database": result.database,
            "near": result.near,
            "recall": {str(k): value for k, value in result.recall.items()},
            "interval": {str(k): list(value) for k, value in result.interval.items()},
            "chance": {str(k): value for k, value in result.chance.items()},
            "of_query": list(result.of_query),
            "definition": DEFINITION.format(near=result.near),
        },
        "label_search": None,
        "average_precision": [],
        "doubts": [NO_LABELS, *doubt_of_neighbours(result)],
    }
