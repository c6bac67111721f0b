"""Groups of near duplicates: photos with close codes that look alike, too."""

import csv
import io
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ssah_tf.data.orientation import UPRIGHT, Orientation
from ssah_tf.metrics.hamming import hamming_distances
from ssah_tf.search.bursts import burst_pairs
from ssah_tf.search.close_pairs import close_pairs
from ssah_tf.search.on_disk import Differences, Disk
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import Photo
from ssah_tf.search.small_pictures import SmallPictures
from ssah_tf.search.turned import turned_pairs
from ssah_tf.system.files import write_atomically

#: Bits of the perceptual hash up to which two photos are compared by their pixels. A crop to nine
#: tenths moves up to 48 of them; different photos differ in 64.
CANDIDATES = 48
#: SSIM from which photos are near duplicates.
MIN_SSIM = 0.9
#: Photos that are compared with one at a time, those with the closest hashes first. If none of
#: them is like it, the rest is not looked at: what bounds the work where hashes collapse, too.
COMPARED = 1000


@dataclass(frozen=True)
class Member:
    """A photo of a group.

    Attributes:
        photo: The photo.
        kind: "first", "copy" (another file of the group has its content), "link" (a symbolic link
            to a copy, which is no file of its own), or what the photo is beside the first: "near",
            "mirrored", "turned" or "burst".
        distance: Bits between its code and that of the first.
        ssim: Of its pixels and those of the first, mirrored or turned if that is its kind: 1 for
            the same, 0 where they are too far apart to be laid over; see `likeness.likeness`.
    """

    photo: Photo
    kind: str
    distance: int
    ssim: float


@dataclass(frozen=True)
class Duplicates:
    """Near duplicates as the disk holds them now.

    Attributes:
        groups: In the order of their first photos.
        lost: What is not as it was indexed, and in no group.
    """

    groups: list[list[Member]]
    lost: Differences


@dataclass(frozen=True)
class Content:
    """Files of a group that have one content.

    Attributes:
        rows: Of the index, one for each file; real files before those that are known by a link.
        kind: Of the first row; see `Member`.
        distance: Bits between their code and that of the first.
        ssim: Of their pixels and those of the first.
    """

    rows: list[int]
    kind: str = "first"
    distance: int = 0
    ssim: float = 1.0


@dataclass(frozen=True)
class Joined:
    """A photo beside the first of its group; see `Member`."""

    position: int
    kind: str
    distance: int
    ssim: float


def find_duplicates(
    index: PhotoIndex,
    radius: int,
    min_ssim: float = MIN_SSIM,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Duplicates:
    """Groups of near duplicates, in the order of their first photos.

    Codes alone do not do: those of a class collapse into one. So a photo joins a group if its code
    is within the radius of the first photo's, its perceptual hash is close to the first's, *and*
    its pixels are alike. Every photo is in one group at most, that of the earliest photo that it is
    like. Files with the same content are found by digest and compared once.

    Then whole groups join the earliest photo that their first one is a mirrored or turned copy of,
    whatever its code; and then that with which it is of one burst.

    What is found is advice to delete, so it holds for the disk as it is now: a real file is one
    member, however many names it has; copies are read and compared; what is missing or another
    picture now is in no group.

    Args:
        index: The index.
        radius: Largest distance of codes, included.
        min_ssim: Smallest SSIM of the pixels.
        progress: Called with how many photos are done, and how many there are.
    """
    disk = Disk(index.photos)
    rows = disk.real_files(disk.look(progress))
    shared = [row for group in by_content(disk, rows) if len(group) > 1 for row in group]
    lost = set(shared) - set(disk.confirm(shared, progress))
    contents = {group[0]: group for group in by_content(disk, [r for r in rows if r not in lost])}
    singles = np.array(sorted(contents), np.int64)  # one photo a content
    joined = all_joined(index, disk, singles, radius, min_ssim, progress)
    inside = {one.position for some in joined.values() for one in some}
    found = []
    for position, row in enumerate(singles.tolist()):
        if position not in inside:
            others = [
                Content(contents[int(singles[one.position])], one.kind, one.distance, one.ssim)
                for one in joined.get(position, [])
            ]
            found.append([Content(contents[row]), *others])
    found = [group for group in found if sum(len(content.rows) for content in group) > 1]
    named = [row for group in found for content in group for row in content.rows]
    there = set(disk.still(named))  # to compare pixels may have taken long
    groups = [part for group in found for part in left_of(group, there)]
    return Duplicates([members(index, disk, group) for group in groups], disk.lost())


def all_joined(
    index: PhotoIndex,
    disk: Disk,
    rows: np.ndarray,
    radius: int,
    min_ssim: float,
    progress: Callable[[int, int], None],
) -> dict[int, list[Joined]]:
    """What joins the photo at each position of some rows, but for what has joined another one."""
    hashes = index.photos.perceptual_hashes()[rows]
    codes = np.asarray(index.codes.codes)[rows]
    engine, pictures = index.codes.engine_name, SmallPictures(disk, rows)
    near = near_duplicates(hashes, codes, engine, pictures, radius, min_ssim, progress)
    joined = {one: [Joined(p, "near", far, like) for p, far, like in some] for one, some in near}
    free = np.ones(len(rows), bool)
    free[[one.position for some in joined.values() for one in some]] = False

    def join(one: int, others: np.ndarray, kind: str, orientation: Orientation) -> None:
        """Let photos join one, together with what has joined them."""
        free[others] = False
        along = [other.position for p in others.tolist() for other in joined.pop(p, [])]
        whole = np.concatenate([others, np.array(along, np.int64)])
        like = np.maximum(pictures.alike(one, whole, orientation), 0)
        far = hamming_distances(codes[one][None], codes[whole])[0]
        joined.setdefault(one, []).extend(
            Joined(p, kind, distance, ssim)
            for p, distance, ssim in zip(whole.tolist(), far.tolist(), like.tolist(), strict=True)
        )

    heads = np.flatnonzero(free & hashes.any(axis=1))  # what is of one colour lies in no way
    for one, others, orientation in turned_pairs(
        hashes[heads], pictures, heads, engine, min_ssim, progress
    ):
        join(one, others, orientation.kind, orientation)
    heads = np.flatnonzero(free)
    paths = [disk.paths[row] for row in rows[heads].tolist()]
    for place, places in burst_pairs(paths, codes[heads], radius, progress):
        join(int(heads[place]), heads[places], "burst", UPRIGHT)
    return joined


def by_content(disk: Disk, rows: list[int]) -> list[list[int]]:
    """Rows in groups of one content; real files before those that are known by a link."""
    found: dict[bytes, list[int]] = {}
    for row in rows:
        found.setdefault(disk.digests[row].tobytes(), []).append(row)
    return [
        group if len(group) == 1 else sorted(group, key=lambda row: (disk.is_link(row), row))
        for group in found.values()
    ]


def left_of(group: list[Content], there: set[int]) -> list[list[Content]]:
    """What is left of a group: without its first content, copies of the others alone."""
    left = [replace(c, rows=[row for row in c.rows if row in there]) for c in group]
    groups = [left] if left[0].rows else [[Content(content.rows)] for content in left]
    groups = [[content for content in some if content.rows] for some in groups]
    return [some for some in groups if sum(len(content.rows) for content in some) > 1]


def members(index: PhotoIndex, disk: Disk, group: list[Content]) -> list[Member]:
    """The members of a group, by content."""
    found = []
    for content in group:
        for row in content.rows:
            if row == content.rows[0]:
                kind = content.kind
            else:
                kind = "link" if disk.is_link(row) else "copy"
            found.append(Member(index.photos.at(row), kind, content.distance, content.ssim))
    return found


def near_duplicates(
    hashes: np.ndarray,
    codes: np.ndarray,
    engine: str,
    pictures: SmallPictures,
    radius: int,
    min_ssim: float,
    progress: Callable[[int, int], None],
) -> Iterator[tuple[int, list[tuple[int, int, float]]]]:
    """Positions with later ones that join them: (position, distance of codes, SSIM), nearest first.

    A photo that has joined a group is no query any more, so a thousand likes of one photo are a
    thousand pairs.

    Args:
        hashes: Perceptual hashes, uint8 `(n, bytes)`.
        codes: Packed codes, uint8 `(n, bytes)`.
        engine: See `make_engine`.
        pictures: Those of the photos, by position.
        radius: See `find_duplicates`.
        min_ssim: See `find_duplicates`.
        progress: See `find_duplicates`.
    """
    free = np.ones(len(hashes), bool)
    for one, others, far in close_pairs(hashes, codes, radius, CANDIDATES, engine, free, progress):
        members: list[tuple[int, int, float]] = []
        for begin in range(0, len(others), COMPARED):
            some = slice(begin, begin + COMPARED)
            like = pictures.alike(one, others[some])
            joins = np.flatnonzero(like >= min_ssim)
            if not len(joins):
                break  # nor will those whose hashes are farther still
            joined = others[some][joins]
            free[joined] = False
            members += zip(
                joined.tolist(), far[some][joins].tolist(), like[joins].tolist(), strict=True
            )
        if members:
            yield one, sorted(members, key=lambda member: (-member[2], member[0]))


def as_rows(groups: list[list[Member]]) -> Iterator[dict[str, Any]]:
    """A row a photo, for CSV and JSON; groups are counted from 1."""
    for number, group in zip(itertools.count(1), groups):
        for member in group:
            yield {
                "group": number,
                "path": member.photo.path,
                "kind": member.kind,
                "distance": member.distance,
                "ssim": round(member.ssim, 3),
                "bytes": member.photo.size,
            }


def write_table(path: Path, groups: list[list[Member]]) -> None:
    """Write the rows as CSV.

    Raises:
        RunError: The file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, ["group", "path", "kind", "distance", "ssim", "bytes"])
    writer.writeheader()
    writer.writerows(as_rows(groups))
    write_atomically(path, text.getvalue().encode("utf-8", "surrogateescape"))


def summary(groups: list[list[Member]]) -> str:
    """What was found, in a sentence; the size is what real files take beside the first of each.

    Photos of a burst are pictures of their own, and are not in that size.
    """
    rest = [member for group in groups for member in group if member.kind != "first"]
    count = Counter(member.kind for member in rest)
    size = sum(m.photo.size for m in rest if m.kind not in ("link", "burst")) / 1e6
    links = f", {count['link']:,} links to copies" if count["link"] else ""
    others = (("mirrored", "mirrored"), ("turned", "turned"), ("burst", "of a burst"))
    more = "".join(f", {count[kind]:,} {words}" for kind, words in others if count[kind])
    return (
        f"{len(groups):,} groups, {len(groups) + len(rest):,} photos: beside the first of each "
        f"{count['copy']:,} exact copies and {count['near']:,} near duplicates{more}{links}, "
        f"{size:,.1f} MB."
    )
