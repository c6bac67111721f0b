"""Looks an image set over before anybody trains on it: counts, bad files, copies, leaks, names."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ssah_tf.data.image_set import ImageSet
from ssah_tf.data.names import odd_names
from ssah_tf.data.perceptual_hash import BYTES, SIDE, is_flat, perceptual_hash
from ssah_tf.data.scan import listed
from ssah_tf.data.sources.loaded import Loaded
from ssah_tf.data.threads import decoder_pool

#: Perceptual hashes of 128 bits that differ in at most so many are near duplicates.
NEAR_BITS = 16


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
        leaks: Official queries that have an exact copy in the training part.
        near_leaks: Official queries that look like an image of the training part; on small or
            uniform images that need not be one.
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
                (len(self.near_leaks), "queries look like a training image"),
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
    hashes = hashes_of(images) if near else None
    pairs = None if hashes is None else near_duplicates(images, hashes)

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
        near_duplicates=None if pairs is None else [[images.ids[i] for i in p] for p in pairs],
        leaks=across(copies),
        near_leaks=across(pairs or ()),
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
        flat=[] if hashes is None else flat_images(images, hashes),
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


def hashes_of(images: ImageSet) -> npt.NDArray[np.uint8]:
    """Perceptual hashes of all images, uint8 `(n, BYTES)`."""

    def one(position: int) -> bytes:
        return perceptual_hash(images.read_one(position, SIDE))

    found = b"".join(decoder_pool().map(one, range(len(images))))
    return np.frombuffer(found, np.uint8).reshape(-1, BYTES)


def flat_images(images: ImageSet, hashes: npt.NDArray[np.uint8]) -> list[str]:
    """Ids of the images of one level; only those whose hashes have no bit set are read again."""
    empty = np.flatnonzero(~hashes.any(axis=1)).tolist()
    return [images.ids[i] for i in empty if is_flat(images.read_one(i, SIDE))]


def near_duplicates(images: ImageSet, hashes: npt.NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Pairs of positions whose perceptual hashes differ in at most `NEAR_BITS` bits.

    Exact copies are left out, and images of nearly one colour: their hashes have no bit set.
    """
    chosen = np.flatnonzero(hashes.any(axis=1))
    pairs = chosen[close_pairs(hashes[chosen], NEAR_BITS)].tolist()
    return [(a, b) for a, b in pairs if images.digests[a] != images.digests[b]]


def close_pairs(codes: npt.NDArray[np.uint8], radius: int) -> npt.NDArray[np.int64]:
    """Pairs of rows that differ in at most `radius` bits.

    Bits are dealt to `radius` + 1 bands: in one of them at least such rows agree. So only rows
    that agree in a band are compared.

    Args:
        codes: uint8 `(n, 8 * words)`.
        radius: Bits.

    Returns:
        int64 `(pairs, 2)`, the smaller row first, in order.
    """
    words = np.ascontiguousarray(codes).view(np.uint64)  # (n, words)
    bits = np.unpackbits(codes, axis=1)
    found = [np.zeros((0, 2), np.int64)]
    for band in range(radius + 1):
        # Every so many bits, so that a band has low and high frequencies of a perceptual hash.
        key = np.packbits(bits[:, band :: radius + 1], axis=1)
        key = key.view(f"V{key.shape[1]}").ravel()  # (n,)
        order = np.argsort(key, kind="stable")
        key, row, step = key[order], np.arange(len(codes)), 0
        while len(row):  # rows with those that stand 1, 2, ... places behind them in their group
            step += 1
            row = row[row + step < len(codes)]
            row = row[key[row] == key[row + step]]
            one, other = order[row], order[row + step]
            close = np.bitwise_count(words[one] ^ words[other]).sum(axis=1) <= radius
            found.append(np.stack([one[close], other[close]], axis=1))
    return np.unique(np.concatenate(found), axis=0)
