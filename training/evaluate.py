"""Evaluates a run: its queries against its database, every number with its protocol."""

import json

import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.data.pipeline import encoding_batches
from ssah_tf.metrics import RetrievalResult, code_statistics, evaluate_retrieval
from ssah_tf.models import HNet
from ssah_tf.models.saved import load_hnet
from ssah_tf.system.errors import RunError
from ssah_tf.system.files import atomic_path, write_atomically
from ssah_tf.training.build import build_images
from ssah_tf.training.callbacks import selected_epoch
from ssah_tf.training.report import write_report
from ssah_tf.training.run import Run

#: Ranks k of mAP@k and P@k, as far as the database reaches.
CUTOFFS = (1, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


def load_encoder(run: Run) -> HNet:
    """The selected encoder of a run.

    Raises:
        RunError: The training has not come so far, or the file is damaged.
    """
    if not run.model_path.is_file():
        raise RunError(
            f"{run.model_path} is missing: finish the training with "
            f"`ssah train --resume {run.folder}`"
        )
    return load_hnet(run.model_path)


def evaluate(run: Run, images: ImageSet | None = None) -> dict:
    """Encode queries and database of a run, measure retrieval, write numbers, codes and report.

    Args:
        run: A run with a selected encoder.
        images: Its images, if they are at hand.

    Returns:
        What was written to `metrics.json`: `protocol`, `retrieval` (see `RetrievalResult`),
        `codes` of the database (see `CodeStatistics`), `average_precision` of each query,
        `classes`, and the epoch that validation selected.

    Raises:
        RunError: The run has no encoder.
        DataError: The images have changed since the split was drawn.
    """
    recipe, split = run.recipe, run.split
    if images is None:
        images = build_images(recipe).images
    split.check(images)
    images = images.hold(recipe.data.image_size, recipe.data.cache_mb)
    encoder = load_encoder(run)
    result, query_codes, database_codes = measure(
        encoder, images, split.query, split.database, recipe
    )
    stage = "joint" if recipe.train.joint else "hnet_warmup"
    last = [e for e in run.history if e["stage"] == stage]
    if not last:
        raise RunError(
            f"{run.folder}: interrupted before its first epoch to select from; go on with "
            f"`ssah train --resume {run.folder}`"
        )
    selected = last[selected_epoch(last)]
    report = {
        "protocol": f"{split.protocol}; {encoder.bits} bits; training seed {recipe.seed}",
        "selected_epoch": selected["epoch"] + 1,
        "validation_map": selected["validation_map"],
        "validation_error": selected["validation_error"],
        "training_seconds": round(sum(e["seconds"] for e in run.history), 1),
        "classes": list(images.classes),
        "retrieval": result.to_dict(),
        "codes": code_statistics(database_codes, encoder.bits).to_dict(),
        "average_precision": list(result.average_precision),
    }
    with atomic_path(run.codes_path) as path:
        np.savez(path, query=query_codes, database=database_codes)
    write_atomically(run.metrics_path, json.dumps(report, indent=1).encode())
    write_report(run, images)
    return report


def measure(
    encoder: HNet, images: ImageSet, query: tuple[str, ...], database: tuple[str, ...], recipe
) -> tuple[RetrievalResult, np.ndarray, np.ndarray]:
    """Retrieval of `query` against `database`, and the packed codes of both."""
    codes, labels = [], []
    for ids in (query, database):
        positions = images.positions(ids)
        batches = encoding_batches(images, positions, size=recipe.data.image_size, batch=256)
        codes.append(encoder.encode(batches))
        labels.append(images.labels[positions])
    cutoffs = tuple(k for k in CUTOFFS if k < len(database))
    result = evaluate_retrieval(
        codes[0], labels[0], codes[1], labels[1], encoder.bits, cutoffs=cutoffs, seed=recipe.seed
    )
    return result, *codes
