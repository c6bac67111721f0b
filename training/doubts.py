"""What a number does not say: few queries, classes that have none, guessing that is as good."""

import numpy as np

from ssah_tf.metrics import LabelLists, NeighbourRecall, chance_average_precision, relevant_counts
from ssah_tf.system.text import printable

#: Queries below which one image moves every mean by tenths.
FEW = 10
#: Level of random codes from which a number says little.
HIGH = 0.8
#: What is said where no image has a label.
NO_LABELS = (
    "no photo has a label, so mAP cannot be measured; `ssah suggest` says which photos to label "
    "first, `ssah label` has a page for it"
)
#: Classes that are named.
SHOWN = 5


def doubts_of_split(query: LabelLists, database: LabelLists, classes: tuple[str, ...]) -> list[str]:
    """What numbers on a split will not say, before anything is trained; a line each.

    Args:
        query: Labels of the queries.
        database: Labels of the database.
        classes: Class names.
    """
    if not classes:
        return [NO_LABELS]
    queried = query.counts() > 0
    there = queried | (database.counts() > 0)
    relevant = relevant_counts(query, database)
    chance = float(chance_average_precision(relevant, len(database)).mean())
    lines = []
    if relevant.min() == len(database):
        lines.append("every database image is relevant to every query: all codes reach 1")
    elif queried.sum() == 1 < there.sum():
        lines.append(
            f"only images of {printable(classes[queried.argmax()])} are queries, one of "
            f"{there.sum():,} classes, and guessing reaches {chance:.2f}: the numbers say nothing "
            "of the others"
        )
    elif chance >= HIGH:
        lines.append(f"guessing reaches {chance:.2f}: the numbers say little")
    silent = np.flatnonzero(there & ~queried)
    if len(silent):
        names = ", ".join(printable(classes[c]) for c in silent[:SHOWN])
        more = f" and {len(silent) - SHOWN:,} more" if len(silent) > SHOWN else ""
        lines.append(
            f"{queried.sum():,} of {there.sum():,} classes have queries; not measured: {names}"
            f"{more} (a class needs three labels, and images without a copy)"
        )
    if len(query) < FEW:
        lines.append(f"only {len(query)} queries: each moves a mean by {1 / len(query):.2f}")
    if missing := int((relevant == 0).sum()):
        lines.append(
            f"{missing:,} of {len(query):,} queries have nothing relevant in the database, and "
            f"count 0: perfect codes reach an mAP of {1 - missing / len(query):.4f}"
        )
    return lines


def doubt_of_interval(interval: tuple[float, float] | None, chance: float) -> list[str]:
    """A line if an interval reaches down to what random codes reach."""
    if interval is None or interval[0] > chance:
        return []
    return [
        f"the interval {interval[0]:.4f} to {interval[1]:.4f} of mAP@all holds what guessing "
        f"reaches, {chance:.4f}, or is below it: this encoder cannot be told from random codes"
    ]


def doubt_of_neighbours(found: NeighbourRecall) -> list[str]:
    """A line if guessing finds nearly all neighbours, since the database is small."""
    rank, chance = next(iter(found.chance.items()))
    if chance < HIGH:
        return []
    return [
        f"the database has {found.database} images: guessing finds {chance:.2f} of the neighbours "
        f"within the first {rank}, and the numbers say little"
    ]
