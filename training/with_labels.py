"""What labels say of an encoder: mAP of the queries, and how well a label finds photos."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ssah_tf.data import ImageSet, Split
from ssah_tf.data.pipeline import encoding_batches
from ssah_tf.data.sampling import evenly
from ssah_tf.metrics import (
    LabelLists,
    chance_average_precision,
    evaluate_retrieval,
    relevant_counts,
)
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.models import HNet
from ssah_tf.training.doubts import doubt_of_interval, doubts_of_split
from ssah_tf.training.hash_layer.features import ENCODED, full_codes_of
from ssah_tf.training.label_search import label_search
from ssah_tf.training.run import Run

#: Ranks k of mAP@k and P@k, as far as the database reaches.
CUTOFFS = (1, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
#: Labelled images that validation images are searched in, at most.
VALIDATION_DATABASE = 2_000


def measure_with_labels(
    run: Run, images: ImageSet, encoder: HNet, progress: Callable[[int, int], None]
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Encode queries and database of a run, and measure how images of a label find each other.

    Args:
        run: The run.
        images: Its images.
        encoder: Its encoder.
        progress: Is told (queries measured, all) now and then.

    Returns:
        Full codes of queries and of database, and the numbers: see `evaluate`.
    """
    split = run.split
    query, database = images.positions(split.query), images.positions(split.database)
    labelled = images.positions(split.labelled)
    others = np.setdiff1d(labelled, database)  # for the search by label alone
    size, bits = run.recipe.data.image_size, encoder.bits
    full = full_codes_of(encoder, images, (query, database, others), size)
    codes = [np.ascontiguousarray(part[:, : code_bytes(bits)]) for part in full]
    every = LabelLists.of(images.labels)
    labels = [every.take(part) for part in (query, database)]
    result = evaluate_retrieval(
        codes[0],
        labels[0],
        codes[1],
        labels[1],
        bits,
        cutoffs=tuple(k for k in CUTOFFS if k < len(database)),
        seed=run.recipe.seed,
        progress=progress,
    )
    retrieval = result.to_dict()
    encoded = np.concatenate([query, database, others])
    known = np.union1d(labelled, images.positions(split.validation))
    return full[:2], {
        "validation_chance": validation_chance(images, split, every),
        "retrieval": retrieval,
        "label_search": label_search(
            np.concatenate(codes),
            every.take(encoded),
            np.flatnonzero(np.isin(encoded, labelled)),
            np.flatnonzero(~np.isin(encoded, known)),
            bits,
        ),
        "average_precision": list(result.average_precision),
        "doubts": doubts_of_split(labels[0], labels[1], images.classes)
        + doubt_of_interval(result.map_interval, retrieval["chance"]["map_tie_aware"]),
    }


def validation_chance(images: ImageSet, split: Split, labels: LabelLists) -> float:
    """What random codes reach in the measurement by which the epoch was selected."""
    database = evenly(images.positions(split.labelled), VALIDATION_DATABASE)
    queries = labels.take(images.positions(split.validation))
    relevant = relevant_counts(queries, labels.take(database))
    return float(chance_average_precision(relevant, len(database)).mean())


def codes_of(encoder: HNet, images: ImageSet, positions: np.ndarray, size: int) -> np.ndarray:
    """Packed codes of images at a side of `size` px, uint8 `(positions, bytes)`."""
    return encoder.encode(encoding_batches(images, positions, size=size, batch=ENCODED))
