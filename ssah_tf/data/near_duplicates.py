"""Pairs of images that look alike: anywhere by perceptual hashes, across a split more widely.

A copy of a query among the training images makes numbers wrong, so there the search is wider: by
the slow frequencies themselves, mirrored, too. What is found is confirmed by pixels either way.
Copies that are turned, or cropped by more than a little, are not looked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssah_tf.data.image_set import ImageSet
from ssah_tf.data.perceptual_hash import (
    BITS,
    CONTRAST,
    LOWEST,
    SIDE,
    bits_of,
    slow_frequencies,
)
from ssah_tf.data.threads import decoder_pool

Uint8 = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
#: int64 `(m, 2)`: positions.
Pairs = npt.NDArray[np.int64]

#: Perceptual hashes of 128 bits that differ in at most so many are compared by their pixels.
NEAR_BITS = 16
#: Correlation of slow frequencies from which a query and a training image are; at most so many
#: training images, the most alike, for each query.
NEAR_FREQUENCIES, NEAREST = 0.85, 8
#: Training images that correlate as near duplicates do, from which on a query is one of a crowd;
#: and how much of what is between it and the last of the most alike may be left for the others.
CROWD, CLEARER = 20, 0.4
#: Correlation of the pixels of near duplicates, and of what their channels have beside the grey.
ALIKE, ALIKE_COLOURS = 0.9, 0.5
#: Levels by which the plain ground of a picture may differ; share of its border that is ground.
GROUND, PLAIN = 4, 0.7
#: Pixels of what stands on the ground, without its outline, from which on they must be alike.
INSIDE = 128
#: What a channel has in grey, as Pillow has it.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
#: Root mean square of the colours, in levels, below which a picture is nearly grey.
NEARLY_GREY = 4
#: Numbers that are held at once: of correlations, and of pairs whose pixels are compared.
BLOCK, COMPARED = 1 << 22, 2048
#: What mirrors a picture does to the signs of its slow frequencies.
MIRRORED = np.where(LOWEST % SIDE % 2, -1, 1).astype(np.float32)


@dataclass(frozen=True)
class Looks:
    """What all images of a set look like.

    Attributes:
        hashes: Perceptual hashes, uint8 `(n, BYTES)`.
        frequencies: Slow frequencies, of length 1, float16 `(n, BITS)`; 0 of flat images.
    """

    hashes: Uint8
    frequencies: npt.NDArray[np.float16]

    @classmethod
    def of(cls, images: ImageSet) -> "Looks":
        """Of all images, each of which is read."""

        def one(position: int) -> Floats:
            return slow_frequencies(images.read_one(position, SIDE))

        found = np.empty((len(images), BITS), np.float16)
        hashes = []
        for position, values in enumerate(decoder_pool().map(one, range(len(images)))):
            hashes.append(bits_of(values))
            length = float(np.linalg.norm(values))
            found[position] = values / length if any(hashes[-1]) else 0
        return cls(np.frombuffer(b"".join(hashes), np.uint8).reshape(len(images), -1), found)


def near_duplicates(
    images: ImageSet, looks: Looks, query: npt.NDArray[np.bool_]
) -> tuple[Pairs, Pairs]:
    """Pairs of images that look alike as they are, and pairs that do if one is mirrored.

    Exact copies are left out, and images of nearly one colour: their hashes have no bit set.

    Args:
        images: The images.
        looks: See `Looks.of`.
        query: Whether each image is an official query, `(n,)`.

    Returns:
        Positions, the smaller first, in order; mirrored pairs are of a query and a training image.
    """
    chosen = np.flatnonzero(looks.hashes.any(axis=1))
    queries, others = chosen[query[chosen]], chosen[~query[chosen]]
    plain = [chosen[close_pairs(looks.hashes[chosen], NEAR_BITS)], *across(looks, queries, others)]
    mirrored = [np.zeros((0, 2), np.int64), *across(looks, queries, others, MIRRORED)]
    digests = np.array(images.digests)
    found = []
    for pairs, turn in ((plain, False), (mirrored, True)):
        unique = np.unique(np.sort(np.concatenate(pairs), axis=1), axis=0)
        unique = unique[digests[unique[:, 0]] != digests[unique[:, 1]]]
        found.append(unique[confirmed(images, unique, turn)])
    return found[0], found[1]


def close_pairs(codes: Uint8, radius: int) -> Pairs:
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


def across(
    looks: Looks, queries: npt.NDArray[np.int64], others: npt.NDArray[np.int64],
    signs: Floats | float = 1.0,
) -> Iterator[Pairs]:  # fmt: skip
    """Queries with the images of the training part whose slow frequencies are most alike.

    Args:
        looks: Of all images.
        queries: Positions.
        others: Positions.
        signs: What the frequencies of the queries are multiplied by.
    """
    if not len(queries) or not len(others):
        return
    there = looks.frequencies[others].astype(np.float32)
    step = max(1, BLOCK // len(others))
    for start in range(0, len(queries), step):
        some = queries[start : start + step]
        alike = (looks.frequencies[some] * signs).astype(np.float32) @ there.T  # (step, others)
        for row in np.flatnonzero((alike >= NEAR_FREQUENCIES).any(axis=1)).tolist():
            found = others[stand_out(alike[row])]
            yield np.stack([np.full(len(found), some[row]), found], axis=1)


def stand_out(alike: Floats) -> npt.NDArray[np.int64]:
    """Places of the few images that a query is most alike, `(n,)` correlations.

    Where it is one of a crowd (shirts on a plain ground), those that it is much more alike.
    """
    near = np.flatnonzero(alike >= NEAR_FREQUENCIES)
    near = near[np.argsort(-alike[near], kind="stable")]
    best = near[:NEAREST]
    if np.count_nonzero(alike[near] >= ALIKE) < CROWD:
        return best
    apart = 1 - alike[best]
    found: npt.NDArray[np.int64] = best[apart <= CLEARER * apart[-1]]
    return found


def confirmed(images: ImageSet, pairs: Pairs, mirrored: bool) -> npt.NDArray[np.bool_]:
    """Whether the pixels of each pair are alike, `(m,)`; the first may be mirrored before."""
    found = np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), COMPARED):
        some = pairs[start : start + COMPARED]
        positions, places = np.unique(some, return_inverse=True)
        pixels = images.read(positions, SIDE)
        one, other = pixels[places.reshape(-1, 2).T]
        found[start : start + COMPARED] = alike(one[:, :, ::-1] if mirrored else one, other)
    return found


def alike(one: Uint8, other: Uint8) -> npt.NDArray[np.bool_]:
    """Whether the pixels of pictures correlate, and their colours, too.

    If a picture is nearly grey, the two are compared in grey. What stands on a plain ground must be
    alike by itself: two shirts on white are alike by their outlines.

    Args:
        one: `(m, side, side, 3)`.
        other: As `one`.
    """
    pixels = [values.reshape(len(values), -1, 3).astype(np.float32) for values in (one, other)]
    grey = [values @ LUMA for values in pixels]
    colours = [values - mean[..., None] for values, mean in zip(pixels, grey, strict=True)]
    grey_alike = correlation(*(values - values.mean(axis=1, keepdims=True) for values in grey))
    alike = correlation(*(values - values.mean(axis=(1, 2), keepdims=True) for values in pixels))
    same_colours = correlation(*colours) >= ALIKE_COLOURS
    spread = np.minimum(*((values**2).mean(axis=(1, 2)) for values in colours))
    found: npt.NDArray[np.bool_] = np.where(
        spread < NEARLY_GREY**2, grey_alike >= ALIKE, (alike >= ALIKE) & same_colours
    )
    sides = [values.reshape(one.shape[:3]) for values in grey]
    return found & inside_alike(*sides)


def inside_alike(one: Floats, other: Floats) -> npt.NDArray[np.bool_]:
    """Whether what stands on the ground of both grey pictures `(m, side, side)` is alike.

    Outlines are left out, and little things: of them it is true, as it is where one has no plain
    ground. They correlate as if both had a weak pattern beside their own, with the variance by
    which SSIM is steadied: so two surfaces of one level, with a little noise, are alike.

    Args:
        one: Levels, 0 to 255.
        other: As `one`.
    """
    (ground, plain), (other_ground, other_plain) = map(ground_of, (one, other))
    shown = np.pad(~(ground | other_ground), ((0, 0), (1, 1), (1, 1)), constant_values=True)
    windows = np.lib.stride_tricks.sliding_window_view(shown, (3, 3), axis=(1, 2))
    inside = windows.all(axis=(3, 4)).reshape(len(one), -1)  # (m, side * side)
    count = inside.sum(axis=1)

    def centred(picture: Floats) -> Floats:
        values = picture.reshape(inside.shape) * inside
        mean = values.sum(axis=1, keepdims=True) / np.maximum(count, 1)[:, None]
        found: Floats = (values - mean) * inside
        return found

    one, other = centred(one), centred(other)
    steady = count * CONTRAST
    lengths = [np.sqrt((values**2).sum(axis=1) + steady) for values in (one, other)]
    alike = (one * other).sum(axis=1) + steady >= ALIKE * lengths[0] * lengths[1]
    found: npt.NDArray[np.bool_] = alike | ~(plain & other_plain) | (count < INSIDE)
    return found


def ground_of(picture: Floats) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Where grey pictures `(m, side, side)` show the level of their borders; whether that is plain.

    Returns:
        `(m, side, side)` and `(m,)`.
    """
    border = np.concatenate([picture[:, [0, -1]], picture[:, :, [0, -1]].swapaxes(1, 2)], axis=1)
    border = border.reshape(len(picture), -1)
    level = np.median(border, axis=1)
    plain = (np.abs(border - level[:, None]) <= GROUND).mean(axis=1) >= PLAIN
    return np.abs(picture - level[:, None, None]) <= GROUND, plain


def correlation(one: Floats, other: Floats) -> Floats:
    """Cosine of each pair of pictures, 0 of empty ones."""
    one, other = (values.reshape(len(values), -1) for values in (one, other))
    length = np.sqrt((one**2).sum(axis=1) * (other**2).sum(axis=1))
    found: Floats = (one * other).sum(axis=1) / np.maximum(length, 1e-3)
    return found
