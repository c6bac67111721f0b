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

from ssah_tf.data.perceptual_hash import BITS
from ssah_tf.data.threads import decoder_pool
from ssah_tf.metrics.hamming import hamming_distances
from ssah_tf.search.code_index import CodeIndex
from ssah_tf.search.likeness import FINE, SMALL, WORTH, likeness, same_shape, ssim, whole_frame
from ssah_tf.search.on_disk import Differences, Disk
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import Photo
from ssah_tf.system.errors import ImageError
from ssah_tf.system.files import write_atomically

#: Bits of the perceptual hash up to which two photos are compared by their pixels. A crop to nine
#: tenths moves up to 48 of them; different photos differ in 64.
CANDIDATES = 48
#: SSIM from which photos are near duplicates.
MIN_SSIM = 0.9
#: Photos that are compared with one at a time, those with the closest hashes first. If none of
#: them is like it, the rest is not looked at: what bounds the work where hashes collapse, too.
COMPARED = 1000
#: Answers of a search for candidates that are held at once, at most.
BLOCK = 1 << 22


@dataclass(frozen=True)
class Member:
    """A photo of a group.

    Attributes:
        photo: The photo.
        kind: "first", "copy" (another file of the group has its content), "near", or "link": a
            symbolic link to a copy, which is no file of its own.
        distance: Bits between its code and that of the first.
        ssim: Of its pixels and those of the first, 1 for the same; see `likeness.likeness`.
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
        distance: Bits between their code and that of the first.
        ssim: Of their pixels and those of the first.
    """

    rows: list[int]
    distance: int = 0
    ssim: float = 1.0


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
    near = dict(near_duplicates(index, disk, singles, radius, min_ssim, progress))
    inside = {row for rows in near.values() for row, _, _ in rows}
    found = []
    for row in singles.tolist():
        if row not in inside:
            others = [Content(contents[r], far, like) for r, far, like in near.get(row, [])]
            found.append([Content(contents[row]), *others])
    found = [group for group in found if sum(len(content.rows) for content in group) > 1]
    named = [row for group in found for content in group for row in content.rows]
    there = set(disk.still(named))  # to compare pixels may have taken long
    groups = [part for group in found for part in left_of(group, there)]
    return Duplicates([members(index, disk, group) for group in groups], disk.lost())


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
    for number, content in enumerate(group):
        for row in content.rows:
            if row == content.rows[0]:
                kind = "near" if number else "first"
            else:
                kind = "link" if disk.is_link(row) else "copy"
            found.append(Member(index.photos.at(row), kind, content.distance, content.ssim))
    return found


def near_duplicates(
    index: PhotoIndex,
    disk: Disk,
    rows: np.ndarray,
    radius: int,
    min_ssim: float,
    progress: Callable[[int, int], None],
) -> Iterator[tuple[int, list[tuple[int, int, float]]]]:
    """Rows with those later rows that join them: (row, distance of codes, SSIM), nearest first.

    The hashes are searched, not the codes: of 50,000 photos with one code, few look alike. A photo
    that has joined a group is no query any more, so a thousand likes of one photo are a thousand
    pairs.
    """
    hashes = index.photos.perceptual_hashes()[rows]
    codes = np.asarray(index.codes.codes)[rows]
    candidates = CodeIndex(BITS, "perceptual_hash", index.codes.engine_name)
    candidates.add(np.arange(len(rows)), hashes)
    pictures = Pictures(disk, rows)
    free = np.ones(len(rows), bool)
    step = int(np.clip(BLOCK // max(1, len(rows)), 1, 256))
    for start in range(0, len(rows), step):
        progress(start, len(rows))
        queries = start + np.flatnonzero(free[start : start + step])
        found = candidates.range_search(hashes[queries], CANDIDATES)
        for one, (others, _) in zip(queries.tolist(), found, strict=True):
            if not free[one]:
                continue
            others = others[(others > one) & free[others]]
            far = hamming_distances(codes[one : one + 1], codes[others])[0]
            others, far = others[far <= radius], far[far <= radius]
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
                    rows[joined].tolist(), far[some][joins].tolist(), like[joins].tolist(),
                    strict=True,
                )  # fmt: skip
            if members:
                yield int(rows[one]), sorted(members, key=lambda member: (-member[2], member[0]))
    progress(len(rows), len(rows))


class Pictures:
    """Small pictures of photos, each decoded once, when it is needed.

    Args:
        disk: What there is of the photos; it takes note of those that cannot be read.
        rows: Rows of them; the methods speak of positions in this array.
    """

    def __init__(self, disk: Disk, rows: np.ndarray):
        self.disk = disk
        self.rows = rows
        self.seen = np.zeros(len(rows), bool)
        self.there = np.zeros(len(rows), bool)
        self.wide = np.ones(len(rows))
        # Pages of memory that nobody writes to are not taken.
        self.pixels = np.zeros((len(rows), SMALL, SMALL, 3), np.uint8)

    def alike(self, one: int, others: np.ndarray) -> np.ndarray:
        """How alike a photo is to others, float32 `(n,)`; -1 where a file cannot be read now.

        Those that are somewhat alike when they are small are looked at again, finely.
        """
        like = np.full(len(others), -1, np.float32)
        self.read(np.array([one]))
        if not self.there[one]:
            return like
        self.read(others)
        known = np.flatnonzero(self.there[others])
        like[known] = ssim(self.pixels[one], self.pixels[others[known]])
        like[known[~same_shape(self.wide[one], self.wide[others[known]])]] = 0
        again = np.flatnonzero(like >= WORTH)
        like[known] = np.minimum(like[known], 0)
        mine = self.picture(one, FINE) if len(again) else None
        if mine is None:
            return like

        def compared(place: int) -> float:
            other = self.picture(others[place], FINE)
            return -1 if other is None else likeness(mine[0], other[0], mine[1], other[1])

        like[again] = list(decoder_pool().map(compared, again.tolist()))
        return like

    def read(self, positions: np.ndarray) -> None:
        """Read the small pictures that are still unknown."""
        new = positions[~self.seen[positions]]
        self.seen[new] = True
        found = decoder_pool().map(lambda position: self.picture(position, SMALL), new)
        for position, picture in zip(new, found, strict=True):
            if picture is not None:
                self.pixels[position], self.wide[position] = picture
                self.there[position] = True

    def picture(self, position: int, side: int) -> tuple[np.ndarray, float] | None:
        """A picture and its width for its height, `None` if it cannot be read."""
        row = int(self.rows[position])
        try:
            return whole_frame(self.disk.paths[row], side)
        except ImageError:
            self.disk.lose(row, "unreadable")
            return None


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
    """What was found, in a sentence; the size is what real files take beside the first of each."""
    rest = [member for group in groups for member in group if member.kind != "first"]
    count = Counter(member.kind for member in rest)
    size = sum(member.photo.size for member in rest if member.kind != "link") / 1e6
    links = f", {count['link']:,} links to copies" if count["link"] else ""
    return (
        f"{len(groups):,} groups, {len(groups) + len(rest):,} photos: beside the first of each "
        f"{count['copy']:,} exact copies and {count['near']:,} near duplicates{links}, "
        f"{size:,.1f} MB."
    )
