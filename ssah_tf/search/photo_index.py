"""An index of photo files: kept in step with folders, searched by image."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ssah_tf.data.image_set import content_digest, in_batches
from ssah_tf.data.images import decode, printable
from ssah_tf.encode import find_images
from ssah_tf.encoder import Encoder
from ssah_tf.errors import ImageError, SsahError
from ssah_tf.files import atomic_path, write_atomically
from ssah_tf.reading import parse_json, read_arrays
from ssah_tf.search.code_index import CodeIndex

#: Photos a part: what a kill costs at most.
PART = 1024
BATCH = 64
PARTS = "parts"
#: Copy of the encoder, so that an index can be asked by image without anything else.
ENCODER = "encoder.onnx"
PHOTOS = "photos.json"
#: Codes are saved to these in turns; `photos.json` says to which last.
PLACES = ("codes-a", "codes-b")


@dataclass(frozen=True)
class Photo:
    """A file of the index.

    Attributes:
        path: As it was given, or below a folder that was.
        digest: SHA-256 of its content, hexadecimal.
        size: Bytes.
        changed: Time of the last change, nanoseconds.
    """

    path: str
    digest: str
    size: int
    changed: int

    def unchanged(self) -> bool:
        """Whether the file looks as it did, without reading it."""
        try:
            found = os.stat(self.path)
        except OSError:
            return False
        return (self.size, self.changed) == (found.st_size, found.st_mtime_ns)


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
        next_id: What the next photo is called.
        place: Folder, below `folder`, to which the codes were saved last.
    """

    def __init__(self, folder: Path, codes: CodeIndex, image_size: int):
        self.folder = folder
        self.codes = codes
        self.image_size = image_size
        self.photos: dict[int, Photo] = {}
        self.next_id = 0
        self.place = PLACES[1]

    @classmethod
    def open(cls, folder: Path, encoder: Encoder | None = None, engine: str = "auto"):
        """Open the index in a folder, or begin one if an encoder is given and there is none.

        Raises:
            SsahError: Not an index, or one of another encoder.
        """
        if not (folder / PHOTOS).is_file():
            if encoder is None:
                raise SsahError(f"{folder}: not an index of photos; make one with `ssah index`")
            # What a first call that was killed may have left.
            ours = {PARTS, ENCODER, *PLACES}
            if folder.is_dir() and any(
                name not in ours and not name.startswith(".") for name in os.listdir(folder)
            ):
                raise SsahError(f"{folder} holds something that is no index: name another --output")
            codes = CodeIndex(encoder.bits, encoder.model_id, engine)
            return cls(folder, codes, encoder.image_size)
        about, photos = read_photos(folder)
        # The codes of the very saving that the photos belong to.
        index = cls(folder, CodeIndex.load(folder / about["codes"], engine), about["image_size"])
        if list(photos) != index.codes.ids.tolist():
            raise SsahError(f"{folder}: not an index of photos of ssah-tf (photos without codes)")
        index.photos, index.next_id, index.place = photos, about["next_id"], about["codes"]
        if encoder is not None:
            index.check(encoder)
        return index

    def check(self, encoder: Encoder) -> None:
        """Refuse an encoder whose codes mean something else.

        Raises:
            SsahError: It is another model than that of the index.
        """
        if encoder.model_id != self.codes.model_id:
            raise SsahError(
                f"{self.folder} was made by model {self.codes.model_id}, the encoder is "
                f"{encoder.model_id}: their codes cannot be compared; index the photos anew"
            )

    def __len__(self) -> int:
        return len(self.photos)

    def sync(
        self,
        encoder: Encoder,
        sources: Sequence[str | Path],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Synced:
        """Make the index hold the photos of the sources, and only those; then save it.

        A file that looks as before (size and time of change) is not read; one that does not is
        encoded again only if its content is another. New codes are kept in parts until all are
        there: killed, the same call goes on from them.

        Args:
            encoder: The encoder of the index.
            sources: Image files, and folders of them.
            progress: Is told how many of the files to read are done, and how many there are.

        Raises:
            SsahError: The encoder is another, or a source does not exist.
        """
        self.check(encoder)
        self.keep_encoder(encoder)
        by_path = {photo.path: number for number, photo in self.photos.items()}
        paths = [os.path.abspath(path) for path in find_images(sources)]
        paths = list(dict.fromkeys(paths))
        wanted = set(paths)
        to_read = [p for p in paths if p not in by_path or not self.photos[by_path[p]].unchanged()]
        known_codes = {
            self.photos[number].digest: code
            for number, code in zip(self.codes.ids.tolist(), self.codes.codes, strict=True)
        }
        found, bad = self.encode(encoder, to_read, known_codes, progress)

        gone = [n for p, n in by_path.items() if p not in wanted or p in bad]
        self.codes.remove(gone)
        for number in gone:
            del self.photos[number]
        new, again = {}, {}
        for path, (photo, code) in found.items():
            number = by_path.get(path)
            if number is None:
                number, self.next_id = self.next_id, self.next_id + 1
                new[number] = code
            elif self.photos[number].digest != photo.digest:
                again[number] = code
            self.photos[number] = photo
        width = self.codes.codes.shape[1]
        for put, change in ((self.codes.add, new), (self.codes.update, again)):
            put(list(change), np.array(list(change.values()), np.uint8).reshape(-1, width))
        self.save()
        shutil.rmtree(self.folder / PARTS, ignore_errors=True)
        kept = len(self.photos) - len(new) - len(again)
        return Synced(len(new), len(again), len(gone), kept, bad)

    def keep_encoder(self, encoder: Encoder) -> None:
        """Copy the encoder into the index, once."""
        target = self.folder / ENCODER
        if not target.is_file() or not (self.folder / PHOTOS).is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as path:
                shutil.copyfile(encoder.path, path)

    def encoder(self, threads: int = 0) -> Encoder:
        """The encoder of the index.

        Raises:
            SsahError: It is missing or another one.
        """
        encoder = Encoder.load(self.folder / ENCODER, threads=threads)
        self.check(encoder)
        return encoder

    def neighbours(
        self, queries: np.ndarray, k: int, radius: int | None = None
    ) -> list[list[tuple[Photo, int]]]:
        """Photos and their distances for each code, nearest first.

        Args:
            queries: Packed codes, uint8 `(q, bytes)`.
            k: How many at most.
            radius: Largest distance, included; any by default.
        """
        ids, distances = self.codes.search(queries, k)
        limit = self.codes.bits if radius is None else radius
        return [
            [(self.photos[i], d) for i, d in zip(*row, strict=True) if d <= limit]
            for row in zip(ids.tolist(), distances.tolist(), strict=True)
        ]

    def encode(self, encoder: Encoder, paths: list[str], known: dict, progress):
        """Photo and code of each readable file, from parts of an earlier call where they fit.

        Returns:
            Path -> (`Photo`, code), and path -> reason of the bad ones.
        """
        found, bad = {}, {}
        for photo, code in self.read_parts(encoder):
            found[photo.path] = (photo, code)
        wanted = set(paths)
        found = {p: v for p, v in found.items() if p in wanted and v[0].unchanged()}
        left = [path for path in paths if path not in found]
        done = len(found)
        progress(done, len(paths))
        for start in range(0, len(left), PART):
            part = {}
            for batch in in_batches(self.read_one(known), left[start : start + PART], BATCH):
                fresh = [result for result in batch if isinstance(result[1], np.ndarray)]
                pixels = [result[1] for result in fresh if result[1].ndim == 3]
                codes = iter(encoder.encode(np.stack(pixels)) if pixels else ())
                for photo, value in fresh:
                    part[photo.path] = (photo, next(codes) if value.ndim == 3 else value)
                bad |= {path: reason for path, reason in batch if isinstance(reason, str)}
                done += len(batch)
                progress(done, len(paths))
            self.write_part(encoder, part)
            found |= part
        return found, bad

    def read_one(self, known: dict):
        """What a decoder thread does: a photo with its pixels, or its code, or the reason."""

        def read(path: str):
            try:
                before = os.stat(path)
                with open(path, "rb") as stream:
                    content = stream.read()
                digest = content_digest(content)
                photo = Photo(path, digest, before.st_size, before.st_mtime_ns)
                if digest in known:
                    return photo, known[digest]
                return photo, decode(content, self.image_size, name=path)
            except ImageError as error:
                return path, str(error)
            except OSError as error:
                return path, f"{printable(path)}: {error.strerror}"

        return read

    def write_part(self, encoder: Encoder, part: dict) -> None:
        """Keep what is encoded; the name says how many parts there are."""
        folder = self.folder / PARTS
        folder.mkdir(parents=True, exist_ok=True)
        photos = [vars(photo) for photo, _ in part.values()]
        codes = np.array([code for _, code in part.values()], np.uint8)
        with atomic_path(folder / f"{len(list(folder.glob('*.npz'))):06d}.npz") as path:
            text = json.dumps({"model_id": encoder.model_id, "photos": photos})
            np.savez(path, codes=codes, about=np.frombuffer(text.encode(), np.uint8))

    def read_parts(self, encoder: Encoder):
        """Photos and codes of the parts that this encoder left; others are passed over."""
        for path in sorted((self.folder / PARTS).glob("*.npz")):
            try:
                arrays = read_arrays(path)
                about, codes = parse_json(arrays["about"].tobytes()), arrays["codes"]
                if about["model_id"] == encoder.model_id:
                    yield from zip([Photo(**p) for p in about["photos"]], codes, strict=True)
            except (OSError, ValueError, KeyError, TypeError):
                continue  # damaged: these photos are encoded again

    def save(self) -> None:
        """Write codes, then `photos.json`, which names them; killed, the old state stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        old, place = self.place, PLACES[1 - PLACES.index(self.place)]
        self.codes.save(self.folder / place)
        about = {
            "codes": place,
            "image_size": self.image_size,
            "next_id": self.next_id,
            "photos": {str(number): list(vars(p).values()) for number, p in self.photos.items()},
        }
        write_atomically(self.folder / PHOTOS, json.dumps(about).encode())
        self.place = place
        shutil.rmtree(self.folder / old, ignore_errors=True)


def read_photos(folder: Path) -> tuple[dict, dict[int, Photo]]:
    """What `photos.json` says, and its photos by id.

    Raises:
        SsahError: It is damaged.
    """
    try:
        about = parse_json((folder / PHOTOS).read_bytes())
        photos = {int(number): Photo(*values) for number, values in about["photos"].items()}
        if about["codes"] not in PLACES:
            raise ValueError(f"codes in {about['codes']!r}")
        int(about["image_size"]), int(about["next_id"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SsahError(f"{folder}: not an index of photos of ssah-tf ({error})") from None
    return about, photos
