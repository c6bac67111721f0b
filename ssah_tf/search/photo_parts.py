"""Photos on their way into an index: encoded, and kept in parts until all are there."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from ssah_tf.data.decode import decode, regular
from ssah_tf.data.image_set import content_digest
from ssah_tf.data.perceptual_hash import perceptual_hash
from ssah_tf.data.threads import in_batches
from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.shards import read_shards
from ssah_tf.search.photo_table import Photo
from ssah_tf.system.errors import ImageError
from ssah_tf.system.files import atomic_path
from ssah_tf.system.reading import parse_json, read_arrays
from ssah_tf.system.text import printable

#: Photos a part: what a kill costs at most.
PART = 1024
BATCH = 64

#: A photo and its code.
Coded = tuple[Photo, np.ndarray]


class Parts:
    """A folder of what an encoder has encoded.

    Args:
        folder: Made when there is something to keep.
        encoder: Parts of another one are passed over.
    """

    def __init__(self, folder: Path, encoder: Encoder):
        self.folder = folder
        self.encoder = encoder

    def encode(
        self,
        paths: list[str],
        known: dict[str, tuple[bytes, np.ndarray]],
        progress: Callable[[int, int], None],
        shards: Path | None = None,
    ) -> tuple[dict[str, Coded], dict[str, str]]:
        """Photo and code of each readable file, from parts of an earlier call where they fit.

        Args:
            paths: Image files.
            known: Digest of a content -> its perceptual hash and code; those are not encoded again.
            progress: Is told how many paths are done, and how many there are.
            shards: Folder of shards that `ssah encode` wrote, to take photos from.

        Returns:
            Path -> (`Photo`, code) in the order of the paths, and path -> reason of the bad ones.
        """
        found, bad, known = {}, {}, dict(known)
        for photo, code in chain(self.read(), photos_of(shards, self.encoder) if shards else ()):
            found[photo.path] = (photo, code)
            known.setdefault(photo.digest, (photo.perceptual_hash, code))
        wanted = set(paths)
        found = {p: v for p, v in found.items() if p in wanted and v[0].unchanged()}
        left = [path for path in paths if path not in found]
        done = len(found)
        progress(done, len(paths))
        for start in range(0, len(left), PART):
            part = {}
            for batch in in_batches(self.reader(known), left[start : start + PART], BATCH):
                fresh = [result for result in batch if isinstance(result[1], np.ndarray)]
                pixels = [value for _, value in fresh if value.ndim == 3]
                codes = iter(self.encoder.encode(np.stack(pixels)) if pixels else ())
                for photo, value in fresh:
                    part[photo.path] = (photo, next(codes) if value.ndim == 3 else value)
                bad |= {path: reason for path, reason in batch if isinstance(reason, str)}
                done += len(batch)
                progress(done, len(paths))
            self.write(part)
            found |= part
        return {path: found[path] for path in paths if path in found}, bad

    def reader(self, known: dict[str, tuple[bytes, np.ndarray]]) -> Callable:
        """What a decoder thread does: a photo with its pixels, or its code, or the reason."""

        def read(path: str):
            try:
                before = regular(path, path)
                with open(path, "rb") as stream:
                    content = stream.read()
                digest = content_digest(content)
                value = known.get(digest)
                if value is None:
                    pixels = decode(content, self.encoder.image_size, name=path)
                    value = perceptual_hash(pixels), pixels
                seen, value = value
                photo = Photo(
                    path, digest, before.st_size, before.st_mtime_ns, perceptual_hash=seen
                )
                return photo, value
            except ImageError as error:
                return path, str(error)
            except OSError as error:
                return path, f"{printable(path)}: {error.strerror}"

        return read

    def write(self, part: dict[str, Coded]) -> None:
        """Keep what is encoded; the name says how many parts there are."""
        self.folder.mkdir(parents=True, exist_ok=True)
        photos = [
            (p.path, p.digest, p.size, p.mtime_ns, p.perceptual_hash.hex())
            for p, _ in part.values()
        ]
        codes = np.array([code for _, code in part.values()], np.uint8)
        with atomic_path(self.folder / f"{len(list(self.folder.glob('*.npz'))):06d}.npz") as path:
            text = json.dumps({"model_id": self.encoder.model_id, "photos": photos})
            np.savez(path, codes=codes, about=np.frombuffer(text.encode(), np.uint8))

    def read(self) -> Iterator[Coded]:
        """What is kept, of this encoder."""
        for path in sorted(self.folder.glob("*.npz")):
            try:
                arrays = read_arrays(path)
                about, codes = parse_json(arrays["about"].tobytes()), arrays["codes"]
                if about["model_id"] == self.encoder.model_id:
                    photos = [
                        Photo(*p, perceptual_hash=bytes.fromhex(seen))
                        for *p, seen in about["photos"]
                    ]
                    yield from zip(photos, codes, strict=True)
            except (OSError, ValueError, KeyError, TypeError):
                continue  # damaged: these photos are encoded again

    def clear(self) -> None:
        """All is in the index: let go."""
        shutil.rmtree(self.folder, ignore_errors=True)


def photos_of(folder: Path, encoder: Encoder) -> Iterator[Coded]:
    """Photos and codes of a folder of shards.

    Raises:
        SsahError: See `read_shards`.
    """
    for shard in read_shards(folder, encoder.model_id):
        columns = shard.digests, shard.sizes, shard.mtime_ns, shard.perceptual_hash, shard.codes
        for path, digest, size, mtime_ns, seen, code in zip(shard.paths, *columns, strict=True):
            about = digest.tobytes().hex(), int(size), int(mtime_ns)
            yield Photo(os.path.abspath(path), *about, perceptual_hash=seen.tobytes()), code


def as_name(model_id: str) -> str:
    """A model id as a part of a file name, whatever a stranger's file says that it is."""
    return re.sub(r"[^0-9A-Za-z]", "_", model_id)
