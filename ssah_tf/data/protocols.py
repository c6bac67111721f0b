"""Protocols by name: which images ask, which have labels, which are searched, what is measured."""

from dataclasses import dataclass, replace

from ssah_tf.data.image_set import ImageSet
from ssah_tf.data.split import Split, make_split
from ssah_tf.errors import DataError


@dataclass(frozen=True)
class Protocol:
    """How an image set is split, and the number that is quoted for it.

    Attributes:
        description: One sentence.
        official: Whether the set must bring its own queries.
        query_per_class: Queries a class, `None` if the recipe says how many.
        labelled_per_class: Labels a class, `None` if the recipe says how many, or all.
        labelled_in_database: Whether labelled images are searched, too.
        as_available: Whether small classes give what they have.
        cutoff: k of the mAP@k that is quoted, `None` for mAP@all.
    """

    description: str
    official: bool = False
    query_per_class: int | None = None
    labelled_per_class: int | None = None
    labelled_in_database: bool = True
    as_available: bool = False
    cutoff: int | None = None


#: Every protocol that a recipe can name.
PROTOCOLS = {
    "as-labelled": Protocol(
        "Own photos: all labels that there are; a fifth of each class asks, at most "
        "`query_per_class`; the other labelled images are the database.",
        as_available=True,
    ),
    "n-per-class": Protocol(
        "`labelled_per_class` labels a class, all others are hidden; the official queries, or "
        "`query_per_class` a class; the database is all other images.",
    ),
    "fraction": Protocol(
        "As n-per-class, with a share `labelled_share` of each class's labels.",
    ),
    "official": Protocol(
        "The set's own test part asks its training part, `train/` and `test/` folders or lists; "
        "all labels of the training part, or `labelled_per_class` of them.",
        official=True,
    ),
    "cifar10-54k": Protocol(
        "100 queries a class; 500 labels a class; the database is the 54,000 others, which are "
        "the unlabelled images.",
        query_per_class=100,
        labelled_per_class=500,
        labelled_in_database=False,
    ),
    "cifar10-59k": Protocol(
        "100 queries a class; 500 labels a class; the database is all 59,000 others.",
        query_per_class=100,
        labelled_per_class=500,
    ),
    "cifar10-full": Protocol(
        "The 10,000 test images ask the 50,000 training images, all of which have labels.",
        official=True,
    ),
    "nuswide21": Protocol(
        "100 queries and 500 labels a class of the 21 most frequent ones; the database is all "
        "other images; mAP@5000.",
        query_per_class=100,
        labelled_per_class=500,
        cutoff=5000,
    ),
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
    if protocol.official and not images.official_queries:
        raise DataError(
            f"the protocol {name} needs a set with its own queries, and {images.name} has none: "
            "two folders train/ and test/, or lists train.txt and test.txt"
        )
    if (name == "fraction") != (labelled_share is not None):
        raise DataError("labelled_share belongs to the protocol fraction: give both or neither")
    own = protocol.query_per_class is None  # the set's own queries, if it has some
    split = make_split(
        images,
        labelled_per_class=None
        if name in ("fraction", "cifar10-full")
        else protocol.labelled_per_class or labelled_per_class,
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
