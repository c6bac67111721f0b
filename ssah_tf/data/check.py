"""Looks an image set over before anybody trains on it: counts, bad files, copies, leaks, names."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ssah_tf.data.image_set import ImageSet
from ssah_tf.data.names import odd_names
from ssah_tf.data.near_duplicates import Looks, near_duplicates
from ssah_tf.data.perceptual_hash import SIDE, is_flat
from ssah_tf.data.scan import listed
from ssah_tf.data.sources.loaded import Loaded


@dataclass(frozen=True)
class DataReport:
    """What `check_data` found.

    Attributes:
        name: Name of the set.
        images: Readable images.
        labelled: Those with a label.
        multi_label: Those with more than one.
        classes: Class -> part (`train` or `query`) -> images; a set without queries of its own has
            no part `query`.
        bad_files: Unreadable file -> reason.
        missing_files: Paths of the label file without a file.
        unread_files: Paths of the label file whose file is passed over -> reason.
        passed_over: What the scan of a folder left out: image files and folders by reason, and
            folders that cannot be listed; `line` has it in words.
        parts: Folders of an official split -> `train` or `query`.
        notes: What else a person should know.
        exact_duplicates: Groups of ids with the same content.
        near_duplicates: Pairs of ids that look alike, exact duplicates left out; `None` if they
            were not looked for.
        mirrored_duplicates: Pairs of ids of an official query and a training image that look alike
            if one is mirrored; `None` likewise.
        leaks: Official queries that have an exact copy in the training part.
        near_leaks: Official queries that look like an image of the training part, mirrored or not;
            on small or uniform images that need not be one.
        conflicts: Groups of exact duplicates with different labels.
        similar_names: Groups of class names that differ by case or spaces only.
        odd_names: Class names that are probably an accident, and what to do; a line each.
        flat: Ids of images of one level, blank ones; empty if near duplicates were not looked for.
    """

    name: str
    images: int
    labelled: int
    multi_label: int
    classes: dict[str, dict[str, int]]
    bad_files: dict[str, str]
    missing_files: list[str]
    unread_files: dict[str, str]
    passed_over: dict[str, Any]
    parts: dict[str, str]
    notes: list[str]
    exact_duplicates: list[list[str]]
    near_duplicates: list[list[str]] | None
    mirrored_duplicates: list[list[str]] | None
    leaks: list[str]
    near_leaks: list[str]
    conflicts: list[list[str]]
    similar_names: list[list[str]]
    odd_names: list[str]
    flat: list[str]

    def errors(self) -> list[str]:
        """Findings that make numbers wrong, a line each."""
        return [
            f"{count} {line}"
            for count, line in (
                (len(self.leaks), "queries have a copy among the training images"),
                (len(self.conflicts), "groups of copies have different labels"),
                (len(self.similar_names), "groups of class names differ by case or spaces only"),
            )
            if count
        ]

    def warnings(self) -> list[str]:
        """Findings that a person should know, a line each."""
        small = sum(parts.get("train", 0) < 3 for parts in self.classes.values())
        reasons = listed(Counter(self.unread_files.values()))
        found = [
            f"{count} {line}"
            for count, line in (
                (len(self.bad_files), "files cannot be read"),
                (len(self.missing_files), "labels have no file"),
                (len(self.unread_files), f"labels are of files that are passed over: {reasons}"),
                (len(self.exact_duplicates), "groups of exact copies"),
                (len(self.near_duplicates or ()), "pairs of near duplicates"),
                (
                    len(self.mirrored_duplicates or ()),
                    "pairs of a query and a training image mirror each other",
                ),
                (len(self.near_leaks), "queries or more look like a training image"),
                (len(self.odd_names), "class names look like an accident"),
                (small, "classes have fewer than 3 labelled images"),
                (len(self.flat), "images are of one level: blank, or of an unknown range"),
            )
            if count
        ]
        passed = [self.passed_over["line"]] if self.passed_over["unexpected"] else []
        return [*found, *passed, *self.notes]

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for `json.dumps`."""
        return {**asdict(self), "errors": self.errors(), "warnings": self.warnings()}


def check_data(loaded: Loaded, near: bool = True) -> DataReport:
    """Look an image set over.

    Args:
        loaded: The set with what was left out of it.
        near: Whether to look for near duplicates, which reads every image again.

    Returns:
        What was found.
    """
    images = loaded.images
    queries = set(images.official_queries)
    part = np.array(["query" if name in queries else "train" for name in images.ids])
    copies = groups_of(images.digests)
    looks = Looks.of(images) if near else None
    pairs = None if looks is None else near_duplicates(images, looks, part == "query")
    plain, mirrored = [p.tolist() for p in pairs] if pairs else (None, None)

    def across(groups: Iterable[Iterable[int]]) -> list[str]:
        """Queries that share a group with training images."""
        mixed = [group for group in groups if len({part[i] for i in group}) == 2]
        return sorted({images.ids[i] for group in mixed for i in group if part[i] == "query"})

    return DataReport(
        name=images.name,
        images=len(images),
        labelled=int(images.labels.any(axis=1).sum()),
        multi_label=int((images.labels.sum(axis=1) > 1).sum()),
        classes=counts_by_class(images, part),
        bad_files=loaded.bad,
        missing_files=loaded.missing,
        unread_files=dict(loaded.unread),
        passed_over=loaded.passed.to_dict(),
        parts={folder: part for folder, part in loaded.parts.items() if part},
        notes=list(loaded.notes),
        exact_duplicates=[[images.ids[i] for i in group] for group in copies],
        near_duplicates=None if plain is None else [[images.ids[i] for i in p] for p in plain],
        mirrored_duplicates=None
        if mirrored is None
        else [[images.ids[i] for i in p] for p in mirrored],
        leaks=across(copies),
        near_leaks=across([*(plain or ()), *(mirrored or ())]),
        conflicts=[
            [images.ids[i] for i in group]
            for group in copies
            if len({images.labels[i].tobytes() for i in group if images.labels[i].any()}) > 1
        ],
        similar_names=[
            [images.classes[i] for i in group]
            for group in groups_of("".join(name.split()).casefold() for name in images.classes)
        ],
        odd_names=odd_names(images.classes),
        flat=[] if looks is None else flat_images(images, looks.hashes),
    )


def counts_by_class(images: ImageSet, part: np.ndarray) -> dict[str, dict[str, int]]:
    """Images of each class in each part, `(n,)`."""
    found: list[Counter[str]] = [Counter() for _ in images.classes]
    for row, column in zip(*(places.tolist() for places in np.nonzero(images.labels)), strict=True):
        found[column][str(part[row])] += 1
    return {name: dict(counts) for name, counts in zip(images.classes, found, strict=True)}


def groups_of(keys: Iterable[Hashable]) -> list[list[int]]:
    """Positions of equal keys, in groups of two or more."""
    found = defaultdict(list)
    for position, key in enumerate(keys):
        found[key].append(position)
    return [group for group in found.values() if len(group) > 1]


def flat_images(images: ImageSet, hashes: npt.NDArray[np.uint8]) -> list[str]:
    """Ids of the images of one level; only those whose hashes have no bit set are read again."""
    empty = np.flatnonzero(~hashes.any(axis=1)).tolist()
    return [images.ids[i] for i in empty if is_flat(images.read_one(i, SIDE))]
