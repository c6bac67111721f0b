"""The split of images of which none has a label: what can be known without labels is measured."""

import numpy as np

from ssah_tf.data.contents import Contents
from ssah_tf.data.image_set import ImageSet
from ssah_tf.data.sampling import evenly
from ssah_tf.data.split import Split
from ssah_tf.system.errors import DataError

#: Queries, and images that they are searched in, at most: what is measured of them is a share of
#: neighbours, which gets little surer with more.
QUERIES, DATABASE = 500, 5_000


def split_without_labels(images: ImageSet, seed: int) -> Split:
    """Draw queries, at most a fifth of the images; an encoder may learn from all others.

    The database is some of these others. An image that has an exact copy is never a query.

    Args:
        images: The whole set, without classes.
        seed: The same seed draws the same split.

    Returns:
        The split, checked; nothing in it is labelled or validates.

    Raises:
        DataError: There are fewer than two images, or all have copies.
    """
    digests = np.array(images.digests)
    different, count = np.unique(digests, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(images))
    single = order[~np.isin(digests[order], different[count > 1])]
    query = np.sort(single[: min(QUERIES, max(1, len(images) // 5))])
    others = np.setdiff1d(order, query)
    if not len(query) or not len(others):
        raise DataError(
            f"{images.name}: {len(images)} images, {len(single)} of them without an exact copy; "
            "a query and an image to search are needed at least"
        )
    database = evenly(others, DATABASE)

    def ids(positions: np.ndarray) -> tuple[str, ...]:
        return tuple(images.ids[i] for i in positions)

    split = Split(
        labelled=(),
        validation=(),
        unlabelled=ids(others),
        query=ids(query),
        database=ids(database),
        seed=seed,
        protocol=(
            f"{images.name}, no labels: {len(query)} queries, drawn, against a database of "
            f"{len(database)} of the {len(others)} other images, from which codes may be learnt; "
            f"split seed {seed}"
        ),
        contents=Contents.of(images),
    )
    split.check(images)
    return split
