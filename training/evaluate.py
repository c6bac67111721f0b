"""Evaluates a run: its queries against its database, every number with its protocol."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from ssah_tf.data import ImageSet, Split
from ssah_tf.data.decode import RULE
from ssah_tf.data.pipeline import encoding_batches
from ssah_tf.data.sampling import evenly
from ssah_tf.metrics import (
    LabelLists,
    chance_average_precision,
    code_statistics,
    evaluate_retrieval,
    relevant_counts,
)
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.models import HNet
from ssah_tf.system.errors import RunError
from ssah_tf.system.files import atomic_path, write_atomically
from ssah_tf.system.reading import read_arrays
from ssah_tf.training.doubts import doubt_of_interval, doubts_of_split
from ssah_tf.training.label_search import label_search
from ssah_tf.training.run import LOST, Run
from ssah_tf.training.selection import epoch_of_encoder

#: Ranks k of mAP@k and P@k, as far as the database reaches.
CUTOFFS = (1, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
#: Labelled images that validation images are searched in, at most.
VALIDATION_DATABASE = 2_000
#: Images that are encoded at once.
BATCH = 256


def evaluate(
    run: Run,
    images: ImageSet,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict:
    """Encode queries and database of a run and measure retrieval; `metrics.json`, `codes.npz`.

    Args:
        run: A run with a selected encoder.
        images: Its images.
        progress: Is told (queries measured, all) now and then.

    Returns:
        What was written to `metrics.json`: `protocol`, `retrieval` (see `RetrievalResult`),
        `codes` of the database (see `CodeStatistics`), `label_search` (see there),
        `average_precision` of each query, `classes`, the epoch that validation selected, and
        `doubts`: what the numbers do not say. If queries or images of the database are missing,
        `missing` names them, and numbers and codes of all are kept if there are any.

    Raises:
        RunError: The run has no encoder, no epoch to select from, or no images to measure.
        DataError: The images have changed since the split was drawn.
    """
    recipe, split, lost = run.recipe, run.split, run.missing
    if not split.query or not split.database:
        raise RunError(
            f"{run.folder}: none of its queries, or of its database, is there: if the photos have "
            "moved, name their folder with --data"
        )
    split.check(images)
    encoder = run.encoder()
    selected = epoch_of_encoder(run)
    query, database = images.positions(split.query), images.positions(split.database)
    labelled = images.positions(split.labelled)
    others = np.setdiff1d(labelled, database)  # for the search by label alone
    size = recipe.data.image_size
    full = [
        encoder.full_codes(encoding_batches(images, part, size=size, batch=BATCH))
        for part in (query, database, others)
    ]
    width = code_bytes(encoder.bits)
    query_codes, database_codes, other_codes = (
        np.ascontiguousarray(part[:, :width]) for part in full
    )
    appearance = {}
    if encoder.appearance_bits:
        names = "query_appearance", "database_appearance"
        appearance = {name: part[:, width:] for name, part in zip(names, full[:2], strict=True)}
    every = LabelLists.of(images.labels)
    labels = [every.take(part) for part in (query, database)]
    result = evaluate_retrieval(
        query_codes,
        labels[0],
        database_codes,
        labels[1],
        encoder.bits,
        cutoffs=tuple(k for k in CUTOFFS if k < len(database)),
        seed=recipe.seed,
        progress=progress,
    )
    retrieval = result.to_dict()
    encoded = np.concatenate([query, database, others])
    known = np.union1d(labelled, images.positions(split.validation))
    metrics = {
        "protocol": f"{split.protocol}{left_out(run)}; {encoder.bits} bits; training seed "
        f"{recipe.seed}",
        "selected_epoch": selected["epoch"] + 1,
        "validation_map": selected["validation_map"],
        "validation_error": selected["validation_error"],
        "validation_chance": validation_chance(images, split, every),
        "training_seconds": round(sum(e["seconds"] for e in run.history), 1),
        "classes": list(images.classes),
        "retrieval": retrieval,
        "codes": code_statistics(database_codes, encoder.bits).to_dict(),
        "label_search": label_search(
            np.concatenate([query_codes, database_codes, other_codes]),
            every.take(encoded),
            np.flatnonzero(np.isin(encoded, labelled)),
            np.flatnonzero(~np.isin(encoded, known)),
            encoder.bits,
        ),
        "average_precision": list(result.average_precision),
        "doubts": doubts_of_split(labels[0], labels[1], images.classes)
        + doubt_of_interval(result.map_interval, retrieval["chance"]["map_tie_aware"]),
    }
    missing = [name for name in run.whole_split.query + run.whole_split.database if name in lost]
    if missing:
        metrics["missing"] = missing
        keep_complete(run)
    with atomic_path(run.codes_path) as path:
        codes: dict[str, Any] = {"query": query_codes, "database": database_codes, **appearance}
        np.savez(path, decode_rule=np.int64(RULE), **codes)
    write_atomically(run.metrics_path, json.dumps(metrics, indent=1).encode())
    if not missing:
        run.complete_metrics_path.unlink(missing_ok=True)
        run.complete_codes_path.unlink(missing_ok=True)
    return metrics


def validation_chance(images: ImageSet, split: Split, labels: LabelLists) -> float:
    """What random codes reach in the measurement by which the epoch was selected."""
    database = evenly(images.positions(split.labelled), VALIDATION_DATABASE)
    queries = labels.take(images.positions(split.validation))
    relevant = relevant_counts(queries, labels.take(database))
    return float(chance_average_precision(relevant, len(database)).mean())


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


def codes_of(encoder: HNet, images: ImageSet, positions: np.ndarray, size: int) -> np.ndarray:
    """Packed codes of images at a side of `size` px, uint8 `(positions, bytes)`."""
    return encoder.encode(encoding_batches(images, positions, size=size, batch=BATCH))
