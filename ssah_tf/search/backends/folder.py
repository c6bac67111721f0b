"""An index of photos in a folder: codes, table, encoder, and a manifest that is written last."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.parts import as_name
from ssah_tf.search.backends.storage import State
from ssah_tf.search.code_index import ARRAYS, CodeIndex
from ssah_tf.search.missing import Aside, Missing, from_bytes, read_older, to_bytes
from ssah_tf.search.photo_table import PhotoTable
from ssah_tf.system.errors import NewerError, SsahError
from ssah_tf.system.files import atomic_path, checksum, write_atomically
from ssah_tf.system.reading import parse_json

#: Says which table, codes and encoder belong together; it is written last.
MANIFEST = "photos.json"
#: Of what is saved; 5 keeps missing photos, 6 dates. Older ones from 4 on are read, too.
FORMAT = 6
READ = (4, 5, FORMAT)
TABLE, MISSING = "photos.parquet", "missing.parquet"
#: Codes and table are saved to these in turns; the manifest says to which last.
PLACES = ("codes-a", "codes-b")
#: Names of what a first call that was killed may have left.
OURS = re.compile(r"\..*|parts-\w+|codes-[ab]|encoder-\w+\.onnx")


class FolderStorage:
    """A folder. See `Storage`.

    Args:
        folder: The folder; made when there is something to keep.
        engine: Of the codes. See `make_engine`.

    Attributes:
        place: Folder, below `folder`, to which codes and photos were saved last.
    """

    cannot: Mapping[str, str] = {}

    def __init__(self, folder: Path, engine: str = "auto"):
        self.folder = folder
        self.engine = engine
        self.place = PLACES[1]

    def __str__(self) -> str:
        return str(self.folder)

    def load(self, encoder: Encoder | None = None, whole: bool = False) -> State:
        """See `Storage.load`; the arrays of the codes stay on disk, mapped, until they are needed.

        All photos of an index of an older version are missing where an encoder is given: they are
        taken in anew, and have their ids and labels again.
        """
        stamp = self.stamp()
        about = read_manifest(self.folder)
        if about is None or (encoder is not None and is_older(about)):
            if encoder is None:
                raise SsahError(f"{self}: not an index of photos; make one with `ssah index`")
            if about is None and not self.is_ours():
                raise SsahError(f"{self} holds something that is no index: name another --output")
            looks = encoder.appearance_bits
            codes = CodeIndex(encoder.bits, encoder.model_id, self.engine, looks)
            empty = State(codes, PhotoTable.of({}), encoder.image_size)
            return empty if about is None else replace(empty, **self.older(about))
        try:
            return self.read(about, stamp)
        except SsahError:
            stamp = self.stamp()
            newer = read_manifest(self.folder)
            if newer is None or newer == about:
                raise
            return self.read(newer, stamp)  # it was saved anew while we read

    def is_ours(self) -> bool:
        """Whether the folder is not there, or holds nothing but what a killed call may leave."""
        return not self.folder.is_dir() or all(map(OURS.fullmatch, os.listdir(self.folder)))

    def read(self, about: dict[str, Any], stamp: str) -> State:
        """The saved state that a manifest speaks of.

        Raises:
            SsahError: It was made by another version, or a part is missing or damaged.
        """
        if is_older(about):
            raise SsahError(
                f"{self} was made by an older version of ssah-tf: run `ssah index` again, which "
                "makes it anew and keeps its labels"
            )
        if isinstance(found := about.get("format"), int) and found > FORMAT:
            raise NewerError(self, found, FORMAT)
        try:
            if about["format"] not in READ:
                raise ValueError(f"format {about['format']!r}")
            place, photos = about["codes"], about["photos"]
            if place not in PLACES:
                raise ValueError(f"codes in {place!r}")
            file = self.folder / place / TABLE
            if checksum(file) != photos["sha256"]:
                raise ValueError(f"{file.name} is damaged: its checksum differs")
            codes = CodeIndex.load(self.folder / place, self.engine)
            table = PhotoTable.read(file)
            if not np.array_equal(table.ids, codes.ids):
                raise ValueError("photos without codes")
            roots = tuple(map(str, about["roots"]))
            size, next_id = int(about["image_size"]), int(about["next_id"])
            aside = self.read_missing(place, about["missing"]) if about["format"] > 4 else {}
            state = State(codes, table, size, roots, next_id, stamp, Missing.of(aside))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SsahError(f"{self}: not an index of photos of ssah-tf ({error})") from None
        self.place = place
        return state

    def read_missing(self, place: str, about: dict[str, Any]) -> dict[int, Aside]:
        """The missing photos of a saved state.

        Raises:
            ValueError: They are damaged.
            OSError: They cannot be read.
        """
        file = self.folder / place / MISSING
        if checksum(file) != about["sha256"]:
            raise ValueError(f"{file.name} is damaged: its checksum differs")
        return from_bytes(file.read_bytes(), file.name) if about["rows"] else {}

    def older(self, about: dict[str, Any]) -> dict[str, Any]:
        """What an index of an older version has that is kept: photos, as missing, and ids.

        Raises:
            SsahError: It cannot be read, so that labels would be lost.
        """
        place = about.get("codes")
        if about.get("format", 1) == 1:
            return {}  # it had no labels
        try:
            if place not in PLACES:
                raise ValueError(f"codes in {place!r}")
            self.place = place
            rows = read_older(self.folder / place / TABLE)
            next_id = max([int(about["next_id"]), *(number + 1 for number in rows)])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SsahError(
                f"{self} was made by an older version of ssah-tf, and its photos and labels cannot "
                f"be read ({error}): name another --output"
            ) from None
        return {"missing": Missing.of(rows), "next_id": next_id}

    def stamp(self) -> str:
        """See `Storage.stamp`."""
        try:
            found = os.stat(self.folder / MANIFEST)
        except OSError:
            return ""
        return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"

    def save(self, state: State) -> None:
        """Write codes and table, then the manifest that names them; killed, the old state stays."""
        self.folder.mkdir(parents=True, exist_ok=True)
        place = PLACES[1 - PLACES.index(self.place)]
        codes, table = state.codes.whole(), state.table.whole()
        codes.save(self.folder / place)
        table.write(self.folder / place / TABLE)
        digest = checksum(self.folder / place / TABLE)
        aside = to_bytes(state.missing.rows)
        write_atomically(self.folder / place / MISSING, aside)
        about = {
            "format": FORMAT,
            "codes": place,
            "photos": {"rows": len(table), "sha256": digest},
            "missing": {"rows": len(state.missing), "sha256": sha256(aside).hexdigest()},
            "image_size": state.image_size,
            "next_id": state.next_id,
            "roots": state.roots,
        }
        write_atomically(self.folder / MANIFEST, json.dumps(about, indent=1).encode())
        self.place = place
        for path in self.folder.iterdir():  # of the state before
            if path.name in PLACES and path.name != place:
                shutil.rmtree(path, ignore_errors=True)
            elif path.match("encoder*.onnx") and path != self.encoder_path(codes.model_id):
                path.unlink(missing_ok=True)

    def encoder_path(self, model_id: str) -> Path:
        """Where the copy of an encoder lies."""
        return self.folder / f"encoder-{as_name(model_id)}.onnx"

    def keep_encoder(self, encoder: Encoder) -> None:
        """See `Storage.keep_encoder`; it is copied once."""
        target = self.encoder_path(encoder.model_id)
        if not target.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as path:
                shutil.copyfile(encoder.path, path)

    @contextmanager
    def encoder_file(self, model_id: str) -> Iterator[Path]:
        """See `Storage.encoder_file`."""
        yield self.encoder_path(model_id)

    def parts(self, model_id: str) -> Path:
        """See `Storage.parts`."""
        return self.folder / f"parts-{as_name(model_id)}"

    def disk(self) -> dict[str, int]:
        """See `Storage.disk`."""
        sizes = dict.fromkeys(("codes", "photos", "encoder", "other"), 0)
        for path in self.folder.rglob("*"):
            if path.is_file():
                starts = path.name.split("-")[0].split(".")[0]
                kind = "codes" if starts in (*ARRAYS, "index") else starts
                sizes[kind if kind in sizes else "other"] += path.stat().st_size
        return sizes

    def close(self) -> None:
        """See `Storage.close`; nothing is open."""
        return


def is_older(about: dict[str, Any]) -> bool:
    """Whether a manifest is one of an older version of ssah-tf."""
    found = about.get("format", 1)
    return isinstance(found, int) and found < READ[0]


def read_manifest(folder: Path) -> dict[str, Any] | None:
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
