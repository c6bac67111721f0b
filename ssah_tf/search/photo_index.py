"""An index of photo files: kept in step with folders, searched by image."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ssah_tf.encoding.encode import find_images
from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.parts import Parts, as_name
from ssah_tf.search.backends.address import refuse_address
from ssah_tf.search.code_index import ARRAYS, CodeIndex
from ssah_tf.search.filters import matching
from ssah_tf.search.photo_table import Photo, PhotoTable
from ssah_tf.system.errors import SsahError
from ssah_tf.system.files import atomic_path, checksum, write_atomically
from ssah_tf.system.reading import parse_json

#: Says which table, codes and encoder belong together; it is written last.
MANIFEST = "photos.json"
#: Of what is saved; another one is told, not read.
FORMAT = 3
TABLE = "photos.parquet"
#: Codes and table are saved to these in turns; the manifest says to which last.
PLACES = ("codes-a", "codes-b")
#: Names of what a first call that was killed may have left.
OURS = re.compile(r"\..*|parts-\w+|codes-[ab]|encoder-\w+\.onnx")


@dataclass(frozen=True)
class Synced:
    """What a `sync` did.

    Attributes:
        added: New photos.
        changed: Photos whose content is another.
        removed: Photos whose file is gone.
        kept: Photos that are as they were.
        bad: Files that cannot be read -> the reason; they are not in the index.
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    kept: int = 0
    bad: dict[str, str] = field(default_factory=dict)


class PhotoIndex:
    """Photos by id, and the codes of their contents.

    Attributes:
        folder: Where it is saved.
        codes: The `CodeIndex`.
        photos: Id -> `Photo`.
        image_size: Of the encoder.
        roots: Files and folders that were indexed last, absolute.
        next_id: What the next photo is called.
        place: Folder, below `folder`, to which codes and photos were saved last.
    """

    def __init__(self, folder: Path, codes: CodeIndex, image_size: int):
        self.folder = folder
        self.codes = codes
        self.image_size = image_size
        self.photos = PhotoTable.of({})
        self.roots: tuple[str, ...] = ()
        self.next_id = 0
        self.place = PLACES[1]

    @classmethod
    def open(cls, folder: Path, encoder: Encoder | None = None, engine: str = "auto"):
        """Open the index in a folder, or begin one if an encoder is given and there is none.

        Raises:
            SsahError: Not an index, or one of another encoder.
        """
        refuse_address(folder)
        about = read_manifest(folder)
        if about is None or (encoder is not None and is_older(about)):
            if encoder is None:
                raise SsahError(f"{folder}: not an index of photos; make one with `ssah index`")
            if (
                about is None
                and folder.is_dir()
                and not all(map(OURS.fullmatch, os.listdir(folder)))
            ):
                raise SsahError(f"{folder} holds something that is no index: name another --output")
            codes = CodeIndex(encoder.bits, encoder.model_id, engine)
            return cls(folder, codes, encoder.image_size)
        try:
            index = cls.load(folder, about, engine)
        except SsahError:
            newer = read_manifest(folder)
            if newer == about:
                raise
            index = cls.load(folder, newer, engine)  # it was saved anew while we read
        if encoder is not None:
            index.check(encoder)
        return index

    @classmethod
    def load(cls, folder: Path, about: dict, engine: str) -> "PhotoIndex":
        """The saved index that a manifest speaks of.

        Raises:
            SsahError: It was made by another version, or a part is missing or damaged.
        """
        if about.get("format") != FORMAT:
            raise SsahError(
                f"{folder} was made by another version of ssah-tf: run `ssah index` again"
            )
        try:
            place, table = about["codes"], about["photos"]
            if place not in PLACES:
                raise ValueError(f"codes in {place!r}")
            file = folder / place / TABLE
            if checksum(file) != table["sha256"]:
                raise ValueError(f"{file.name} is damaged: its checksum differs")
            index = cls(folder, CodeIndex.load(folder / place, engine), int(about["image_size"]))
            index.photos = PhotoTable.read(file)
            if not np.array_equal(index.photos.ids, index.codes.ids):
                raise ValueError("photos without codes")
            index.roots, index.next_id = tuple(map(str, about["roots"])), int(about["next_id"])
            index.place = place
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SsahError(f"{folder}: not an index of photos of ssah-tf ({error})") from None
        return index

    def check(self, encoder: Encoder) -> None:
        """Refuse an encoder whose codes mean something else.

        Raises:
            SsahError: It is another model than that of the index.
        """
        if encoder.model_id != self.codes.model_id:
            raise SsahError(
                f"{self.folder} was made by model {self.codes.model_id}, the encoder is "
                f"{encoder.model_id}: their codes cannot be compared; to change the encoder of an "
                "index use `ssah migrate`"
            )

    def __len__(self) -> int:
        return len(self.photos)

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
        self.keep_encoder(encoder)
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
        parts = Parts(self.parts(encoder), encoder)
        found, bad = parts.encode(to_read, known, progress, codes)

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
        self.photos, self.roots = PhotoTable.of(photos), tuple(map(os.path.abspath, sources))
        self.save()
        parts.clear()
        kept = len(self.photos) - len(new) - len(again)
        return Synced(len(new), len(again), len(gone), kept, bad)

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
            SsahError: Files cannot be read now, and are not to be left out.
        """
        photos = self.photos.in_memory()
        self.keep_encoder(encoder)
        parts = Parts(self.parts(encoder), encoder)
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
        self.photos = PhotoTable.of(
            {
                number: replace(Photo.of(found[photos[number].path]), labels=photos[number].labels)
                for number in kept
            }
        )
        self.image_size = encoder.image_size
        self.save()
        parts.clear()
        return bad

    def encoder_path(self, model_id: str) -> Path:
        """Copy of an encoder, so that an index can be asked by image without anything else."""
        return self.folder / f"encoder-{as_name(model_id)}.onnx"

    def keep_encoder(self, encoder: Encoder) -> None:
        """Copy the encoder into the index, once."""
        target = self.encoder_path(encoder.model_id)
        if not target.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as path:
                shutil.copyfile(encoder.path, path)

    def encoder(self, threads: int = 0) -> Encoder:
        """The encoder of the index.

        Raises:
            SsahError: It is missing or another one.
        """
        encoder = Encoder.load(self.encoder_path(self.codes.model_id), threads=threads)
        self.check(encoder)
        return encoder

    def neighbours(
        self,
        queries: np.ndarray,
        k: int | None = None,
        radius: int | None = None,
        where: Sequence[str] = (),
    ) -> list[list[tuple[Photo, int]]]:
        """Photos and their distances for each code, nearest first.

        Args:
            queries: Packed codes, uint8 `(q, bytes)`.
            k: How many at most; by default all within the radius.
            radius: Largest distance, included; any by default.
            where: Conditions (see `photo_filter.matching`): neighbours are the nearest of the
                photos that meet all of them.

        Raises:
            SsahError: Neither k nor a radius is given, or a condition cannot be met.
        """
        among = self.photos.ids[matching(self.photos, where)] if where else None
        if k is not None:
            limit = self.codes.bits if radius is None else radius
            rows = list(zip(*self.codes.search(queries, k, among), strict=True))
        elif radius is not None:
            limit, rows = radius, self.codes.range_search(queries, radius, among)
        else:
            raise SsahError("give k, a radius, or both")
        rows = [(ids[far <= limit].tolist(), far[far <= limit].tolist()) for ids, far in rows]
        photos = self.named({number for ids, _ in rows for number in ids})
        return [
            [(photos[number], distance) for number, distance in zip(ids, far, strict=True)]
            for ids, far in rows
        ]

    def named(self, ids: Iterable[int]) -> Mapping[int, Photo]:
        """Photos by id, of these ids at least."""
        return self.photos

    def parts(self, encoder: Encoder) -> Path:
        """Folder of what an encoder has encoded before all is done."""
        return self.folder / f"parts-{as_name(encoder.model_id)}"

    def save(self) -> None:
        """Write codes and table, then the manifest that names them; killed, the old state stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        place = PLACES[1 - PLACES.index(self.place)]
        self.codes.save(self.folder / place)
        self.photos.write(self.folder / place / TABLE)
        digest = checksum(self.folder / place / TABLE)
        about = {
            "format": FORMAT,
            "codes": place,
            "photos": {"rows": len(self.photos), "sha256": digest},
            "image_size": self.image_size,
            "next_id": self.next_id,
            "roots": self.roots,
        }
        write_atomically(self.folder / MANIFEST, json.dumps(about, indent=1).encode())
        self.place = place
        for path in self.folder.iterdir():  # of the state before
            if path.name in PLACES and path.name != place:
                shutil.rmtree(path, ignore_errors=True)
            elif path.match("encoder*.onnx") and path != self.encoder_path(self.codes.model_id):
                path.unlink(missing_ok=True)

    def disk(self) -> dict[str, int]:
        """Bytes of the files of the index, by what they hold."""
        sizes = dict.fromkeys(("codes", "photos", "encoder", "other"), 0)
        for path in self.folder.rglob("*"):
            if path.is_file():
                starts = path.name.split("-")[0].split(".")[0]
                kind = "codes" if starts in (*ARRAYS, "index") else starts
                sizes[kind if kind in sizes else "other"] += path.stat().st_size
        return sizes


def is_older(about: dict) -> bool:
    """Whether a manifest is one of an older version of ssah-tf."""
    return isinstance(about.get("format", 1), int) and about.get("format", 1) < FORMAT


def read_manifest(folder: Path) -> dict | None:
    """What the manifest of an index says, or `None`: there is no index.

    Raises:
        SsahError: It is damaged.
    """
    try:
        about = parse_json((folder / MANIFEST).read_bytes())
        if not isinstance(about, dict):
            raise ValueError("not an object")
        return about
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise SsahError(f"{folder}: not an index of photos of ssah-tf ({error})") from None
