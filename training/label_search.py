"""How well a label finds photos that nobody labelled: one query a class, made of its photos."""

from typing import Any

import numpy as np

from ssah_tf.metrics import LabelLists, class_codes, evaluate_retrieval

DEFINITION = (
    "tie-aware mAP@all of one query a class, the bitwise majority of the codes of its labelled "
    "training photos, against all photos whose labels training did not use: the queries, and such "
    "images of the database. The mean is over the classes that have photos on both sides"
)


def label_search(
    codes: np.ndarray, labels: LabelLists, labelled: np.ndarray, held_out: np.ndarray, bits: int
) -> dict[str, Any]:
    """Measure the search by a label, as `ssah search --label-like` does it.

    Args:
        codes: Packed codes of all images, uint8 `(n, bytes)`.
        labels: Of the same.
        labelled: Positions of the images that the codes of classes are made of.
        held_out: Positions of the images that are searched.
        bits: Length of a code.

    Returns:
        `map` and what random codes reach, `chance`; both by class, `None` for one that has no
        photo on one of the sides; labelled photos by class; how many photos were searched; and
        the definition.
    """
    queries, classes = class_codes(codes[labelled], labels.take(labelled))
    database = labels.take(held_out)
    found = evaluate_retrieval(
        queries, classes, codes[held_out], database, bits, cutoffs=(), n_bootstrap=0
    )
    there = (database.counts() > 0).tolist()
    by_class = {
        name: [value if one else None for value, one in zip(values, there, strict=True)]
        for name, values in (("map", found.map_per_class), ("chance", found.chance_per_class))
    }
    means = {
        name: float(np.mean(known)) if (known := [v for v in values if v is not None]) else None
        for name, values in by_class.items()
    }
    return {
        **means,
        "map_per_class": by_class["map"],
        "chance_per_class": by_class["chance"],
        "labelled_per_class": labels.take(labelled).counts().tolist(),
        "photos": len(held_out),
        "definition": DEFINITION,
    }
