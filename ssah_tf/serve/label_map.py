"""The map of all photos, as a page shows it."""

from typing import Any

import numpy as np

from ssah_tf.serve.labelling import Labelling
from ssah_tf.system.errors import DataError

#: Places go from 0 to this.
SIDE = 65_535


def photo_map(labelling: Labelling) -> dict[str, Any]:
    """Where each photo lies, and the clusters, as `PhotoMap` of `schemas` has it.

    Raises:
        DataError: There is no map yet.
    """
    layout = labelling.layout
    if layout is None:
        raise DataError("there is no map yet")
    x, y = np.round(layout.places * SIDE).astype(int).T.tolist()
    sizes = np.bincount(layout.clusters, minlength=len(layout.examples)).tolist()
    examples = map(labelling.described, layout.examples.tolist())
    clusters = [
        {"photos": size, "example": example} for size, example in zip(sizes, examples, strict=True)
    ]
    return {
        "key": layout.key,
        "x": x,
        "y": y,
        "cluster": layout.clusters.tolist(),
        "clusters": clusters,
    }


def map_labels(labelling: Labelling) -> dict[str, Any]:
    """What was said of which photos, as `MapLabels` of `schemas` has it.

    Raises:
        DataError: The table is none any more.
    """
    with labelling.lock:
        revision = labelling.progress()[0]
        verdicts = [labelling.verdict(position) for position in range(len(labelling))]
        for verdict in verdicts:
            labelling.classes |= dict.fromkeys(verdict.labels)
        number = {name: i for i, name in enumerate(labelling.classes)}
        first = [(p, number[v.labels[0]]) for p, v in enumerate(verdicts) if v.labels]
        marked = [position for position, verdict in enumerate(verdicts) if verdict.mark]
        return {"revision": revision, "classes": [*number], "first": first, "marked": marked}


def descriptions(labelling: Labelling, photos: list[int]) -> list[dict[str, Any]]:
    """Photos as a page shows them.

    Raises:
        DataError: There is none of such a number; or the table is none any more.
    """
    for position in photos:
        labelling.photos.path_of(position)
    with labelling.lock:
        labelling.table.refresh()
        return [labelling.described(position) for position in photos]
