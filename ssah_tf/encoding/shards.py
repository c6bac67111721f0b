"""Shards: a fixed list of images in equal parts, one file a part, whole or not there.

Whatever encodes them, a shard is made by `encode_shard` and written by `Shards.write`, so that all
engines give the same rows, and work that was killed anywhere goes on at the missing ones.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ssah_tf.data.decode import decode, regular
from ssah_tf.data.perceptual_hash import BYTES as HASH_BYTES
from ssah_tf.data.perceptual_hash import perceptual_hash
from ssah_tf.data.threads import in_batches
from ssah_tf.encoding.encoder import Encoder
from ssah_tf.metrics.hamming import code_bytes
from ssah_tf.system.errors import ImageError, RunError, SsahError
from ssah_tf.system.files import atomic_path, write_atomically
from ssah_tf.system.reading import parse_json, read_arrays
from ssah_tf.system.text import as_unicode, printable

#: Images a shard: what a kill costs at most.
SHARD = 1024
#: Images that are run at once.
BATCH = 64
#: File that says of which images and by which encoder the shards are. Readers of folders of Parquet
#: files pass over names that begin with _.
PLAN = "_plan.json"
#: File that says that all shards are there; it is written last.
SUMMARY = "_encoded.json"


@dataclass(frozen=True)
class Shard:
    """What became of some images.

    Attributes:
        paths: Of those with a code, in order.
        codes: Packed codes, uint8 `(n, ceil(bits / 8))`.
        digests: SHA-256 of the files' contents, uint8 `(n, 32)`.
        sizes: Of the files in bytes, int64 `(n,)`.
        mtime_ns: Times of their last changes in nanoseconds, int64 `(n,)`.
        perceptual_hash: Uint8 `(n, BYTES)`; see `data.perceptual_hash`.
        bad: Path -> the reason why the image has no code.
        unread: Those of the bad ones whose file could not even be read, here.
    """

    paths: list[str]
    codes: np.ndarray
    digests: np.ndarray
    sizes: np.ndarray
    mtime_ns: np.ndarray
    perceptual_hash: np.ndarray
    bad: dict[str, str]
    unread: tuple[str, ...] = ()


def encode_shard(encoder: Encoder, paths: list[str], folder: str = "") -> Shard:
    """Encode image files; while the network runs on one batch the next is decoded.

    Args:
        encoder: Any encoder.
        paths: As they are to be called.
        folder: What relative ones are relative to; the current folder by default.
    """

    def one(path: str):
        place = os.path.join(folder, path)
        try:
            about = regular(place, path)
            with open(place, "rb") as stream:
                content = stream.read()
            pixels = decode(content, encoder.image_size, name=path)
        except ImageError as error:
            return path, str(error), False
        except OSError as error:
            return path, f"{printable(path)}: {error.strerror or error}", True
        digest = hashlib.sha256(content).digest()
        return path, pixels, (digest, about.st_size, about.st_mtime_ns, perceptual_hash(pixels))

    codes, kept, facts, bad, unread = [], [], [], {}, []
    for found in in_batches(one, paths, BATCH):
        good = [result for result in found if isinstance(result[1], np.ndarray)]
        kept += [path for path, _, _ in good]
        facts += [about for _, _, about in good]
        bad |= {path: reason for path, reason, _ in found if isinstance(reason, str)}
        unread += [path for path, _, failed in found if failed is True]
        if good:
            codes.append(encoder.encode(np.stack([pixels for _, pixels, _ in good])))
    empty = np.zeros((0, code_bytes(encoder.bits)), np.uint8)
    return Shard(
        kept,
        np.concatenate([empty, *codes]),
        bytes_of([digest for digest, _, _, _ in facts], 32),
        np.array([size for _, size, _, _ in facts], np.int64),
        np.array([mtime_ns for _, _, mtime_ns, _ in facts], np.int64),
        bytes_of([seen for _, _, _, seen in facts], HASH_BYTES),
        bad,
        tuple(unread),
    )


def bytes_of(values: list[bytes], width: int) -> np.ndarray:
    """Byte strings of one length as rows, uint8 `(n, width)`.

    Raises:
        ValueError: They are of another length.
    """
    return np.frombuffer(b"".join(values), np.uint8).reshape(len(values), width)


class Shards:
    """A folder of shards, some of which may still be missing.

    Args:
        folder: Where they lie.
        paths: All images, in order.
        encoder: Gives `model_id` and `bits`.
        size: Images a shard.
        suffix: ".parquet" or ".npz", the form of the files.

    Raises:
        SsahError: The folder holds something else, or shards of other images, another encoder,
            another size or form.
    """

    def __init__(self, folder: Path, paths: list[str], encoder: Encoder, size: int, suffix: str):
        self.folder, self.paths, self.size, self.suffix = folder, paths, size, suffix
        self.model_id, self.bits = encoder.model_id, encoder.bits
        listing = hashlib.sha256()
        for path in paths:
            listing.update(path.encode("utf-8", "surrogateescape") + b"\0")
        plan = {
            "model_id": self.model_id,
            "bits": self.bits,
            "images": len(paths),
            "paths": listing.hexdigest(),
            "shard": size,
            "form": suffix,
        }
        text = json.dumps(plan).encode()
        file = folder / PLAN
        if not file.is_file():
            if folder.is_dir() and any(name[0] != "." for name in os.listdir(folder)):
                raise SsahError(f"{folder} holds something else: name another --output")
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SsahError(f"{folder}: cannot be made ({error.strerror})") from None
            write_atomically(file, text)
        elif file.read_bytes() != text:
            raise SsahError(
                f"{folder} holds codes of other images, by another encoder or in shards of another "
                "kind: finish that work, remove the folder, or name another --output"
            )

    def __len__(self) -> int:
        return -(-len(self.paths) // self.size)

    def names(self, number: int) -> list[str]:
        """Paths of the images of a shard."""
        return self.paths[number * self.size : (number + 1) * self.size]

    def file(self, number: int) -> Path:
        """Where a shard lies."""
        return self.folder / f"{number:06d}{self.suffix}"

    def write(self, number: int, shard: Shard) -> None:
        """Keep a shard, whole or not at all.

        Raises:
            RunError: The disk is full, or the folder cannot be written.
        """
        write = write_parquet if self.suffix == ".parquet" else write_npz
        with atomic_path(self.file(number)) as path:
            write(path, shard, {"model_id": self.model_id, "bits": self.bits})

    def read(self, number: int) -> Shard | None:
        """A shard, or `None`: not there, or damaged and to be encoded again."""
        found = read_shard(self.file(number))
        if found is None:
            return None
        about, shard = found
        names = self.names(number)
        if self.suffix == ".parquet":
            names = [as_unicode(name) for name in names]
        fits = (
            (about["model_id"], about["bits"]) == (self.model_id, self.bits)
            and shard.codes.shape == (len(shard.paths), code_bytes(self.bits))
            and [name for name in names if name not in shard.bad] == shard.paths
            and len(shard.paths) + len(shard.bad) == len(names)
        )
        return shard if fits else None

    def __iter__(self) -> Iterator[Shard]:
        """All shards, in order.

        Raises:
            RunError: One is missing or damaged.
        """
        for number in range(len(self)):
            shard = self.read(number)
            if shard is None:
                raise RunError(f"{self.file(number)}: missing or damaged; encode once more")
            yield shard

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.folder)


def read_shards(folder: Path, model_id: str) -> Iterator[Shard]:
    """All shards of a folder that `ssah encode` has finished.

    Raises:
        SsahError: It is not finished or not such a folder, of another encoder, or damaged.
    """
    try:
        about = parse_json((folder / SUMMARY).read_bytes())
        made_by, count = str(about["model_id"]), int(about["shards"])
    except (OSError, ValueError, KeyError, TypeError):
        raise SsahError(
            f"{folder}: not a folder of codes that `ssah encode` has finished"
        ) from None
    if made_by != model_id:
        raise SsahError(
            f"{folder} holds codes of model {made_by}, the encoder is {model_id}: "
            "they cannot be compared"
        )
    files = sorted(path for path in folder.glob("[0-9]*") if path.suffix in (".parquet", ".npz"))
    if len(files) != count:
        raise SsahError(f"{folder}: {len(files):,} of {count:,} shards are there")
    for file in files:
        found = read_shard(file)
        if found is None or found[0]["model_id"] != model_id:
            raise SsahError(f"{file}: damaged; run `ssah encode` once more")
        yield found[1]


def write_npz(path: Path, shard: Shard, about: dict) -> None:
    """Write a shard as arrays; names and reasons as JSON, in bytes."""
    text = json.dumps({**about, "paths": shard.paths, "bad": shard.bad})
    np.savez(
        path,
        codes=shard.codes,
        digests=shard.digests,
        sizes=shard.sizes,
        mtime_ns=shard.mtime_ns,
        perceptual_hash=shard.perceptual_hash,
        about=np.frombuffer(text.encode(), np.uint8),
    )


def write_parquet(path: Path, shard: Shard, about: dict) -> None:
    """Write a shard as a table of the images with a code; the bad ones stand in its metadata."""
    pyarrow = import_pyarrow()
    bad = {as_unicode(name): as_unicode(reason) for name, reason in shard.bad.items()}
    table = pyarrow.table(
        {
            "path": [as_unicode(name) for name in shard.paths],
            "code": [row.tobytes() for row in shard.codes],
            "digest": [row.tobytes() for row in shard.digests],
            "size": shard.sizes,
            "mtime_ns": shard.mtime_ns,
            "perceptual_hash": [row.tobytes() for row in shard.perceptual_hash],
        },
        schema=parquet_schema({**about, "bad": json.dumps(bad)}),
    )
    pyarrow.parquet.write_table(table, path, write_page_checksum=True)


def parquet_schema(about: dict):
    """Columns of a Parquet file of codes, and what its metadata says."""
    pyarrow = import_pyarrow()
    return pyarrow.schema(
        {
            "path": pyarrow.string(),
            "code": pyarrow.binary(),
            "digest": pyarrow.binary(),
            "size": pyarrow.int64(),
            "mtime_ns": pyarrow.int64(),
            "perceptual_hash": pyarrow.binary(),
        },
        metadata={key: str(value) for key, value in about.items()},
    )


def read_shard(path: Path) -> tuple[dict, Shard] | None:
    """What a file of a shard says, `model_id` and `bits`, and the shard; `None` if it is damaged.

    Raises:
        SsahError: It is Parquet, and PyArrow is not installed.
    """
    if path.suffix == ".parquet":
        pyarrow = import_pyarrow()
    try:
        if path.suffix == ".parquet":
            return from_table(pyarrow.parquet.read_table(path, page_checksum_verification=True))
        arrays = read_arrays(path)
        said = parse_json(arrays.pop("about").tobytes())
        about = {"model_id": said["model_id"], "bits": int(said["bits"])}
        return about, Shard(paths=list(said["paths"]), bad=dict(said["bad"]), **arrays)
    # PyArrow says of damaged files that they are invalid, not implemented, or anything else.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError):
        return None


def from_table(table) -> tuple[dict, Shard]:
    """See `read_shard`."""
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    about = {"model_id": metadata["model_id"], "bits": int(metadata["bits"])}
    return about, Shard(
        table["path"].to_pylist(),
        bytes_of(table["code"].to_pylist(), code_bytes(about["bits"])),
        bytes_of(table["digest"].to_pylist(), 32),
        table["size"].to_numpy(),
        table["mtime_ns"].to_numpy(),
        bytes_of(table["perceptual_hash"].to_pylist(), HASH_BYTES),
        dict(parse_json(metadata["bad"])),
    )


def import_pyarrow():
    """PyArrow, or one line that says how to get it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise SsahError("Parquet needs pyarrow: pip install 'ssah-tf[parquet]'") from None
    return pyarrow
