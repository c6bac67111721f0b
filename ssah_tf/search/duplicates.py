"""Groups of near duplicates: photos with close codes that look alike, too."""

import csv
import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ssah_tf.data.decode import decode
from ssah_tf.data.perceptual_hash import BITS, SIDE, grey, ssim
from ssah_tf.data.threads import decoder_pool
from ssah_tf.metrics.hamming import hamming_distances
from ssah_tf.search.code_index import CodeIndex
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import Photo
from ssah_tf.system.errors import ImageError
from ssah_tf.system.files import write_atomically

#: Bits of the perceptual hash up to which two photos are compared by their pixels.
CANDIDATES = 20
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
        kind: "first", "copy" (its file has the content of another photo of the group) or "near".
        distance: Bits between its code and that of the first.
        ssim: Of its pixels and those of the first, 1 for the same; see `perceptual_hash.ssim`.
    """

    photo: Photo
    kind: str
    distance: int
    ssim: float


def find_duplicates(
    index: PhotoIndex,
    radius: int,
    min_ssim: float = MIN_SSIM,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[list[Member]]:
    """Groups of near duplicates, in the order of their first photos.

    Codes alone do not do: those of a class collapse into one. So a photo joins a group if its code
    is within the radius of the first photo's, its perceptual hash is close to the first's, *and*
    its pixels are alike. Every photo is in one group at most, that of the earliest photo that it is
    like. Files with the same content are found by digest and compared once.

    Args:
        index: The index.
        radius: Largest distance of codes, included.
        min_ssim: Smallest SSIM of the pixels.
        progress: Called with how many photos are done, and how many there are.
    """
    contents = index.photos.contents()  # (n,), equal for equal files
    _, first, content = np.unique(contents, return_index=True, return_inverse=True)
    # One photo a content, the first of it, in the order of photos.
    singles = np.sort(first)
    copies: dict[int, list[int]] = {}
    for row in np.flatnonzero(first[content] != np.arange(len(content))).tolist():
        copies.setdefault(int(first[content[row]]), []).append(row)
    near = dict(near_duplicates(index, singles, radius, min_ssim, progress))
    groups = []
    inside = {row for rows in near.values() for row, _, _ in rows}
    for row in singles.tolist():
        if row in inside or (row not in near and row not in copies):
            continue
        group = []
        for other, distance, like in [(row, 0, 1.0), *near.get(row, [])]:
            kinds = ["near" if other != row else "first", *["copy"] * len(copies.get(other, []))]
            for kind, one in zip(kinds, [other, *copies.get(other, [])], strict=True):
                photo = index.photos.at(one)
                group.append(Member(photo, kind, distance, like))
        groups.append(group)
    return groups


def near_duplicates(
    index: PhotoIndex,
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
    pictures = GreyPictures(index, rows)
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
                like = pictures.ssim(one, others[some])
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


class GreyPictures:
    """Small grey pictures of photos, each decoded once, when it is needed.

    Args:
        index: The index.
        rows: Rows of its photos; the methods speak of positions in this array.
    """

    def __init__(self, index: PhotoIndex, rows: np.ndarray):
        self.index = index
        self.rows = rows
        self.seen = np.zeros(len(rows), bool)
        self.there = np.zeros(len(rows), bool)
        # Pages of memory that nobody writes to are not taken.
        self.pixels = np.zeros((len(rows), SIDE, SIDE), np.uint8)

    def ssim(self, one: int, others: np.ndarray) -> np.ndarray:
        """How alike a photo is to others, float32 `(n,)`; -1 where a file cannot be read now."""
        like = np.full(len(others), -1, np.float32)
        self.read(np.array([one]))
        if self.there[one]:
            self.read(others)
            known = self.there[others]
            like[known] = ssim(self.pixels[one], self.pixels[others[known]])
        return like

    def read(self, positions: np.ndarray) -> None:
        """Read the pictures that are still unknown."""
        new = positions[~self.seen[positions]]
        self.seen[new] = True
        for position, picture in zip(new, decoder_pool().map(self.picture, new), strict=True):
            if picture is not None:
                self.pixels[position], self.there[position] = picture, True

    def picture(self, position: int) -> np.ndarray | None:
        """The picture of a photo, `None` if it cannot be read."""
        try:
            return grey(decode(self.index.photos.at(int(self.rows[position])).path, 2 * SIDE))
        except ImageError:
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
    """What was found, in a sentence."""
    rest = [member for group in groups for member in group if member.kind != "first"]
    copies = sum(member.kind == "copy" for member in rest)
    size = sum(member.photo.size for member in rest) / 1e6
    return (
        f"{len(groups):,} groups, {len(groups) + len(rest):,} photos: beside the first of each "
        f"{copies:,} exact copies and {len(rest) - copies:,} near duplicates, {size:,.1f} MB."
    )
