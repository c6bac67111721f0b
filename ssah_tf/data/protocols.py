"""Protocols by name: which images are queries, have labels, are searched, and what is measured."""

from dataclasses import dataclass, replace
from typing import Literal

from ssah_tf.data.image_set import ImageSet
from ssah_tf.data.split import Split, make_split
from ssah_tf.data.unlabelled_split import split_without_labels
from ssah_tf.system.errors import DataError


@dataclass(frozen=True)
class Protocol:
    """How an image set is split, and the number that is quoted for it; see docs/data.md.

    Attributes:
        official: Whether the set must bring its own queries.
        query_per_class: Queries a class; `None`: the set's own ones, or as many as the recipe says.
        labelled_per_class: Labels a class, or "all"; `None` if the recipe says how many.
        labelled_in_database: Whether labelled images are searched, too.
        as_available: Whether small classes give what they have.
        cutoff: k of the mAP@k that is quoted, `None` for mAP@all.
    """

    official: bool = False
    query_per_class: int | None = None
    labelled_per_class: int | Literal["all"] | None = None
    labelled_in_database: bool = True
    as_available: bool = False
    cutoff: int | None = None


#: That of one's own photos, labels or none.
AS_LABELLED = "as-labelled"
#: Every protocol that a recipe can name.
PROTOCOLS = {
    AS_LABELLED: Protocol(as_available=True),
    "n-per-class": Protocol(),
    "fraction": Protocol(),  # with a share of the labels, not a number
    "official": Protocol(official=True),
    "cifar10-54k": Protocol(
        query_per_class=100, labelled_per_class=500, labelled_in_database=False
    ),
    "cifar10-59k": Protocol(query_per_class=100, labelled_per_class=500),
    "cifar10-full": Protocol(official=True, labelled_per_class="all"),
    "nuswide21": Protocol(query_per_class=100, labelled_per_class=500, cutoff=5000),
}


def split_by_protocol(
    images: ImageSet,
    name: str,
    *,
    validation_per_class: int,
    query_per_class: int,
    labelled_per_class: int | None,
    labelled_share: float | None,
    seed: int,
) -> Split:
    """Draw the split of a protocol; what the protocol fixes wins over the arguments.

    Of images without classes there is one split alone, whatever the numbers: see
    `split_without_labels`.

    Args:
        images: The whole set.
        name: One of `PROTOCOLS`.
        validation_per_class: See `make_split`.
        query_per_class: See `make_split`.
        labelled_per_class: See `make_split`.
        labelled_share: See `make_split`; for the protocol `fraction` only.
        seed: See `make_split`.

    Raises:
        DataError: No such protocol, or the set does not fit it.
    """
    if name not in PROTOCOLS:
        raise DataError(f"no protocol {name!r}, choose from {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    if not images.classes:
        if name != AS_LABELLED:
            raise DataError(f"the protocol {name} needs labels, and {images.name} has none")
        return split_without_labels(images, seed)
    if protocol.official and not images.official_queries:
        raise DataError(
            f"the protocol {name} needs a set with its own queries, and {images.name} has none: "
            "two folders train/ and test/, or lists train.txt and test.txt"
        )
    if (name == "fraction") != (labelled_share is not None):
        raise DataError("labelled_share belongs to the protocol fraction: give both or neither")
    own = protocol.query_per_class is None  # the set's own queries, if it has some
    labelled = protocol.labelled_per_class or labelled_per_class
    split = make_split(
        images,
        labelled_per_class=None if labelled == "all" else labelled,
        labelled_share=labelled_share,
        validation_per_class=validation_per_class,
        query_per_class=protocol.query_per_class or query_per_class,
        query_ids=images.official_queries if own else (),
        labelled_in_database=protocol.labelled_in_database,
        as_available=protocol.as_available,
        protocol=name,
        seed=seed,
    )
    if protocol.cutoff is None:
        return split
    return replace(split, protocol=f"{split.protocol}; quoted by mAP@{protocol.cutoff}")
