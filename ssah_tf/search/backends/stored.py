"""Codes and photos of a database: read there, and brought here only where all are needed."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.search.backends.address import Address
from ssah_tf.search.code_index import CodeIndex
from ssah_tf.search.index import IdsCodes, IdsDistances, Index
from ssah_tf.search.photo_table import Photo, PhotoTable
from ssah_tf.system.errors import SsahError

#: Names of files of an index in a database.
ABOUT, ENCODER, MISSING = "about", "encoder", "missing"


@dataclass(frozen=True)
class CodesOf:
    """What the codes of an index are.

    Attributes:
        bits: Length of a code.
        model_id: Of the encoder that they come from.
        appearance_bits: Length of an appearance code; 0 for none.
    """

    bits: int
    model_id: str
    appearance_bits: int = 0

    @classmethod
    def of(cls, source: Encoder | Index) -> "CodesOf":
        """What the codes of an encoder or of an index are."""
        return cls(source.bits, source.model_id, source.appearance_bits)


@dataclass
class Change:
    """What turns a saved state into another.

    Attributes:
        added: New ids and their codes.
        updated: Ids whose codes are others, and these.
        removed: Ids that are gone.
        photos: New photos, and those of which anything is another.
        files: Name -> content.
        missing: What is kept of missing photos, if that is another; see `missing.to_bytes`.
        codes_of: What codes are, if all are of another model from now on.
    """

    added: IdsCodes
    updated: IdsCodes
    removed: np.ndarray
    photos: dict[int, Photo]
    files: dict[str, bytes] = field(default_factory=dict)
    missing: bytes | None = None
    codes_of: CodesOf | None = None


class PhotoStore(Protocol):
    """Where a database keeps photos beside the index of their codes.

    Attributes:
        address: Where it is.
        cannot: See `Storage.cannot`.
    """

    address: Address
    cannot: Mapping[str, str]

    @property
    def index(self) -> Index:
        """The codes."""

    def photos(self, ids: Iterable[int] | None = None) -> dict[int, Photo]:
        """Photos of ids, or all of them."""

    def file(self, name: str) -> bytes | None:
        """Content of a file, `None` if it is not there."""

    def missing(self) -> bytes | None:
        """What `write` was given of missing photos last, `None` if that was nothing."""

    def upgrade(self) -> None:
        """Bring what an older version made into the form of this one; nothing is lost.

        Raises:
            SsahError: The engine cannot.
        """

    def stamp(self) -> str:
        """See `Storage.stamp`. Reads that come after it see all that it tells of."""

    def writing(self) -> AbstractContextManager[object]:
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
    """

    engine_name = "auto"

    def __init__(self, stored: Index):
        self.stored = stored
        self.bits, self.model_id = stored.bits, stored.model_id
        self.appearance_bits = stored.appearance_bits
        self._whole: CodeIndex | None = None

    @cached_property
    def read(self) -> IdsCodes:
        """Ids, ascending, and full codes as they are in the database; read once."""
        none = self.none()
        ids, codes = zip((none.ids, none.full_codes), *self.stored.items(), strict=True)
        return np.concatenate(ids), np.concatenate(codes)

    def none(self) -> CodeIndex:
        """An index of such codes in memory, without any."""
        return CodeIndex(self.bits, self.model_id, self.engine_name, self.appearance_bits)

    def whole(self) -> CodeIndex:
        """All codes, in memory."""
        if self._whole is None:
            self._whole = self.none()
            self._whole.add(*self.read)
        return self._whole

    @property
    def ids(self) -> np.ndarray:
        """See `CodeIndex.ids`."""
        return self.whole().ids

    @property
    def codes(self) -> np.ndarray:
        """See `CodeIndex.codes`."""
        return self.whole().codes

    @property
    def full_codes(self) -> np.ndarray:
        """See `CodeIndex.full_codes`."""
        return self.whole().full_codes

    @property
    def nbytes(self) -> int:
        """See `CodeIndex.nbytes`."""
        return self.whole().nbytes

    def __len__(self) -> int:
        return len(self.stored if self._whole is None else self._whole)

    def __contains__(self, number: int) -> bool:
        return number in (self.stored if self._whole is None else self._whole)

    def items(self) -> Iterator[IdsCodes]:
        """See `Index.items`."""
        return self.whole().items()

    def subset(self, ids: np.ndarray) -> Index | None:
        """See `Index.subset`."""
        return None if self._whole is None else self._whole.subset(ids)

    def _add(self, ids: np.ndarray, codes: np.ndarray) -> None:
        self.whole().add(ids, codes)

    def _remove(self, ids: np.ndarray) -> None:
        self.whole().remove(ids)

    def _update(self, ids: np.ndarray, codes: np.ndarray) -> None:
        self.whole().update(ids, codes)

    def _search(self, queries: np.ndarray, k: int, among: np.ndarray | None) -> IdsDistances:
        return self.stored._search(queries, k, among)

    def _within(
        self, queries: np.ndarray, radius: int, among: np.ndarray | None
    ) -> list[IdsDistances]:
        return self.stored._within(queries, radius, among)


class StoredTable:
    """Photos in a database: asked for by id, and brought here only where all are needed.

    Args:
        store: The database.
        codes: Of the photos; a photo without a code is none yet.
    """

    def __init__(self, store: PhotoStore, codes: StoredCodes):
        self.store = store
        self.codes = codes
        self._whole: PhotoTable | None = None

    @cached_property
    def read(self) -> dict[int, Photo]:
        """All that is in the database, those without codes included; read once."""
        return self.store.photos()

    def whole(self) -> PhotoTable:
        """All photos that have codes, in memory.

        Raises:
            SsahError: A code has no photo.
        """
        if self._whole is None:
            ids = set(self.codes.read[0].tolist())
            if ids - self.read.keys():
                raise SsahError(f"{self.store.address}: codes without photos")
            self._whole = PhotoTable.of({n: p for n, p in self.read.items() if n in ids})
        return self._whole

    def some(self, ids: Iterable[int]) -> Mapping[int, Photo]:
        """Photos of these ids at least, as far as they are there."""
        return self.store.photos(ids) if self._whole is None else self._whole
