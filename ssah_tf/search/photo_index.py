"""An index of photo files: kept in step with folders, searched by image."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.parts import Parts
from ssah_tf.encoding.records import Uint8
from ssah_tf.encoding.runtimes import FILES
from ssah_tf.metrics.hamming import code_bytes, full_bytes
from ssah_tf.metrics.majority import majority_code
from ssah_tf.search.backends.schemes import open_storage
from ssah_tf.search.backends.storage import State, Storage
from ssah_tf.search.code_index import CodeIndex
from ssah_tf.search.filters import (
    RecentFilters,
    Subset,
    UnknownLabel,
    has_label,
    label_counts,
    matching,
    names_labels,
    quoted,
)
from ssah_tf.search.index import Index
from ssah_tf.search.missing import Aside, Missing
from ssah_tf.search.photo_table import Photo, PhotoTable
from ssah_tf.search.words import labels_like
from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import printable

if TYPE_CHECKING:
    from ssah_tf.search.sync import Synced

#: What photos of one distance are ordered by.
Order = Literal["appearance", "id"]


class OtherModel(SsahError):
    """An encoder that is not that of the index."""


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


class PhotoIndex:
    """Photos by id, and the codes of their contents: codes, a table, and where both are kept.

    Args:
        storage: Where it is kept.
        state: What it holds.

    Attributes:
        storage: Its `Storage`, closed with the index; `str` of it is the place for messages.
        codes: A `CodeIndex`, or the codes in a database.
        table: A `PhotoTable`, or the photos in a database.
        image_size: Of the encoder, in pixels.
        roots: Files and folders that were indexed last, absolute.
        next_id: What the next photo is called.
        stamp: Of the saved state that was read; see `Storage.stamp`.
        missing: The `Missing` photos: kept with ids, labels and codes, but never found.
    """

    def __init__(self, storage: Storage, state: State):
        self.storage = storage
        self.codes, self.table = state.codes, state.table
        self.image_size, self.roots, self.next_id = state.image_size, state.roots, state.next_id
        self.stamp, self.missing = state.stamp, state.missing
        self._filters = RecentFilters()

    @classmethod
    def open(
        cls,
        place: str | Path,
        encoder: Encoder | None = None,
        engine: str = "auto",
        whole: bool = False,
    ) -> Self:
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
        """Let go of connections; what is in memory can still be searched."""
        self.storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def photos(self) -> PhotoTable:
        """Id -> `Photo`, all of them; of a database they are read when they are first needed."""
        return self.table.whole()

    @property
    def base(self) -> str:
        """The innermost folder that all indexed files and folders lie in."""
        folders = [root if os.path.isdir(root) else os.path.dirname(root) for root in self.roots]
        return os.path.commonpath(folders) if folders else os.sep

    def check(self, encoder: Encoder) -> None:
        """Refuse an encoder whose codes mean something else.

        Raises:
            OtherModel: It is another model than that of the index.
        """
        if encoder.model_id != self.codes.model_id:
            raise OtherModel(
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
        replace_labels: bool = False,
        exclude: Sequence[str] = (),
        may_be_empty: bool = False,
        of_features: Mapping[bytes, Uint8] | None = None,
    ) -> "Synced":
        """Make results those of the photos of the sources; forget nothing; then save it.

        A file that looks as before (size and time of change) is not read; one that does not is
        encoded again only if its content is another. New codes are kept in parts until all are
        there: killed, the same call goes on from them.

        A photo is known by its path, else by its content: ids and labels move with the file. A
        photo that cannot be read in the sources now is missing: out of results, with id, labels and
        code kept until it is there again, or until `prune`.

        Args:
            encoder: The encoder of the index.
            sources: Image files, and folders of them.
            progress: Called with how many of the files to read are done, and how many there are;
                then likewise for those whose dates are read.
            labels: Gives the labels of those paths of which it knows any; the other photos keep
                those that they have.
            codes: Folder of shards that `ssah encode` wrote: photos in it are not encoded again.
            replace_labels: Photos of which `labels` says nothing lose theirs.
            exclude: Patterns of what is passed over in folders; see `data.scan.Exclude`.
            may_be_empty: An index may begin without a photo.
            of_features: See `encode_records`.

        Raises:
            SsahError: The encoder is another, or a source does not exist; or see `encode_records`.
        """
        from ssah_tf.search.sync import Comparison

        self.check(encoder)
        beside = Comparison(self, sources, exclude, may_be_empty)
        # First: it may find a mistake.
        named = {} if labels is None else labels(beside.known_paths())
        self.storage.keep_encoder(encoder)
        parts = Parts(self.storage.parts(encoder.model_id), encoder)
        found, bad = parts.encode(beside.to_read, beside.known(), progress, codes, of_features)
        done = beside.take_in(found, bad, named, replace_labels, progress=progress)
        parts.clear()
        return done

    def prune(self, bad: Mapping[str, str] | None = None, yes: bool = False) -> tuple[int, int]:
        """Forget the missing photos, and save that.

        Those whose file is there, but cannot be read, stay: what is the matter with it may pass.

        Args:
            bad: Files that cannot be read, as `sync` returned them.
            yes: Also if that is more than a fifth of the index, or a source is empty.

        Returns:
            How many photos were removed, and how many of them had labels.

        Raises:
            SsahError: It takes a yes.
        """
        rows = self.missing.rows
        stay = {n: one for n, one in rows.items() if may_be_there(one.photo.path, bad or {})}
        removed = [one.photo for n, one in rows.items() if n not in stay]
        labelled = sum(bool(photo.labels) for photo in removed)
        if not removed:
            return 0, 0
        known = len(self) + len(rows)
        paths = self.photos.paths()
        empty = [root for root in self.roots if os.path.isdir(root) and not holds(root, paths)]
        reason = f"{printable(empty[0])} has no photo now" if empty else ""
        if not reason and 5 * len(removed) > known:
            reason = "that is more than a fifth of the index"
        if reason and not yes:
            raise SsahError(
                f"not pruned: {len(removed):,} of {known:,} photos, {labelled:,} of them with "
                f"labels, would be forgotten, and {reason}; look whether a disk or a folder is "
                "away, else add --yes"
            )
        self.missing = Missing.of(stay)
        self.save()
        return len(removed), labelled

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
            skip_unreadable: Count photos as missing whose files cannot be read now.

        Returns:
            The photos that are missing from now on -> the reason.

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
        self.codes = CodeIndex(
            encoder.bits, encoder.model_id, self.codes.engine_name, encoder.appearance_bits
        )
        width = full_bytes(encoder.bits, encoder.appearance_bits)
        self.codes.add(kept, codes.reshape(len(kept), width))
        self.table = PhotoTable.of(
            {number: photos[number].read_again(found[photos[number].path]) for number in kept}
        )
        # The files of the missing ones are encoded when they are there again.
        aside = {n: replace(one, code=b"") for n, one in self.missing.rows.items()}
        aside |= {n: Aside(p, b"") for n, p in photos.items() if p.path not in found}
        self.missing = Missing.of(aside)
        self.image_size = encoder.image_size
        self.save()
        parts.clear()
        return bad

    def take(self, other: "PhotoIndex") -> "Synced":
        """Become equal to another index of the same encoder, and be saved.

        Returns:
            How many photos are new, have another code, are missing, are gone, and are as they
            were.
        """
        from ssah_tf.search.sync import Synced

        ids, new = self.codes.ids, other.codes.ids
        both = np.isin(new, ids), np.isin(ids, new)
        codes, before = other.codes.full_codes, self.codes.full_codes
        changed = int((codes[both[0]] != before[both[1]]).any(axis=1).sum())
        self.codes = CodeIndex(
            other.codes.bits,
            other.codes.model_id,
            appearance_bits=other.codes.appearance_bits,
        )
        self.codes.add(new, codes)
        self.table, self.image_size = other.photos, other.image_size
        self.roots, self.next_id = other.roots, other.next_id
        gone = np.setdiff1d(ids, np.array([*new, *other.missing.rows], np.int64))
        self.missing = Missing.of(other.missing.rows)
        self.save()
        kept = int(both[0].sum())
        return Synced(
            len(new) - kept,
            changed,
            missing=len(self.missing),
            missing_labelled=self.missing.labelled,
            removed=len(gone),
            kept=kept - changed,
        )

    def save(self) -> None:
        """Write codes and photos; killed, the old state stays. See `Storage.save`."""
        self.storage.save(
            State(
                self.codes,
                self.table,
                self.image_size,
                self.roots,
                self.next_id,
                self.stamp,
                self.missing,
            )
        )
        self._filters = RecentFilters()

    def encoder(
        self, threads: int = 0, runtime: str | None = None, export: Path | None = None
    ) -> Encoder:
        """The encoder of the index.

        Args:
            threads: See `Encoder.load`.
            runtime: Likewise.
            export: The folder that `ssah export` wrote, to be used in place of the copy that the
                index has of the ONNX file; for runtimes that run other files.

        Raises:
            SsahError: It is missing or another one.
        """
        if export is not None:
            encoder = Encoder.load(export, runtime=runtime, threads=threads)
        elif runtime in FILES and FILES[runtime] != FILES["onnxruntime"]:
            raise SsahError(
                f"{self.storage}: an index keeps no file for runtime {runtime}: name the export of "
                "its encoder with --encoder"
            )
        else:
            with self.storage.encoder_file(self.codes.model_id) as path:
                encoder = Encoder.load(path, runtime=runtime, threads=threads)
        self.check(encoder)
        return encoder

    def neighbours(
        self,
        queries: np.ndarray,
        k: int | None = None,
        radius: int | None = None,
        where: Sequence[str] = (),
        order: Order = "appearance",
    ) -> list[list[Hit]]:
        """The nearest photos of each code.

        Args:
            queries: Full codes, uint8 `(q, bytes)`; packed codes alone come in the order of ids.
            k: How many at most; by default all within the radius.
            radius: Largest distance, included; any by default.
            where: Conditions (see `filters.matching`): neighbours are the nearest of the photos
                that meet all of them.
            order: Of photos at one distance: by appearance, then by id; or by id alone. An index
                of an encoder without appearance codes has the latter only.

        Raises:
            SsahError: Neither k nor a radius is given, or a condition cannot be met.
        """
        codes, among = self.searched(where)
        if order == "id":
            queries = queries[:, : code_bytes(codes.bits)]
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

    def labels_like(self, word: str) -> list[str]:
        """The labels that a typed word matches, the best first; see `words.labels_like`.

        Raises:
            UnknownLabel: There is none; the message names near ones.
            SsahError: No word is given, or no photo has a label.
        """
        with self.labels_may_be_missing():
            return labels_like(word, label_counts(self.photos))

    def label_codes(self, labels: Sequence[str]) -> np.ndarray:
        """What to search with for photos that look as those with a label do.

        It is the bitwise majority of the full codes of these photos; see `majority_code`.

        Args:
            labels: Some labels of the index.

        Returns:
            Full codes, uint8 `(labels, bytes)`.

        Raises:
            UnknownLabel: A label that no photo has.
        """
        found = []
        for label in labels:
            ids = self.photos.ids[has_label(self.photos, quoted(label))]
            found.append(majority_code(self.codes.codes_of(ids)[1]))
        return np.concatenate(found)

    def unlabelled(self, where: Sequence[str] = ()) -> list[str]:
        """Conditions that leave photos without a label, unless they name labels themselves.

        Raises:
            SsahError: Every photo has a label.
        """
        if names_labels(where):
            return list(where)
        nothing = "label="
        if not matching(self.photos, [nothing]).any():
            raise SsahError(
                "every photo of the index has a label, so there is none to find by one; to rank "
                "photos with labels, name these in a filter, for example label=beach"
            )
        return [*where, nothing]

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
            with self.labels_may_be_missing():
                ids = self.photos.ids[matching(self.photos, where, self.base)]
            return Subset(ids, self.codes.subset(ids))

        return self._filters.get(tuple(where), find)

    @contextmanager
    def labels_may_be_missing(self) -> Iterator[None]:
        """An unknown label may be that of a missing photo: the message then says so."""
        try:
            yield
        except UnknownLabel as error:
            if not len(self.missing):
                raise
            count = f"{len(self.missing):,} photos of the index are missing and left out"
            raise UnknownLabel(f"{error} ({count})") from None

    def searched(self, where: Sequence[str]) -> tuple[Index, np.ndarray | None]:
        """What is searched for photos that meet all conditions: codes, and the ids to look at."""
        if not where:
            return self.codes, None
        subset = self.subset(where)
        return (self.codes, subset.ids) if subset.codes is None else (subset.codes, None)


def may_be_there(path: str, bad: Mapping[str, str]) -> bool:
    """Whether a file that is not in results may still be there, unread.

    It is one of the bad ones, or a folder above it cannot be looked into.
    """
    if path in bad:
        return True
    folder = os.path.dirname(path)
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    while folder != os.path.dirname(folder):
        if not os.access(folder, os.R_OK | os.X_OK):
            return True
        folder = os.path.dirname(folder)
    return False


def holds(root: str, paths: Sequence[str]) -> bool:
    """Whether one of the paths lies in a folder."""
    inside = root.rstrip(os.sep) + os.sep
    return any(path.startswith(inside) for path in paths)


def load_photos(folder: Path, address: str) -> "Synced":
    """Make an index in a database equal to that in a folder.

    Returns:
        See `PhotoIndex.take`.

    Raises:
        SsahError: No index, or the one in the database is of another encoder.
    """
    with PhotoIndex.open(folder) as photos:
        encoder = photos.encoder(threads=1)
        with PhotoIndex.open(address, encoder) as stored:
            stored.storage.keep_encoder(encoder)
            return stored.take(photos)
