"""An index of photo files: kept in step with folders, searched by image."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ssah_tf.encoding.encode import find_images
from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.parts import Parts
from ssah_tf.encoding.records import flat_pictures
from ssah_tf.search.backends.schemes import open_storage
from ssah_tf.search.backends.storage import State, Storage
from ssah_tf.search.code_index import CodeIndex
from ssah_tf.search.filters import RecentFilters, Subset, matching
from ssah_tf.search.index import Index
from ssah_tf.search.photo_table import Photo, PhotoTable
from ssah_tf.system.errors import SsahError


@dataclass(frozen=True)
class Hit:
    """A photo that a search has found.

    Attributes:
        id: Its number in the index.
        photo: The file.
        distance: Bits in which its code differs from the query's.
    """

    id: int
    photo: Photo
    distance: int


@dataclass(frozen=True)
class Synced:
    """What a `sync` did.

    Attributes:
        added: New photos.
        changed: Photos whose content is another.
        removed: Photos whose file is gone.
        kept: Photos that are as they were.
        bad: Files that cannot be read -> the reason; they are not in the index.
        flat: Those of the new and changed photos that are of one level. See `flat_pictures`.
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    kept: int = 0
    bad: dict[str, str] = field(default_factory=dict)
    flat: tuple[str, ...] = field(default=(), compare=False)


class PhotoIndex:
    """Photos by id, and the codes of their contents: codes, a table, and where both are kept.

    Args:
        storage: Where it is kept.
        state: What it holds.

    Attributes:
        storage: Its `Storage`; `str` of it is the place for messages.
        codes: A `CodeIndex`, or the codes in a database.
        table: A `PhotoTable`, or the photos in a database.
        image_size: Of the encoder, in pixels.
        roots: Files and folders that were indexed last, absolute.
        next_id: What the next photo is called.
        stamp: Of the saved state that was read; see `Storage.stamp`.
    """

    def __init__(self, storage: Storage, state: State):
        self.storage = storage
        self.codes, self.table = state.codes, state.table
        self.image_size, self.roots, self.next_id = state.image_size, state.roots, state.next_id
        self.stamp = state.stamp
        self._filters = RecentFilters()

    @classmethod
    def open(
        cls,
        place: str | Path,
        encoder: Encoder | None = None,
        engine: str = "auto",
        whole: bool = False,
    ) -> "PhotoIndex":
        """Open an index, or begin one if an encoder is given and there is none.

        Args:
            place: A folder, or the address of a database.
            encoder: Of the index.
            engine: Of codes in memory. See `make_engine`.
            whole: Have all codes and photos in memory, of one moment, so that threads can share
                them. Otherwise a database is searched where it is.

        Raises:
            SsahError: Not an index, or one of another encoder.
        """
        storage = open_storage(place, encoder, engine)
        try:
            index = cls(storage, storage.load(encoder, whole))
            if encoder is not None:
                index.check(encoder)
            return index
        except BaseException:
            storage.close()
            raise

    def close(self) -> None:
        """Let go of connections."""
        self.storage.close()

    @property
    def photos(self) -> PhotoTable:
        """Id -> `Photo`, all of them; of a database they are read when they are first needed."""
        return self.table.whole()

    def check(self, encoder: Encoder) -> None:
        """Refuse an encoder whose codes mean something else.

        Raises:
            SsahError: It is another model than that of the index.
        """
        if encoder.model_id != self.codes.model_id:
            raise SsahError(
                f"{self.storage} was made by model {self.codes.model_id}, the encoder is "
                f"{encoder.model_id}: their codes cannot be compared; to change the encoder of an "
                "index use `ssah migrate`"
            )

    def __len__(self) -> int:
        return len(self.codes)

    def sync(
        self,
        encoder: Encoder,
        sources: Sequence[str | Path],
        progress: Callable[[int, int], None] = lambda done, total: None,
        labels: Callable[[list[str]], dict[str, tuple[str, ...]]] | None = None,
        codes: Path | None = None,
    ) -> Synced:
        """Make the index hold the photos of the sources, and only those; then save it.

        A file that looks as before (size and time of change) is not read; one that does not is
        encoded again only if its content is another. New codes are kept in parts until all are
        there: killed, the same call goes on from them.

        Args:
            encoder: The encoder of the index.
            sources: Image files, and folders of them.
            progress: Is told how many of the files to read are done, and how many there are.
            labels: Gives the labels of paths; by default photos keep those that they have.
            codes: Folder of shards that `ssah encode` wrote: photos in it are not encoded again.

        Raises:
            SsahError: The encoder is another, or a source does not exist.
        """
        self.check(encoder)
        self.storage.keep_encoder(encoder)
        photos = self.photos.in_memory()
        by_path = {photo.path: number for number, photo in photos.items()}
        paths = [os.path.abspath(path) for path in find_images(sources)]
        paths = list(dict.fromkeys(paths))
        named = None if labels is None else labels(paths)  # first: it may find a mistake
        wanted = set(paths)
        to_read = [p for p in paths if p not in by_path or not photos[by_path[p]].unchanged()]
        known = {
            bytes.fromhex(photos[number].digest): (photos[number].perceptual_hash, code)
            for number, code in zip(self.codes.ids.tolist(), self.codes.codes, strict=True)
        }
        parts = Parts(self.storage.parts(encoder.model_id), encoder)
        found, bad = parts.encode(to_read, known, progress, codes)
        looks = ((path, record.perceptual_hash) for path, record in found.items())
        flat = tuple(flat_pictures(encoder.image_size, looks))

        gone = [n for p, n in by_path.items() if p not in wanted or p in bad]
        self.codes.remove(gone)
        for number in gone:
            del photos[number]
        new, again = {}, {}
        for path, record in found.items():
            photo, code, number = Photo.of(record), record.code, by_path.get(path)
            if number is None:
                number, self.next_id = self.next_id, self.next_id + 1
                new[number] = code
            else:
                photo = replace(photo, labels=photos[number].labels)
                if photos[number].digest != photo.digest:
                    again[number] = code
            photos[number] = photo
        if named is not None:
            photos = {n: replace(p, labels=named[p.path]) for n, p in photos.items()}
        width = self.codes.codes.shape[1]
        for put, change in ((self.codes.add, new), (self.codes.update, again)):
            put(list(change), np.array(list(change.values()), np.uint8).reshape(-1, width))
        self.table, self.roots = PhotoTable.of(photos), tuple(map(os.path.abspath, sources))
        self.save()
        parts.clear()
        kept = len(self.photos) - len(new) - len(again)
        return Synced(len(new), len(again), len(gone), kept, bad, flat)

    def migrate(
        self,
        encoder: Encoder,
        progress: Callable[[int, int], None] = lambda done, total: None,
        skip_unreadable: bool = False,
    ) -> dict[str, str]:
        """Encode all photos anew with another encoder; ids and labels stay.

        The saved index is the old one until the new one is whole. Killed, the same call goes on.

        Args:
            encoder: The new encoder.
            progress: See `sync`.
            skip_unreadable: Leave photos out whose files cannot be read now.

        Returns:
            The photos left out -> the reason.

        Raises:
            SsahError: Files cannot be read now, and are not to be left out; or the storage cannot
                exchange all codes.
        """
        if "migrate" in self.storage.cannot:
            raise SsahError(f"{self.storage}: {self.storage.cannot['migrate']}")
        photos = self.photos.in_memory()
        self.storage.keep_encoder(encoder)
        parts = Parts(self.storage.parts(encoder.model_id), encoder)
        found, bad = parts.encode([p.path for p in photos.values()], {}, progress)
        if bad and not skip_unreadable:
            raise SsahError(
                f"{len(bad):,} of {len(photos):,} photos cannot be read now, for example "
                f"{next(iter(bad.values()))}; mend that, or leave them out with --skip-unreadable"
            )
        kept = [number for number, photo in photos.items() if photo.path in found]
        codes = np.array([found[photos[number].path].code for number in kept], np.uint8)
        self.codes = CodeIndex(encoder.bits, encoder.model_id, self.codes.engine_name)
        self.codes.add(kept, codes.reshape(len(kept), self.codes.codes.shape[1]))
        self.table = PhotoTable.of(
            {
                number: replace(Photo.of(found[photos[number].path]), labels=photos[number].labels)
                for number in kept
            }
        )
        self.image_size = encoder.image_size
        self.save()
        parts.clear()
        return bad

    def take(self, other: "PhotoIndex") -> Synced:
        """Become equal to another index of the same encoder, and be saved.

        Returns:
            How many photos are new, have another code, are gone, and are as they were.
        """
        ids, new = self.codes.ids, other.codes.ids
        both = np.isin(new, ids), np.isin(ids, new)
        changed = int((other.codes.codes[both[0]] != self.codes.codes[both[1]]).any(axis=1).sum())
        self.codes = CodeIndex(other.codes.bits, other.codes.model_id)
        self.codes.add(new, other.codes.codes)
        self.table, self.image_size = other.photos, other.image_size
        self.roots, self.next_id = other.roots, other.next_id
        self.save()
        kept = int(both[0].sum())
        return Synced(len(new) - kept, changed, len(ids) - kept, kept - changed)

    def save(self) -> None:
        """Write codes and photos; killed, the old state stays. See `Storage.save`."""
        self.storage.save(
            State(self.codes, self.table, self.image_size, self.roots, self.next_id, self.stamp)
        )
        self._filters = RecentFilters()

    def encoder(self, threads: int = 0) -> Encoder:
        """The encoder of the index.

        Raises:
            SsahError: It is missing or another one.
        """
        with self.storage.encoder_file(self.codes.model_id) as path:
            encoder = Encoder.load(path, threads=threads)
        self.check(encoder)
        return encoder

    def neighbours(
        self,
        queries: np.ndarray,
        k: int | None = None,
        radius: int | None = None,
        where: Sequence[str] = (),
    ) -> list[list[Hit]]:
        """The nearest photos of each code, by (distance, id).

        Args:
            queries: Packed codes, uint8 `(q, bytes)`.
            k: How many at most; by default all within the radius.
            radius: Largest distance, included; any by default.
            where: Conditions (see `filters.matching`): neighbours are the nearest of the photos
                that meet all of them.

        Raises:
            SsahError: Neither k nor a radius is given, or a condition cannot be met.
        """
        codes, among = self.searched(where)
        if k is not None:
            limit = codes.bits if radius is None else radius
            rows = list(zip(*codes.search(queries, k, among), strict=True))
        elif radius is not None:
            limit, rows = radius, codes.range_search(queries, radius, among)
        else:
            raise SsahError("give k, a radius, or both")
        rows = [(ids[far <= limit].tolist(), far[far <= limit].tolist()) for ids, far in rows]
        photos = self.table.some({number for ids, _ in rows for number in ids})
        found = [
            [(n, photos.get(n), distance) for n, distance in zip(ids, far, strict=True)]
            for ids, far in rows
        ]
        # In a database a photo may have gone since its code was found.
        return [[Hit(n, photo, far) for n, photo, far in row if photo is not None] for row in found]

    def ids(self, where: Sequence[str] = ()) -> np.ndarray:
        """Ids of the photos that meet all conditions, ascending, int64 `(m,)`.

        Raises:
            SsahError: A condition cannot be met.
        """
        return self.subset(where).ids if where else self.codes.ids

    def subset(self, where: Sequence[str]) -> Subset:
        """The photos that meet all conditions; those of the last few calls are kept.

        Raises:
            SsahError: A condition cannot be met.
        """

        def find() -> Subset:
            ids = self.photos.ids[matching(self.photos, where)]
            return Subset(ids, self.codes.subset(ids))

        return self._filters.get(tuple(where), find)

    def searched(self, where: Sequence[str]) -> tuple[Index, np.ndarray | None]:
        """What is searched for photos that meet all conditions: codes, and the ids to look at."""
        if not where:
            return self.codes, None
        subset = self.subset(where)
        return (self.codes, subset.ids) if subset.codes is None else (subset.codes, None)


def load_photos(folder: Path, address: str) -> Synced:
    """Make an index in a database equal to that in a folder.

    Returns:
        See `PhotoIndex.take`.

    Raises:
        SsahError: No index, or the one in the database is of another encoder.
    """
    photos = PhotoIndex.open(folder)
    encoder = photos.encoder(threads=1)
    stored = PhotoIndex.open(address, encoder)
    try:
        stored.storage.keep_encoder(encoder)
        return stored.take(photos)
    finally:
        stored.close()
