"""Evaluates a run: its queries against its database, every number with its protocol."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from ssah_tf.data import ImageSet
from ssah_tf.data.decode import RULE
from ssah_tf.metrics import code_statistics
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.system.errors import RunError
from ssah_tf.system.files import atomic_path, write_atomically
from ssah_tf.system.reading import read_arrays
from ssah_tf.training.run import LOST, Run
from ssah_tf.training.selection import epoch_of_encoder
from ssah_tf.training.with_labels import measure_with_labels
from ssah_tf.training.without_labels import measure_without_labels


def evaluate(
    run: Run,
    images: ImageSet,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict:
    """Encode queries and database of a run and measure retrieval; `metrics.json`, `codes.npz`.

    Args:
        run: A run with a selected encoder.
        images: Its images.
        progress: Is told (how much is done, all) now and then.

    Returns:
        What was written to `metrics.json`: `protocol`, `retrieval` (see `RetrievalResult`),
        `codes` of the database (see `CodeStatistics`), `label_search` (see there),
        `average_precision` of each query, `classes`, the epoch that validation selected, and
        `doubts`: what the numbers do not say. Of images without classes all that labels say is
        `None`, or empty, and there is `neighbours`: how codes agree with features (see
        `NeighbourRecall`). If queries or images of the database are missing,
        `missing` names them, and numbers and codes of all are kept if there are any.

    Raises:
        RunError: The run has no encoder, no epoch to select from, or no images to measure.
        DataError: The images have changed since the split was drawn.
    """
    split, lost = run.split, run.missing
    if not split.query or not split.database:
        raise RunError(
            f"{run.folder}: none of its queries, or of its database, is there: if the photos have "
            "moved, name their folder with --data"
        )
    split.check(images)
    encoder = run.encoder()
    selected = epoch_of_encoder(run)
    measure = measure_with_labels if images.classes else measure_without_labels
    full, numbers = measure(run, images, encoder, progress)
    width = code_bytes(encoder.bits)
    parts = dict(zip(("query", "database"), full, strict=True))
    codes: dict[str, Any] = {
        part: np.ascontiguousarray(both[:, :width]) for part, both in parts.items()
    }
    metrics = {
        "protocol": f"{split.protocol}{left_out(run)}; {encoder.bits} bits; training seed "
        f"{run.recipe.seed}",
        "selected_epoch": selected["epoch"] + 1,
        "validation_map": selected["validation_map"],
        "validation_error": selected["validation_error"],
        "validation_chance": numbers["validation_chance"],
        "training_seconds": round(sum(e["seconds"] for e in run.history), 1),
        "classes": list(images.classes),
        "retrieval": numbers["retrieval"],
        "codes": code_statistics(codes["database"], encoder.bits).to_dict(),
        **numbers,
    }
    missing = [name for name in run.whole_split.query + run.whole_split.database if name in lost]
    if missing:
        metrics["missing"] = missing
        keep_complete(run)
    if encoder.appearance_bits:
        codes |= {f"{part}_appearance": both[:, width:] for part, both in parts.items()}
    with atomic_path(run.codes_path) as path:
        np.savez(path, decode_rule=np.int64(RULE), **codes)
    write_atomically(run.metrics_path, json.dumps(metrics, indent=1).encode())
    if not missing:
        run.complete_metrics_path.unlink(missing_ok=True)
        run.complete_codes_path.unlink(missing_ok=True)
    return metrics


def measured_by_rule(run: Run) -> int:
    """The rule of `ssah_tf.data.decode` by which the photos were decoded that `evaluate` measured.

    Raises:
        RunError: Its codes are missing or damaged.
    """
    try:
        arrays = read_arrays(run.codes_path)
        return int(arrays["decode_rule"]) if "decode_rule" in arrays else 1
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{run.codes_path}: missing or damaged ({error})") from None


def left_out(run: Run) -> str:
    """For the protocol: what an evaluation, and the training, had to do without."""
    whole, split = run.whole_split, run.split
    lost = [
        f"{len(before) - len(now):,} of {len(before):,} {part}"
        for part, before, now in (
            ("queries", whole.query, split.query),
            ("images of the database", whole.database, split.database),
        )
        if len(now) < len(before)
    ]
    words = f"; without {' and '.join(lost)}, which are missing" if lost else ""
    if went_on := max((entry.get(LOST, 0) for entry in run.history), default=0):
        words += f"; trained to the end without {went_on:,} images, which were missing"
    return words


def keep_complete(run: Run) -> None:
    """Keep numbers and codes of all images before those without some take their place."""
    try:
        complete = "missing" not in run.metrics()
    except RunError:
        return
    if complete:
        for path, kept in (
            (run.codes_path, run.complete_codes_path),
            (run.metrics_path, run.complete_metrics_path),
        ):
            if path.is_file():
                write_atomically(kept, path.read_bytes())
