"""Looks an image set over before anybody trains on it: counts, bad files, copies, leaks, names."""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
from PIL import Image

from ssah_tf.data.image_set import ImageSet
from ssah_tf.data.sources.by_name import Loaded
from ssah_tf.data.threads import decoder_pool

#: Perceptual hashes of 64 bits that differ in at most so many are near duplicates.
NEAR_BITS = 4


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
        missing_files: Paths of the label file without an image.
        exact_duplicates: Groups of ids with the same content.
        near_duplicates: Pairs of ids that look alike, exact duplicates left out; `None` if they
            were not looked for.
        leaks: Official queries that have an exact copy in the training part.
        near_leaks: Official queries that look like an image of the training part; on small or
            uniform images that need not be one.
        conflicts: Groups of exact duplicates with different labels.
        similar_names: Groups of class names that differ by case or spaces only.
    """

    name: str
    images: int
    labelled: int
    multi_label: int
    classes: dict[str, dict[str, int]]
    bad_files: dict[str, str]
    missing_files: list[str]
    exact_duplicates: list[list[str]]
    near_duplicates: list[list[str]] | None
    leaks: list[str]
    near_leaks: list[str]
    conflicts: list[list[str]]
    similar_names: list[list[str]]

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
        return [
            f"{count} {line}"
            for count, line in (
                (len(self.bad_files), "files cannot be read"),
                (len(self.missing_files), "labels have no file"),
                (len(self.exact_duplicates), "groups of exact copies"),
                (len(self.near_duplicates or ()), "pairs of near duplicates"),
                (len(self.near_leaks), "queries look like a training image"),
                (small, "classes have fewer than 3 labelled images"),
            )
            if count
        ]

    def to_dict(self) -> dict:
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
    pairs = near_duplicates(images) if near else None

    def across(groups) -> list[str]:
        """Queries that share a group with training images."""
        mixed = [group for group in groups if len({part[i] for i in group}) == 2]
        return sorted({images.ids[i] for group in mixed for i in group if part[i] == "query"})

    return DataReport(
        name=images.name,
        images=len(images),
        labelled=int(images.labels.any(axis=1).sum()),
        multi_label=int((images.labels.sum(axis=1) > 1).sum()),
        classes={
            name: dict(Counter(part[column > 0].tolist()))
            for name, column in zip(images.classes, images.labels.T, strict=True)
        },
        bad_files=loaded.bad,
        missing_files=loaded.missing,
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
    )


def groups_of(keys) -> list[list[int]]:
    """Positions of equal keys, in groups of two or more."""
    found = defaultdict(list)
    for position, key in enumerate(keys):
        found[key].append(position)
    return [group for group in found.values() if len(group) > 1]


def near_duplicates(images: ImageSet) -> list[tuple[int, int]]:
    """Pairs of positions whose perceptual hashes differ in at most `NEAR_BITS` bits.

    The hash is `imagehash.phash`. Exact copies, and images of one colour, are left out.
    """
    import imagehash

    def one(position: int) -> int:
        thumbnail = images.read_one(position, 32)
        if thumbnail.min() == thumbnail.max():
            return -1
        return int(str(imagehash.phash(Image.fromarray(thumbnail))), 16)

    found = list(decoder_pool().map(one, range(len(images))))
    chosen = np.array([i for i, value in enumerate(found) if value >= 0], dtype=np.int64)
    hashes = np.array([found[i] for i in chosen], dtype=np.uint64)
    pairs = set()
    # Two hashes that differ in at most 4 bits agree in one of 5 bands.
    edges = np.linspace(0, 64, NEAR_BITS + 2).astype(int)
    for low, high in pairwise(edges):
        band = (hashes >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order], prepend=band[order][:1] + np.uint64(1)))
        for group in np.split(order, starts[1:]):
            for place, first in enumerate(group[:-1]):
                rest = group[place + 1 :]
                close = np.bitwise_count(hashes[rest] ^ hashes[first]) <= NEAR_BITS
                pairs |= {tuple(sorted((int(first), int(other)))) for other in rest[close]}
    positions = sorted((int(chosen[a]), int(chosen[b])) for a, b in pairs)
    return [(a, b) for a, b in positions if images.digests[a] != images.digests[b]]
