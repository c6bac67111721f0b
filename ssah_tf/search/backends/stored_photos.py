"""An index of photos in a database: the same calls as in a folder."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.parts import as_name
from ssah_tf.search.backends.address import Address
from ssah_tf.search.code_index import CodeIndex
from ssah_tf.search.index import Found, Index
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.search.photo_table import Photo, PhotoTable
from ssah_tf.system.errors import SsahError
from ssah_tf.system.reading import parse_json

#: Files of an index in a database.
ABOUT, ENCODER = "about", "encoder"
FORMAT = 1


@dataclass
class Change:
    """What turns a saved state into another.

    Attributes:
        added: New ids and their codes.
        updated: Ids whose codes are others, and these.
        removed: Ids that are gone.
        photos: New photos, and those of which anything is another.
        files: Name -> content.
        codes_of: Bits and model id, if all codes are of another model from now on.
    """

    added: Found
    updated: Found
    removed: np.ndarray
    photos: dict[int, Photo]
    files: dict[str, bytes] = field(default_factory=dict)
    codes_of: tuple[int, str] | None = None


class PhotoStore(Protocol):
    """Where a database keeps photos beside the index of their codes.

    Attributes:
        address: Where it is.
        index: The codes.
        exchanges: Whether all codes can be exchanged for those of another model at once.
    """

    address: Address
    index: Index
    exchanges: bool

    def photos(self, ids: Iterable[int] | None = None) -> dict[int, Photo]:
        """Photos of ids, or all of them."""

    def file(self, name: str) -> bytes | None:
        """Content of a file, `None` if it is not there."""

    def writing(self) -> AbstractContextManager:
        """Keeps other writers out where the engine can; what is done inside is one transaction."""

    def write(self, change: Change) -> None:
        """Make a change. Where it cannot be one transaction, `sync` mends what a kill left."""

    def disk(self) -> dict[str, int]:
        """Bytes by what they hold, as far as the engine tells."""


class StoredCodes(Index):
    """Codes in a database: searched there, and brought here only where all are needed.

    What is changed is changed here, until it is saved.

    Args:
        stored: The index in the database.
        read: Its ids and codes, if they are known.
    """

    engine_name = "auto"

    def __init__(self, stored: Index, read: Found | None = None):
        self.stored = stored
        self.read = read
        self.bits, self.model_id = stored.bits, stored.model_id

    @cached_property
    def here(self) -> CodeIndex:
        """The codes, read once."""
        here = CodeIndex(self.bits, self.model_id, self.engine_name)
        if self.read is None:
            ids, codes = zip((here.ids, here.codes), *self.stored.items(), strict=True)
            self.read = np.concatenate(ids), np.concatenate(codes)
        here.add(*self.read)
        return here

    ids = property(lambda self: self.here.ids)
    codes = property(lambda self: self.here.codes)
    groups = property(lambda self: self.here.groups)
    nbytes = property(lambda self: self.here.nbytes)

    def __len__(self) -> int:
        return len(self.here if "here" in vars(self) else self.stored)

    def __contains__(self, number: int) -> bool:
        return number in (self.here if "here" in vars(self) else self.stored)

    def items(self):
        """See `Index.items`."""
        return self.here.items()

    def _add(self, ids, codes):
        self.here.add(ids, codes)

    def _remove(self, ids):
        self.here.remove(ids)

    def _update(self, ids, codes):
        self.here.update(ids, codes)

    def _search(self, queries, k, among):
        return self.stored._search(queries, k, among)

    def _within(self, queries, radius, among):
        return self.stored._within(queries, radius, among)


class StoredPhotos(PhotoIndex):
    """Photos and codes in a database.

    A search asks the database. What needs all codes (taking in photos, near duplicates, statistics)
    brings them here, and `save` writes what has changed.

    Args:
        store: The database.
        encoder: Begins an index where there is none.
    """

    def __init__(self, store: PhotoStore, encoder: Encoder | None = None):
        self.store = store
        self.folder = store.address  # for messages
        self.codes = self.saved = StoredCodes(store.index)
        self._photos: PhotoTable | None = None
        self._before: dict[int, Photo] = {}
        self.encoder_file: Path | None = None
        self.image_size = encoder.image_size if encoder is not None else 0
        self.roots, self.next_id, self.revision = (), 0, 0
        self.about = store.file(ABOUT)
        if self.about is None and (encoder is None or len(store.index)):
            raise SsahError(
                f"{store.address}: not an index of photos; make one with `ssah index`, under "
                "another name if this one has codes"
            )
        if self.about is not None:
            self.read_about(self.about)
        if encoder is not None:
            self.check(encoder)

    def read_about(self, content: bytes) -> None:
        """Take what the index says of itself.

        Raises:
            SsahError: It is damaged, or of another version.
        """
        try:
            about = parse_json(content)
            if about["format"] != FORMAT:
                raise ValueError("another version")
            self.image_size, self.next_id = int(about["image_size"]), int(about["next_id"])
            self.revision, self.roots = int(about["revision"]), tuple(map(str, about["roots"]))
        except (ValueError, KeyError, TypeError) as error:
            raise SsahError(f"{self.folder}: not an index of photos ({error})") from None

    @property
    def photos(self) -> PhotoTable:
        """All photos, read when they are first asked for."""
        if self._photos is None:
            stored, ids = self.store.photos(), set(self.codes.ids.tolist())
            if len(ids - stored.keys()):
                raise SsahError(f"{self.folder}: codes without photos")
            self._before = stored
            self._photos = PhotoTable.of({n: p for n, p in stored.items() if n in ids})
        return self._photos

    @photos.setter
    def photos(self, photos: PhotoTable) -> None:
        self._photos = photos

    def named(self, ids: Iterable[int]) -> Mapping[int, Photo]:
        """See `PhotoIndex.named`."""
        return self.store.photos(ids) if self._photos is None else self._photos

    def __len__(self) -> int:
        return len(self.codes)

    def parts(self, encoder: Encoder) -> Path:
        """See `PhotoIndex.parts`; they lie on this machine until all is done."""
        return cache_folder(self.store.address) / f"parts-{as_name(encoder.model_id)}"

    def keep_encoder(self, encoder: Encoder) -> None:
        """See `PhotoIndex.keep_encoder`; it is written with the codes."""
        self.encoder_file = encoder.path

    def encoder(self, threads: int = 0) -> Encoder:
        """See `PhotoIndex.encoder`."""
        content = self.store.file(ENCODER)
        if content is None:
            raise SsahError(f"{self.folder}: its encoder is missing; run `ssah index` again")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "encoder.onnx"
            path.write_bytes(content)
            encoder = Encoder.load(path, threads=threads)
        self.check(encoder)
        return encoder

    def migrate(self, encoder, progress=lambda done, total: None, skip_unreadable=False):
        """See `PhotoIndex.migrate`."""
        if not self.store.exchanges:
            raise SsahError(
                f"{self.folder}: all codes cannot be exchanged at once here; index the photos "
                "under another name with the new encoder"
            )
        return super().migrate(encoder, progress, skip_unreadable)

    def save(self) -> Change:
        """Write what has changed, and give it.

        Raises:
            SsahError: Another process has written meanwhile.
        """
        photos = self.photos.in_memory()
        change = self.change(photos)
        about = {
            "format": FORMAT,
            "image_size": self.image_size,
            "next_id": self.next_id,
            "revision": self.revision + 1,
            "roots": self.roots,
        }
        change.files[ABOUT] = json.dumps(about).encode()
        with self.store.writing():
            if self.store.file(ABOUT) != self.about:
                raise SsahError(
                    f"{self.folder}: another process has changed it; run the same command again"
                )
            if self.encoder_file is not None and (
                change.codes_of is not None or self.store.file(ENCODER) is None
            ):
                change.files[ENCODER] = self.encoder_file.read_bytes()
            self.store.write(change)
        self.about, self.revision = change.files[ABOUT], self.revision + 1
        read = self.codes.ids, self.codes.codes
        self.codes = self.saved = StoredCodes(self.store.index, read)
        self._before = photos
        return change

    def change(self, photos: dict[int, Photo]) -> Change:
        """What `save` has to write."""
        new, others = self.codes, None
        self.saved.here  # noqa: B018  it is read, if it was not
        ids, codes = self.saved.read
        if (self.saved.bits, self.saved.model_id) != (new.bits, new.model_id):
            others = new.bits, new.model_id
            ids, codes = ids[:0], np.array(new.codes[:0])
        fresh, stays = ~np.isin(new.ids, ids), np.isin(ids, new.ids)
        changed = np.zeros(len(new.ids), bool)
        changed[~fresh] = (new.codes[~fresh] != codes[stays]).any(axis=1)
        gone = np.concatenate([self.saved.read[0], np.array(list(self._before), np.int64)])
        return Change(
            (new.ids[fresh], new.codes[fresh]),
            (new.ids[changed], new.codes[changed]),
            np.setdiff1d(gone, new.ids),
            {n: p for n, p in photos.items() if others or self._before.get(n) != p},
            codes_of=others,
        )

    def disk(self) -> dict[str, int]:
        """See `PhotoIndex.disk`."""
        return self.store.disk()

    def take(self, other: PhotoIndex) -> Change:
        """Become equal to another index, and be saved."""
        self.photos  # noqa: B018  what is there now, to be compared with
        self.codes = CodeIndex(other.codes.bits, other.codes.model_id)
        self.codes.add(other.codes.ids, other.codes.codes)
        self.photos, self.image_size = other.photos, other.image_size
        self.roots, self.next_id = other.roots, other.next_id
        return self.save()


def cache_folder(address: Address) -> Path:
    """Where this machine keeps what is not yet in a database."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ssah-tf" / hashlib.sha256(str(address).encode()).hexdigest()[:16]
