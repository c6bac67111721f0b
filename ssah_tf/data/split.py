"""Which image plays which part: a value that is made by seed, saved, read back and checked."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from ssah_tf.data.image_set import ImageSet
from ssah_tf.errors import DataError
from ssah_tf.files import write_atomically


@dataclass(frozen=True)
class Split:
    """The parts of an image set, as ids.

    Attributes:
        labelled: Training images whose labels are used.
        validation: Images cut from the labelled part; they choose the model and train nothing.
        unlabelled: Training images whose labels, if any, are never looked at.
        query: Images that ask; never seen in training or selection.
        database: Images that are searched.
        seed: Seed by which the parts were drawn.
        protocol: One line that says what a number on this split means.
    """

    labelled: tuple[str, ...]
    validation: tuple[str, ...]
    unlabelled: tuple[str, ...]
    query: tuple[str, ...]
    database: tuple[str, ...]
    seed: int
    protocol: str

    def check(self, images: ImageSet) -> None:
        """Refuse parts that overlap, by id or by content.

        Raises:
            DataError: A part is empty that must not be, an id is unknown or twice in a part, an
                image is in two parts, or a query image (or an exact copy of one) is among the
                training or database images.
        """
        for part in ("labelled", "query", "database"):
            if not getattr(self, part):
                raise DataError(f"the split has no {part} images")
        trained = {"labelled": self.labelled, "unlabelled": self.unlabelled}
        trained["validation"] = self.validation
        seen: dict[str, str] = {}
        for part, ids in trained.items():
            for name in ids:
                if name in seen:
                    raise DataError(f"image {name!r} is in {seen[name]} and in {part}")
                seen[name] = part
        for part in ("query", "database"):
            if len(set(getattr(self, part))) != len(getattr(self, part)):
                raise DataError(f"an image is twice in the {part} part")
        known = {
            images.digests[position]: f"{images.ids[position]!r} of the {part} part"
            for part, ids in {**trained, "database": self.database}.items()
            for position in images.positions(ids)
        }
        for name, position in zip(self.query, images.positions(self.query), strict=True):
            if images.digests[position] in known:
                raise DataError(
                    f"query image {name!r} has the same content as "
                    f"{known[images.digests[position]]}: the result would be worthless"
                )

    def save(self, path: Path) -> None:
        """Write the split as JSON, whole or not at all."""
        write_atomically(path, json.dumps(asdict(self)).encode())

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Read a split written by `save`.

        Raises:
            DataError: The file is missing or is not a split.
        """
        try:
            values = json.loads(Path(path).read_bytes())
            parts = ("labelled", "validation", "unlabelled", "query", "database")
            ok = (
                set(values) == {f.name for f in fields(cls)}
                and all(isinstance(values[part], list) for part in parts)
                and all(isinstance(name, str) for part in parts for name in values[part])
                and isinstance(values["seed"], int)
                and isinstance(values["protocol"], str)
            )
        except FileNotFoundError:
            raise DataError(f"{path}: no such file") from None
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path}: not a split file ({error})") from None
        if not ok:
            raise DataError(f"{path}: not a split file (expected the parts {', '.join(parts)})")
        return cls(**{k: tuple(v) if k in parts else v for k, v in values.items()})


def make_split(
    images: ImageSet,
    *,
    labelled_per_class: int | None,
    validation_per_class: int,
    query_per_class: int | None = None,
    query_ids: tuple[str, ...] = (),
    seed: int = 0,
) -> Split:
    """Draw a split: queries first, then labelled and validation images, the rest is unlabelled.

    Every image that is not a query is in the database. An image that has an exact copy in the set
    is never drawn as a query. With several labels an image counts for each of its classes.

    Args:
        images: The whole set.
        labelled_per_class: Labels to use a class, validation included; `None` uses all of them.
        validation_per_class: How many of those choose the model instead of training it.
        query_per_class: Queries to draw a class, if the set has no official ones; at most a fifth
            of a class is taken.
        query_ids: The official queries.
        seed: The same seed draws the same split.

    Returns:
        The split, checked.

    Raises:
        DataError: A class has too few images for what was asked.
        ValueError: Neither `query_per_class` nor `query_ids` is given.
    """
    if query_per_class is None and not query_ids:
        raise ValueError("give query_per_class or query_ids: without queries nothing is measured")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(images))
    has_label = images.labels.any(axis=1)

    if query_ids:
        query = np.sort(images.positions(query_ids))
        how = f"{len(query)} official queries"
    else:
        digests, count = np.unique(np.array(images.digests), return_counts=True)
        copied = np.isin(np.array(images.digests), digests[count > 1])
        quota = np.minimum(query_per_class, images.labels.sum(axis=0) // 5)
        query = draw(images, order[(has_label & ~copied)[order]], quota)
        how = f"{len(query)} queries ({query_per_class} a class, at most a fifth)"
    is_query = np.zeros(len(images), dtype=bool)
    is_query[query] = True

    rest = order[has_label[order] & ~is_query[order]]
    available = images.labels[rest].sum(axis=0)
    per_class = available if labelled_per_class is None else labelled_per_class
    wanted = np.broadcast_to(per_class, available.shape)
    for name, n, want in zip(images.classes, available, wanted, strict=True):
        if n < max(want, validation_per_class + 1):
            raise DataError(
                f"class {name!r} has {n} images besides its queries, but {want} labelled images "
                f"a class were asked for, of which {validation_per_class} for validation"
            )
    chosen = rest if labelled_per_class is None else draw(images, rest, wanted)
    validation = draw(images, chosen, np.full(len(images.classes), validation_per_class))
    labelled = np.setdiff1d(chosen, validation)
    if (images.labels[labelled].sum(axis=0) == 0).any():
        raise DataError(
            "validation takes every labelled image of a class: lower validation_per_class"
        )
    unlabelled = np.setdiff1d(np.flatnonzero(~is_query), chosen)
    database = np.flatnonzero(~is_query)

    labels = "all" if labelled_per_class is None else f"{labelled_per_class} a class"
    split = Split(
        *(
            tuple(images.ids[i] for i in np.sort(part))
            for part in (labelled, validation, unlabelled, query, database)
        ),
        seed=seed,
        protocol=(
            f"{images.name}: {how} against a database of {len(database)}; "
            f"{len(chosen)} labels ({labels}; {len(validation)} of them for validation), "
            f"{len(unlabelled)} unlabelled images, which are part of the database; "
            f"relevant = shares a label; split seed {seed}"
        ),
    )
    split.check(images)
    return split


def draw(images: ImageSet, order: np.ndarray, quota: np.ndarray) -> np.ndarray:
    """First positions in `order` that fill `quota[c]` images of each class c.

    An image with several labels is taken while any of its classes has room.
    """
    room = np.array(quota, dtype=np.int64)
    taken = []
    for position in order:
        mine = images.labels[position] > 0
        if (room[mine] > 0).any():
            taken.append(position)
            room[mine] -= 1
    return np.array(taken, dtype=np.int64)
