"""Which image has which part: drawn by seed, saved, read back and checked."""

import json
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ssah_tf.data.contents import Contents
from ssah_tf.data.image_set import ImageSet
from ssah_tf.system.errors import DataError
from ssah_tf.system.files import write_atomically
from ssah_tf.system.reading import parse_json

#: The parts of a split.
PARTS = ("labelled", "validation", "unlabelled", "query", "database")
#: Labels that a class of one's own photos needs to give a query and a validation image.
TINY = 3


@dataclass(frozen=True)
class Split:
    """The parts of an image set, as ids.

    Attributes:
        labelled: Training images whose labels are used.
        validation: Images cut from the labelled part; they choose the model and train nothing.
        unlabelled: Training images whose labels, if any, are never looked at.
        query: Queries; never seen in training or selection.
        database: Images that are searched.
        seed: Seed by which the parts were drawn.
        protocol: One line that says what a number on this split means.
        contents: What the images were; `None` in a file of an older version.
    """

    labelled: tuple[str, ...]
    validation: tuple[str, ...]
    unlabelled: tuple[str, ...]
    query: tuple[str, ...]
    database: tuple[str, ...]
    seed: int
    protocol: str
    contents: Contents | None = None

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """Every image of the split once, in the order of the parts."""
        return tuple(dict.fromkeys(name for part in PARTS for name in getattr(self, part)))

    def without(self, missing: Collection[str]) -> "Split":
        """The split with some images left out of every part."""
        if not missing:
            return self
        parts: dict[str, Any] = {
            part: tuple(name for name in getattr(self, part) if name not in missing)
            for part in PARTS
        }
        return replace(self, **parts)

    def check(self, images: ImageSet) -> None:
        """Refuse parts that overlap, by id or by content, and images that have changed.

        Raises:
            DataError: A part is empty that must not be (of images without classes no labelled one
                is needed), an id is unknown or twice in a part, an
                image is in two parts, a query image (or an exact copy of one) is among the
                training or database images, or content or labels are not what they were.
        """
        for part in ("labelled", "query", "database") if images.classes else ("query", "database"):
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
        if self.contents is not None:
            self.contents.check(images, self.ids)

    def save(self, path: Path) -> None:
        """Write the split as JSON, whole or not at all."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "contents"}
        if self.contents is not None:
            values["contents"] = self.contents.to_json(self.ids)
        write_atomically(path, json.dumps(values).encode())

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Read a split written by `save`.

        Raises:
            DataError: The file is missing or is not a split.
        """
        try:
            values = parse_json(Path(path).read_bytes())
            ok = (
                set(values) | {"contents"} == {f.name for f in fields(cls)}
                and all(isinstance(values[part], list) for part in PARTS)
                and all(isinstance(name, str) for part in PARTS for name in values[part])
                and isinstance(values["seed"], int)
                and isinstance(values["protocol"], str)
            )
            if ok:
                parts: dict[str, Any] = {part: tuple(values[part]) for part in PARTS}
                split = cls(**parts, seed=values["seed"], protocol=values["protocol"])
                if "contents" in values:
                    contents = Contents.from_json(values["contents"], split.ids)
                    split = replace(split, contents=contents)
        except FileNotFoundError:
            raise DataError(f"{path}: no such file") from None
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path}: not a split file ({error})") from None
        if not ok:
            raise DataError(f"{path}: not a split file (expected the parts {', '.join(PARTS)})")
        return split


def make_split(
    images: ImageSet,
    *,
    labelled_per_class: int | None = None,
    labelled_share: float | None = None,
    validation_per_class: int,
    query_per_class: int | None = None,
    query_ids: tuple[str, ...] = (),
    labelled_in_database: bool = True,
    as_available: bool = False,
    protocol: str = "n-per-class",
    seed: int = 0,
) -> Split:
    """Draw a split: queries first, then labelled and validation images, the rest is unlabelled.

    The database is every image with a known label that is not a query: whether an image without
    one is relevant cannot be said. An image that has an exact copy in the set is never drawn as a
    query. With several labels an image counts for each of its classes.

    Args:
        images: The whole set.
        labelled_per_class: Labels to use a class, validation included.
        labelled_share: Share of each class's labels to use instead; all of them if neither is
            given.
        validation_per_class: How many of those choose the model instead of training it.
        query_per_class: Queries to draw a class, if the set has no official ones; at most a fifth
            of a class is taken.
        query_ids: The official queries.
        labelled_in_database: Whether labelled and validation images are searched, too.
        as_available: For own photos: a class with too few labels gives one query and one
            validation image if it has three labels, and none if it has fewer, instead of an error.
        protocol: Name of the protocol, for its description.
        seed: The same seed draws the same split.

    Returns:
        The split, checked.

    Raises:
        DataError: A class has too few images for what was asked.
        ValueError: Neither `query_per_class` nor `query_ids` is given.
    """
    if query_per_class is None and not query_ids:
        raise ValueError("give query_per_class or query_ids: without queries nothing is measured")
    has_label = images.labels.sum(axis=1) > 0
    if not has_label.any():
        raise DataError(
            f"{images.name}: no image has a label, so nothing can be learnt or measured"
        )
    order = np.random.default_rng(seed).permutation(len(images))
    if query_ids:
        query, how = images.positions(query_ids), f"{len(query_ids)} official queries"
    else:
        query = draw_queries(images, order, query_per_class or 0, as_available)
        how = f"{len(query)} queries ({query_per_class} a class, at most a fifth)"

    free = order[has_label[order] & ~np.isin(order, query)]
    wanted = labels_to_use(images, free, labelled_per_class, labelled_share, as_available)
    labelled, validation = draw_labelled(images, free, wanted, validation_per_class, as_available)
    known = np.union1d(labelled, validation)
    unlabelled = np.setdiff1d(order, np.union1d(query, known))
    database = free if labelled_in_database else np.setdiff1d(free, known)

    def ids(positions: np.ndarray) -> tuple[str, ...]:
        return tuple(images.ids[i] for i in np.sort(positions))

    split = Split(
        labelled=ids(labelled),
        validation=ids(validation),
        unlabelled=ids(unlabelled),
        query=ids(query),
        database=ids(database),
        seed=seed,
        protocol=(
            f"{images.name}, {protocol}: {how} against a database of {len(database)}; "
            f"{len(known)} labels ({describe_labels(labelled_per_class, labelled_share)}; "
            f"{len(validation)} of them for validation), {len(unlabelled)} unlabelled images; "
            f"the database holds {describe_database(known, unlabelled, database)}; "
            f"relevant = shares a label; split seed {seed}"
        ),
        contents=Contents.of(images),
    )
    split.check(images)
    return split


def draw_queries(
    images: ImageSet, order: np.ndarray, per_class: int, as_available: bool
) -> np.ndarray:
    """Positions of images that have labels and no exact copy, at most a fifth of a class.

    Args:
        images: The whole set.
        order: All positions in random order.
        per_class: Queries a class.
        as_available: Whether a class of three labels gives one all the same.
    """
    digests, count = np.unique(np.array(images.digests), return_counts=True)
    copied = np.isin(np.array(images.digests), digests[count > 1])
    size = images.labels.sum(axis=0, dtype=np.int64)
    least = (size >= TINY).astype(np.int64) if as_available else 0
    quota = np.maximum(np.minimum(per_class, size // 5), least)
    return draw(images, order[~copied[order]], quota)


def labels_to_use(
    images: ImageSet,
    free: np.ndarray,
    per_class: int | None,
    share: float | None,
    as_available: bool,
) -> np.ndarray | None:
    """How many labels of each class are used, int64 `(classes,)`; `None` means all of them.

    Args:
        images: The whole set.
        free: Positions of the images with labels that are no queries.
        per_class: See `make_split`.
        share: See `make_split`.
        as_available: Whether a class that has fewer gives what it has.
    """
    if per_class is None and share is None:
        return None
    available = images.labels[free].sum(axis=0, dtype=np.int64)
    if share is not None:
        return np.ceil(share * available).astype(np.int64)
    wanted = np.full(len(available), per_class)
    return np.minimum(wanted, available) if as_available else wanted


def draw_labelled(
    images: ImageSet,
    free: np.ndarray,
    wanted: np.ndarray | None,
    validation_per_class: int,
    as_available: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the labelled images that train, and of those that validate.

    Args:
        images: The whole set.
        free: Positions of the images with labels that are no queries, in random order.
        wanted: Labels of each class, for both; `None` means all.
        validation_per_class: How many of those validate.
        as_available: Whether a class with few labels gives at most a fifth of them to validation,
            but one of two; a class with fewer than `TINY` labels in all gives none.

    Raises:
        DataError: A class has too few labels, or none is left to train or to validate with.
    """
    available = images.labels[free].sum(axis=0, dtype=np.int64)
    quota = available if wanted is None else wanted
    held_out = np.full(len(available), validation_per_class)
    if as_available:
        tiny = images.labels.sum(axis=0, dtype=np.int64) < TINY
        held_out = np.minimum(held_out, np.where(tiny, 0, np.maximum(quota // 5, quota >= 2)))
    else:
        for name, n, want, held in zip(images.classes, available, quota, held_out, strict=True):
            if n < max(want, held + 1):
                raise DataError(
                    f"class {name!r} has {n} images besides its queries, but {want} labelled "
                    f"images a class were asked for, of which {held} for validation"
                )
    chosen = free if wanted is None else draw(images, free, quota)
    validation = draw(images, chosen, held_out)
    labelled = np.setdiff1d(chosen, validation)
    if not as_available and (images.labels[labelled].sum(axis=0) == 0).any():
        raise DataError(
            "validation takes every labelled image of a class: lower validation_per_class"
        )
    if as_available and not len(validation):
        raise DataError(
            f"{images.name}: too few labels to choose a model by; label at least 3 images a class"
        )
    return labelled, validation


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


def describe_labels(per_class: int | None, share: float | None) -> str:
    """Which labels of a class are used, in words."""
    if share is not None:
        return f"{share:.0%} of each class"
    return "all of them" if per_class is None else f"{per_class} a class"


def describe_database(labelled: np.ndarray, unlabelled: np.ndarray, database: np.ndarray) -> str:
    """Which training images the database holds, since that makes a number higher."""
    seen = [
        f"{count} {name} training images"
        for name, part in (("labelled", labelled), ("unlabelled", unlabelled))
        if (count := np.isin(part, database).sum())
    ]
    return " and ".join(seen) or "no training images"
