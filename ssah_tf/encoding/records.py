"""The one way from an image file to its record: digest, size and time, perceptual hash, code.

`ssah encode`, `ssah index`, `ssah migrate`, the tasks of a cluster and queries all go through
`encode_records`, so that a file has one code wherever it is encoded.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from ssah_tf.data.decode import decode, regular
from ssah_tf.data.perceptual_hash import BYTES as HASH_BYTES
from ssah_tf.data.perceptual_hash import NOTHING, is_flat, perceptual_hash
from ssah_tf.data.threads import in_batches
from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.hash_layer import check_codes
from ssah_tf.metrics.hamming import full_bytes
from ssah_tf.system.errors import ImageError
from ssah_tf.system.text import printable

#: Images that are run at once.
BATCH = 64
#: Bytes of a digest, SHA-256.
DIGEST_BYTES = 32

#: A full code, or full codes, or pixels `(side, side, 3)`.
Uint8 = npt.NDArray[np.uint8]
#: Digest of a content -> its perceptual hash and its code.
Known = Mapping[bytes, tuple[bytes, Uint8]]


@dataclass(frozen=True)
class Record:
    """What is known of an image file.

    Attributes:
        path: As it was given.
        digest: SHA-256 of the content; empty if the code alone was asked for.
        size: Bytes of the file.
        mtime_ns: Time of the last change, nanoseconds.
        perceptual_hash: See `data.perceptual_hash`; empty if the code alone was asked for.
        code: Full code: packed code, and behind it the packed appearance code, if there is one.
        damaged: What is missing in a file that was read as far as it goes, a line; "" for a whole
            one, or a content whose code was known.
    """

    path: str
    digest: bytes
    size: int
    mtime_ns: int
    perceptual_hash: bytes
    code: Uint8
    damaged: str = ""


@dataclass(frozen=True)
class Unreadable:
    """An image file without a code.

    Attributes:
        path: As it was given.
        reason: Why, a line.
        not_opened: Whether the file itself could not be read, here; else it is no image.
    """

    path: str
    reason: str
    not_opened: bool = False


def encode_records(
    encoder: Encoder,
    paths: Iterable[str],
    *,
    folder: str = "",
    known: Known | None = None,
    code_only: bool = False,
    of_features: Mapping[bytes, Uint8] | None = None,
) -> Iterator[list[Record | Unreadable]]:
    """Records of image files; while the network runs on one batch the next is decoded.

    Args:
        encoder: Any encoder.
        paths: As they are to be called.
        folder: What relative ones are relative to; the current folder by default.
        known: Contents that are not encoded again.
        code_only: For queries: no digest and no perceptual hash.
        of_features: Digest of a content -> its code, from features that are there: the network does
            not run on it. In the first batch that has some it does, and has to agree.

    Yields:
        A record for each path, or why there is none, in order; `BATCH` at a time.

    Raises:
        SsahError: Codes of features are others than those of the encoder.
    """
    known, of_features, checked = known or {}, of_features or {}, False

    def read(path: str) -> tuple[Record, Uint8] | Unreadable:
        """A record without its code, and the code if it is known, else the pixels."""
        place, lines = os.path.join(folder, path), list[str]()
        try:
            found = regular(place, path)
            with open(place, "rb") as stream:
                content = stream.read()
            digest = b"" if code_only else sha256(content).digest()
            if digest in known:
                seen, value = known[digest]
            else:
                value = decode(content, encoder.image_size, name=path, damaged=lines.append)
                seen = b"" if code_only else perceptual_hash(value)
        except ImageError as error:
            return Unreadable(path, str(error))
        except OSError as error:
            return Unreadable(path, f"{printable(path)}: {error.strerror or error}", True)
        facts = digest, found.st_size, found.st_mtime_ns, seen
        return Record(path, *facts, np.zeros(0, np.uint8), "".join(lines)), value

    for batch in in_batches(read, paths, BATCH):
        good = [one for one in batch if not isinstance(one, Unreadable)]
        values = [value for _, value in good]
        new = [place for place, value in enumerate(values) if value.ndim == 3]
        given = {
            place: of_features[digest]
            for place, digest in ((place, good[place][0].digest) for place in new)
            if digest in of_features
        }
        if given and not checked:
            pixels = np.stack([values[place] for place in given])
            check_codes(encoder, pixels, np.stack(list(given.values())))
            checked = True
        left = [place for place in new if place not in given]
        if left:
            pixels = np.stack([values[place] for place in left])
            given |= dict(zip(left, encoder.full_codes(pixels), strict=True))
        records = (
            replace(record, code=given.get(place, value))
            for place, (record, value) in enumerate(good)
        )
        yield [one if isinstance(one, Unreadable) else next(records) for one in batch]


def encode_readable(encoder: Encoder, paths: list[str]) -> tuple[Uint8, list[str], list[str]]:
    """Codes of queries.

    Args:
        encoder: Any encoder.
        paths: Image files.

    Returns:
        The full codes of those that can be read, uint8 `(n, bytes)`; for each path "" or why it
        cannot be read; and a line for each that was read as far as it goes.
    """
    found = [one for batch in encode_records(encoder, paths, code_only=True) for one in batch]
    codes = [one.code for one in found if isinstance(one, Record)]
    reasons = [one.reason if isinstance(one, Unreadable) else "" for one in found]
    damaged = [one.damaged for one in found if isinstance(one, Record) and one.damaged]
    return stacked(codes, encoder.bits, encoder.appearance_bits), reasons, damaged


def flat_pictures(size: int, seen: Iterable[tuple[str, bytes]]) -> list[str]:
    """Paths of the pictures that show one level: blank ones, or of a range that is not known.

    Args:
        size: Side at which they are looked at.
        seen: Paths with their perceptual hashes; only files whose hash has no bit set are read.
    """
    found = []
    for path, value in seen:
        if value == NOTHING:
            with contextlib.suppress(ImageError):
                if is_flat(decode(path, size)):
                    found.append(path)
    return found


def unchanged(path: str, size: int, mtime_ns: int) -> bool:
    """Whether a file has the size and the time of change that it had, without reading it."""
    try:
        found = os.stat(path)
    except OSError:
        return False
    return (size, mtime_ns) == (found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class Records:
    """Records of many files as columns: what a file of them holds.

    Attributes:
        model_id: Of the encoder.
        bits: Of a code.
        appearance_bits: Of an appearance code, 0 for none.
        paths: Of the files with a code, in order.
        codes: Full codes, uint8 `(n, ceil(bits / 8) + ceil(appearance_bits / 8))`.
        digests: SHA-256 of the files' contents, uint8 `(n, DIGEST_BYTES)`.
        sizes: Of the files in bytes, int64 `(n,)`.
        mtime_ns: Times of their last changes in nanoseconds, int64 `(n,)`.
        perceptual_hash: Uint8 `(n, HASH_BYTES)`; see `data.perceptual_hash`.
        bad: Path -> the reason why the image has no code.
        not_opened: Those of the bad ones whose file could not even be read, here. It is not kept.
        damaged: Path -> what is missing in a file with a code. See `Record`.
    """

    model_id: str
    bits: int
    appearance_bits: int
    paths: list[str]
    codes: Uint8
    digests: Uint8
    sizes: npt.NDArray[np.int64]
    mtime_ns: npt.NDArray[np.int64]
    perceptual_hash: Uint8
    bad: dict[str, str]
    not_opened: tuple[str, ...] = ()
    damaged: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, encoder: Encoder, found: Sequence[Record | Unreadable]) -> "Records":
        """The columns of what an encoder has made of files."""
        good = [one for one in found if isinstance(one, Record)]
        bad = [one for one in found if isinstance(one, Unreadable)]
        return cls(
            encoder.model_id,
            encoder.bits,
            encoder.appearance_bits,
            [one.path for one in good],
            stacked([one.code for one in good], encoder.bits, encoder.appearance_bits),
            as_rows([one.digest for one in good], DIGEST_BYTES),
            np.array([one.size for one in good], np.int64),
            np.array([one.mtime_ns for one in good], np.int64),
            as_rows([one.perceptual_hash for one in good], HASH_BYTES),
            {one.path: one.reason for one in bad},
            tuple(one.path for one in bad if one.not_opened),
            {one.path: one.damaged for one in good if one.damaged},
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __iter__(self) -> Iterator[Record]:
        columns = self.digests, self.sizes.tolist(), self.mtime_ns.tolist(), self.perceptual_hash
        for path, digest, size, mtime_ns, seen, code in zip(
            self.paths, *columns, self.codes, strict=True
        ):
            facts = digest.tobytes(), size, mtime_ns, seen.tobytes()
            yield Record(path, *facts, code, self.damaged.get(path, ""))

    def whole(self) -> bool:
        """Whether the columns have the forms that they should have: a stranger's may not."""
        rows, width = len(self.paths), full_bytes(self.bits, self.appearance_bits)
        forms = (
            (self.codes, np.uint8, (rows, width)),
            (self.digests, np.uint8, (rows, DIGEST_BYTES)),
            (self.sizes, np.int64, (rows,)),
            (self.mtime_ns, np.int64, (rows,)),
            (self.perceptual_hash, np.uint8, (rows, HASH_BYTES)),
        )
        said = (*self.bad.items(), *self.damaged.items())
        texts = (self.model_id, *self.paths, *(text for pair in said for text in pair))
        return all(isinstance(text, str) for text in texts) and all(
            column.dtype == np.dtype(kind) and column.shape == shape
            for column, kind, shape in forms
        )


def as_rows(values: Sequence[bytes], width: int) -> Uint8:
    """Byte strings of one length as rows, uint8 `(n, width)`.

    Raises:
        ValueError: They are of another length.
    """
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), width)


def stacked(codes: Sequence[Uint8], bits: int, appearance_bits: int) -> Uint8:
    """Full codes as rows, uint8 `(n, bytes)`; there may be none."""
    return np.array(codes, np.uint8).reshape(len(codes), full_bytes(bits, appearance_bits))
