"""Shards: a fixed list of images in equal parts, one file a part, whole or not there.

Whatever encodes them, a shard is made by `encode_shard` and written by `Shards.write`, so that all
engines give the same rows, and work that was killed anywhere goes on at the missing ones.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.record_file import read_records, write_records
from ssah_tf.encoding.records import Known, Record, Records, Unreadable, encode_records
from ssah_tf.system.errors import RunError, SsahError
from ssah_tf.system.files import write_atomically
from ssah_tf.system.reading import parse_json
from ssah_tf.system.text import as_unicode

#: Images a shard: what a kill costs at most.
SHARD = 1024
#: File that says of which images and by which encoder the shards are. Readers of folders of Parquet
#: files pass over names that begin with _.
PLAN = "_plan.json"
#: File that says that all shards are there; it is written last.
SUMMARY = "_encoded.json"


def encode_shard(
    encoder: Encoder, paths: list[str], folder: str = "", known: Known | None = None
) -> Records:
    """Encode the image files of a shard. See `encode_records`."""
    batches = encode_records(encoder, paths, folder=folder, known=known)
    return Records.of(encoder, list(chain.from_iterable(batches)))


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
        self.appearance_bits = encoder.appearance_bits
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

    def write(self, number: int, records: Records) -> None:
        """Keep a shard, whole or not at all; until the end of the work the folder is unfinished.

        Raises:
            RunError: The disk is full, or the folder cannot be written.
        """
        (self.folder / SUMMARY).unlink(missing_ok=True)
        write_records(self.file(number), records)

    def read(self, number: int) -> Records | None:
        """A shard, or `None`: not there, or damaged and to be encoded again.

        Raises:
            SsahError: An older version wrote it.
        """
        records = read_records(self.file(number))
        if records is None:
            return None
        names = [self.as_kept(name) for name in self.names(number)]
        fits = (
            (records.model_id, records.bits, records.appearance_bits)
            == (self.model_id, self.bits, self.appearance_bits)
            and [name for name in names if name not in records.bad] == records.paths
            and len(records) + len(records.bad) == len(names)
        )
        return records if fits else None

    def as_kept(self, name: str) -> str:
        """A path as the files have it."""
        return as_unicode(name) if self.suffix == ".parquet" else name

    def entries(self, number: int, records: Records) -> list[tuple[str, Record | Unreadable]]:
        """The paths of a shard in order, each with what a shard that was `read` says of it."""
        rows, bad = iter(records), records.bad
        return [
            (
                name,
                Unreadable(name, bad[kept]) if (kept := self.as_kept(name)) in bad else next(rows),
            )
            for name in self.names(number)
        ]

    def __iter__(self) -> Iterator[Records]:
        """All shards, in order.

        Raises:
            RunError: One is missing or damaged.
        """
        for number in range(len(self)):
            records = self.read(number)
            if records is None:
                raise RunError(f"{self.file(number)}: missing or damaged; encode once more")
            yield records

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.folder)


def read_shards(folder: Path, model_id: str) -> Iterator[Records]:
    """All shards of a folder that `ssah encode` has finished.

    Raises:
        SsahError: It is not finished or not such a folder, of another encoder or of an older
            version, or damaged.
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
        records = read_records(file)
        if records is None or records.model_id != model_id:
            raise SsahError(f"{file}: damaged; run `ssah encode` once more")
        yield records
