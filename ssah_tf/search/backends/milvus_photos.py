"""Photos of an index in Milvus."""

import base64
import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

import numpy as np

from ssah_tf.search.backends.address import Address
from ssah_tf.search.backends.milvus import BLOCK, TIMEOUT, Collection, MilvusIndex, create, faults
from ssah_tf.search.backends.stored import ABOUT, MISSING, Change, CodesOf
from ssah_tf.search.photo_table import LATER, Photo
from ssah_tf.system.errors import SsahError

#: Fields of a photo; the later ones may not be there where an older version made the collection.
FIELDS = "path", "raw", "digest", "size", "mtime_ns", "labels", "perceptual_hash", *LATER
#: Bytes of a file in one entity: in base64 they are what a text of Milvus holds at most.
CHUNK = 48_000
#: Photos of a request.
PHOTOS = 4096
#: The longest text of Milvus, and the most labels of a photo.
TEXT, LABELS = 65_535, 1024
#: File that is written when a change is whole: the digest of what the index says of itself.
DONE = "done"
#: Why photos have no dates in a collection that an older version made.
NO_DATES = (
    "its photos get no dates, since Milvus adds no fields to what an older version made: index the "
    "photos under another name"
)
#: Every collection must have a vector: one for nothing.
NOTHING = b"\0"


class MilvusPhotos:
    """Two collections beside that of a `MilvusIndex`. See `PhotoStore`.

    `NAME_photos` has a photo an entity, under its id, for pages of codes have many ids: scalar
    fields, which other clients can filter by. `NAME_files` has the encoder in pieces.
    """

    cannot: Mapping[str, str] = {
        "migrate": "Milvus has no transactions, so all codes cannot be exchanged at once here; "
        "index the photos under another name with the new encoder"
    }

    def __init__(self, index: MilvusIndex):
        self.index = index
        self.address = index.address
        client, name = index.client, index.address.name
        self.rows = Collection(self.address, client, f"{name}_photos")
        self.pieces = Collection(self.address, client, f"{name}_files")
        with faults(self.address):
            for collection, make in ((self.rows, photo_fields), (self.pieces, piece_fields)):
                if not client.has_collection(collection.name, timeout=TIMEOUT):
                    schema = client.create_schema(enable_dynamic_field=False)
                    make(schema)
                    create(client, collection.name, schema)
                client.load_collection(collection.name, timeout=TIMEOUT)
            about = client.describe_collection(self.rows.name, timeout=TIMEOUT)
        self.fields = {field["name"] for field in about["fields"]}
        if "taken" not in self.fields:
            self.cannot = {**self.cannot, "dates": NO_DATES}

    @classmethod
    def open(cls, address: Address, codes: CodesOf | None = None) -> Self:
        """See `MilvusIndex.open`."""
        index = MilvusIndex.open(address, codes)
        try:
            return cls(index)
        except BaseException:
            index.close()
            raise

    def photos(self, ids: Iterable[int] | None = None) -> dict[int, Photo]:
        """See `PhotoStore.photos`."""
        if ids is None:
            ids = [row["id"] for row in self.rows.query("size >= 0", "id")]
        ids, found = list(ids), {}
        for start in range(0, len(ids), PHOTOS):
            some = ids[start : start + PHOTOS]
            there = [name for name in FIELDS if name in self.fields]
            for row in self.rows.query(f"id in {some}", "id", *there, most=len(some)):
                found[row["id"]] = Photo(
                    os.fsdecode(bytes.fromhex(row["raw"])) if row["raw"] else row["path"],
                    row["digest"],
                    row["size"],
                    row["mtime_ns"],
                    tuple(row["labels"]),
                    bytes.fromhex(row["perceptual_hash"]),
                    *(row.get(name, "") for name in LATER),
                )
        return dict(sorted(found.items()))

    def file(self, name: str) -> bytes | None:
        """See `PhotoStore.file`."""
        rows = self.pieces.query(f'name == "{name}"', "number", "content", "last")
        rows.sort(key=lambda row: row["number"])
        if not rows or len(rows) <= rows[0]["last"]:  # none, or its writer was killed
            return None
        return b"".join(base64.b64decode(row["content"]) for row in rows)

    def missing(self) -> bytes | None:
        """See `PhotoStore.missing`; the file `MISSING` has the name of theirs."""
        name = self.file(MISSING)
        return None if name is None else self.file(name.decode())

    def upgrade(self) -> None:
        """See `PhotoStore.upgrade`; fields cannot be renamed here.

        Raises:
            SsahError: Always.
        """
        raise SsahError(
            f"{self.address} was made by an older version of ssah-tf, and its fields cannot be "
            "renamed in Milvus: run `ssah index` under another name; this one stays, with its "
            "labels"
        )

    def stamp(self) -> str:
        """See `PhotoStore.stamp`; it changes when a change begins, and when it is whole."""
        for collection in (self.rows, self.pieces, self.index.pages):
            collection.see_all()
        files = self.file(ABOUT) or b"", self.file(DONE) or b""
        return hashlib.sha256(b"/".join(files)).hexdigest()

    def writing(self) -> AbstractContextManager[object]:
        """See `PhotoStore.writing`."""
        return nullcontext()

    def write(self, change: Change) -> None:
        """See `PhotoStore.write`.

        Killed between two steps, an id has a photo without a code, which counts as none; or the
        code of an edited file beside its old photo, so that the file is read again; or is gone in
        part. The next `sync` mends each. Photos that are missing from now on are written as such
        before they are removed, those that are there again are added before: killed, a photo is
        both, and counts as there.
        """
        index, new = self.index, set(change.added[0].tolist())
        for name, content in change.files.items():
            self.put(name, content)
        self.put_photos({n: p for n, p in change.photos.items() if n in new})
        index.add(*change.added)
        index.update(*change.updated)
        self.put_photos({n: p for n, p in change.photos.items() if n not in new})
        before = self.file(MISSING)
        if change.missing is not None:
            name = f"{MISSING}-{hashlib.sha256(change.missing).hexdigest()[:32]}"
            self.put(name, change.missing)
            self.put(MISSING, name.encode())
        gone = change.removed
        if len(gone):
            here, _ = index.content(np.unique(gone // BLOCK))
            index.remove(gone[np.isin(gone, here)])
        self.rows.delete(gone.tolist())
        if change.missing is not None and before is not None and before != name.encode():
            old = self.pieces.query(f'name == "{before.decode()}"', "key")
            self.pieces.delete([row["key"] for row in old])
        self.put(DONE, hashlib.sha256(change.files.get(ABOUT, b"")).digest())

    def put_photos(self, photos: dict[int, Photo]) -> None:
        """Write photos in place of those with their ids."""
        rows = [
            {name: value for name, value in as_entity(number, photo).items() if name in self.fields}
            for number, photo in photos.items()
        ]
        for start in range(0, len(rows), PHOTOS):
            self.rows.upsert(rows[start : start + PHOTOS])

    def put(self, name: str, content: bytes) -> None:
        """Write a file."""
        last = max(0, len(content) - 1) // CHUNK
        for number in range(last + 1):
            piece = content[number * CHUNK : (number + 1) * CHUNK]
            row = {"key": f"{name}/{number:06d}", "name": name, "number": number, "last": last}
            row |= {"content": base64.b64encode(piece).decode(), "code": NOTHING}
            self.pieces.upsert([row])

    def disk(self) -> dict[str, int]:
        """Milvus does not tell."""
        return {}


def as_entity(number: int, photo: Photo) -> dict[str, Any]:
    """A photo as fields; a path that is not UTF-8 is kept in hexadecimal, too."""
    raw = os.fsencode(photo.path)
    path = raw.decode("utf-8", "replace")
    return {
        "id": number,
        "path": path,
        "raw": "" if path.encode() == raw else raw.hex(),
        "digest": photo.digest,
        "size": photo.size,
        "mtime_ns": photo.mtime_ns,
        "labels": list(photo.labels),
        "perceptual_hash": photo.perceptual_hash.hex(),
        **{name: getattr(photo, name) for name in LATER},
        "code": NOTHING,
    }


def photo_fields(schema: Any) -> None:
    """Fields of the photos."""
    from pymilvus import DataType

    schema.add_field("id", DataType.INT64, is_primary=True)
    for name in ("path", "raw"):
        schema.add_field(name, DataType.VARCHAR, max_length=TEXT)
    for name in ("digest", "perceptual_hash"):
        schema.add_field(name, DataType.VARCHAR, max_length=128)
    for name in LATER:
        schema.add_field(name, DataType.VARCHAR, max_length=512)
    for name in ("size", "mtime_ns"):
        schema.add_field(name, DataType.INT64)
    schema.add_field(
        "labels",
        DataType.ARRAY,
        element_type=DataType.VARCHAR,
        max_capacity=LABELS,
        max_length=TEXT,
    )
    schema.add_field("code", DataType.BINARY_VECTOR, dim=8)


def piece_fields(schema: Any) -> None:
    """Fields of the pieces of files."""
    from pymilvus import DataType

    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=128)
    schema.add_field("name", DataType.VARCHAR, max_length=64)
    for name in ("number", "last"):
        schema.add_field(name, DataType.INT64)
    schema.add_field("content", DataType.VARCHAR, max_length=TEXT)
    schema.add_field("code", DataType.BINARY_VECTOR, dim=8)
