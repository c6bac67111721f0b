"""Where an index is: a folder, or the address of a database."""

from contextlib import AbstractContextManager
from pathlib import Path

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.search.backends.address import Address, is_address, parse_address
from ssah_tf.search.index import Index
from ssah_tf.search.photo_index import PhotoIndex
from ssah_tf.system.lock import only_one


def shown(place: str) -> str:
    """A place as it may be printed."""
    return str(parse_address(place)) if is_address(place) else place


def open_index(address: Address, bits: int | None = None, model_id: str | None = None) -> Index:
    """Open an index of codes in a database, or begin it; see `PostgresIndex.open`."""
    if address.scheme.startswith("milvus"):
        from ssah_tf.search.backends.milvus import MilvusIndex

        return MilvusIndex.open(address, bits, model_id)
    from ssah_tf.search.backends.postgres import PostgresIndex

    return PostgresIndex.open(address, bits, model_id)


def open_photos(place: str, encoder: Encoder | None = None) -> PhotoIndex:
    """Open an index of photos, or begin one if an encoder is given and there is none.

    Raises:
        SsahError: Not an index, or one of another encoder.
    """
    if not is_address(place):
        return PhotoIndex.open(Path(place), encoder)
    return open_stored(parse_address(place), encoder)


def open_stored(address: Address, encoder: Encoder | None):
    """Open an index of photos in a database; see `open_photos`."""
    from ssah_tf.search.backends.stored_photos import StoredPhotos

    begin = () if encoder is None else (encoder.bits, encoder.model_id)
    index = open_index(address, *begin)
    try:
        return StoredPhotos(store_of(index), encoder)
    except BaseException:
        index.close()
        raise


def load_photos(folder: Path, place: str):
    """Make an index in a database equal to that in a folder.

    Returns:
        The `Change` that was made.

    Raises:
        SsahError: No index, or the one in the database is of another encoder.
    """
    photos = PhotoIndex.open(folder)
    encoder = photos.encoder(threads=1)
    stored = open_stored(parse_address(place), encoder)
    try:
        stored.keep_encoder(encoder)
        return stored.take(photos)
    finally:
        stored.store.index.close()


def store_of(index: Index):
    """The photos beside an index of codes in a database."""
    from ssah_tf.search.backends.milvus import MilvusIndex

    if isinstance(index, MilvusIndex):
        from ssah_tf.search.backends.milvus_photos import MilvusPhotos

        return MilvusPhotos(index)
    from ssah_tf.search.backends.postgres_photos import PostgresPhotos

    return PostgresPhotos(index)


def locked(place: str) -> AbstractContextManager:
    """Keep other processes of this machine out of an index while the block runs.

    Raises:
        RunError: Another process is at it.
    """
    if not is_address(place):
        return only_one(Path(place) / ".lock", place)
    from ssah_tf.search.backends.stored_photos import cache_folder

    address = parse_address(place)
    return only_one(cache_folder(address) / ".lock", str(address))
