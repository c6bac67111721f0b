"""Where an index is: a folder, or an address whose scheme says which database."""

from collections.abc import Callable, Container
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.search.backends.address import Address, is_address, take_apart
from ssah_tf.search.backends.database import DatabaseStorage, local_folder
from ssah_tf.search.backends.folder import FolderStorage
from ssah_tf.search.backends.storage import Storage
from ssah_tf.search.backends.stored import CodesOf, PhotoStore
from ssah_tf.search.index import Index
from ssah_tf.system.errors import SsahError
from ssah_tf.system.lock import only_one


class Scheme(Protocol):
    """A kind of places."""

    def open_storage(self, place: str, encoder: Encoder | None, engine: str) -> Storage:
        """Open a place; one that is not there is begun if an encoder is given.

        Raises:
            SsahError: It cannot be opened.
        """

    def shown(self, place: str) -> str:
        """A place as it may be printed."""

    def scratch(self, place: str) -> Path:
        """Folder of this machine for what is not in the index yet, and for its lock."""


class Folders:
    """Places that are folders."""

    def open_storage(self, place: str, encoder: Encoder | None, engine: str) -> Storage:
        """See `Scheme.open_storage`."""
        return FolderStorage(Path(place), engine)

    def shown(self, place: str) -> str:
        """See `Scheme.shown`."""
        return place

    def scratch(self, place: str) -> Path:
        """See `Scheme.scratch`."""
        return Path(place)


@dataclass(frozen=True)
class Database:
    """Places that are addresses in a kind of databases.

    Attributes:
        form: What an address looks like.
        databases: How many parts of its path may stand before the name of the index.
        index: Opens an index of codes at an address, or begins one of such codes.
        photos: The same for an index of photos.
    """

    form: str
    databases: Container[int]
    index: Callable[[Address, CodesOf | None], Index]
    photos: Callable[[Address, CodesOf | None], PhotoStore]

    def open_storage(self, place: str, encoder: Encoder | None, engine: str) -> Storage:
        """See `Scheme.open_storage`."""
        codes = None if encoder is None else CodesOf.of(encoder)
        return DatabaseStorage(self.photos(parse_address(place), codes))

    def shown(self, place: str) -> str:
        """See `Scheme.shown`."""
        return str(parse_address(place))

    def scratch(self, place: str) -> Path:
        """See `Scheme.scratch`."""
        return local_folder(parse_address(place))


def postgres_index(address: Address, codes: CodesOf | None) -> Index:
    """See `PostgresIndex.open`."""
    from ssah_tf.search.backends.postgres import PostgresIndex

    return PostgresIndex.open(address, codes)


def postgres_photos(address: Address, codes: CodesOf | None) -> PhotoStore:
    """See `PostgresPhotos.open`."""
    from ssah_tf.search.backends.postgres_photos import PostgresPhotos

    return PostgresPhotos.open(address, codes)


def milvus_index(address: Address, codes: CodesOf | None) -> Index:
    """See `MilvusIndex.open`."""
    from ssah_tf.search.backends.milvus import MilvusIndex

    return MilvusIndex.open(address, codes)


def milvus_photos(address: Address, codes: CodesOf | None) -> PhotoStore:
    """See `MilvusPhotos.open`."""
    from ssah_tf.search.backends.milvus_photos import MilvusPhotos

    return MilvusPhotos.open(address, codes)


FOLDERS = Folders()
POSTGRES = Database(
    "postgresql://USER@HOST:PORT/DATABASE/NAME", (1,), postgres_index, postgres_photos
)
#: Scheme of an address -> its kind of database. A place that is no address is a folder.
DATABASES = {
    "postgresql": POSTGRES,
    "postgres": POSTGRES,
    "milvus": Database("milvus://HOST:PORT/NAME", (0, 1), milvus_index, milvus_photos),
    "milvus+https": Database(
        "milvus+https://USER:PASSWORD@HOST:PORT/NAME", (0, 1), milvus_index, milvus_photos
    ),
}


def scheme_of(place: str | Path) -> Scheme:
    """The kind of a place.

    Raises:
        SsahError: An address whose scheme is none of ours.
    """
    return database_of(str(place)) if is_address(place) else FOLDERS


def database_of(address: str) -> Database:
    """The kind of database of an address.

    Raises:
        SsahError: It is no address, or its scheme is none of ours.
    """
    scheme, found, _ = address.partition("://")
    if not found or scheme not in DATABASES:
        raise refusal(f"{POSTGRES.form} or {DATABASES['milvus'].form}")
    return DATABASES[scheme]


def parse_address(text: str) -> Address:
    """Take an address apart.

    Raises:
        SsahError: It is none. The message shows nothing of it, since a password that is not
            escaped may be anywhere in it.
    """
    database = database_of(text)
    try:
        return take_apart(text, database.databases)
    except ValueError:
        raise refusal(database.form) from None


def refusal(expected: str) -> SsahError:
    """The error of what is no address of the expected form."""
    return SsahError(
        f"not the address of an index: expected {expected}; NAME is of letters, digits and _, and "
        "of a password the letters / : @ ? # % are written as %2F ..."
    )


def open_storage(
    place: str | Path, encoder: Encoder | None = None, engine: str = "auto"
) -> Storage:
    """Open the storage of an index of photos; see `Scheme.open_storage`."""
    return scheme_of(place).open_storage(str(place), encoder, engine)


def open_index(
    address: str, bits: int | None = None, model_id: str | None = None, appearance_bits: int = 0
) -> Index:
    """Open an index of codes in a database, or begin it if `bits` and `model_id` are given.

    Raises:
        SsahError: No connection, no index, or one of other codes.
    """
    codes = None
    if bits is not None and model_id is not None:
        codes = CodesOf(bits, model_id, appearance_bits)
    return database_of(address).index(parse_address(address), codes)


def shown(place: str) -> str:
    """A place as it may be printed: of an address neither password nor options."""
    return scheme_of(place).shown(place)


def locked(place: str, wait: bool = False) -> AbstractContextManager[None]:
    """Keep other processes of this machine out of an index while the block runs.

    Args:
        place: A folder, or an address.
        wait: Until another process has let go, instead of an error.

    Raises:
        RunError: Another process is at it.
    """
    scheme = scheme_of(place)
    return only_one(scheme.scratch(place) / ".lock", scheme.shown(place), wait)
