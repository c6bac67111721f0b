"""An index of photos in a database: what has changed is written, the rest stays where it is."""

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.parts import as_name
from ssah_tf.search.backends.address import Address, older
from ssah_tf.search.backends.storage import State
from ssah_tf.search.backends.stored import (
    ABOUT,
    ENCODER,
    Change,
    CodesOf,
    PhotoStore,
    StoredCodes,
    StoredTable,
)
from ssah_tf.search.missing import Aside, Missing, from_bytes, to_bytes
from ssah_tf.system.errors import NewerError, SsahError
from ssah_tf.system.files import cache_folder
from ssah_tf.system.reading import parse_json

#: Of an index of photos; 2 has the columns `mtime_ns` and `perceptual_hash`, 3 missing photos, 4
#: dates.
FORMAT = 4
#: The oldest that is read as it is: its tables have the same columns, but for those of dates.
READ = 2


class DatabaseStorage:
    """A database. See `Storage`.

    A search asks the database. What needs all codes (taking in photos, near duplicates, statistics)
    brings them here, and `save` writes what has changed.

    Args:
        store: The database.

    Attributes:
        codes: As they were read or written last.
        table: The photos, likewise.
        about: What the index said of itself then; `None` if there was no index.
        missing: The missing photos, as they were read or written last.
    """

    def __init__(self, store: PhotoStore):
        self.store = store
        self.cannot: Mapping[str, str] = store.cannot
        self.codes = StoredCodes(store.index)
        self.table = StoredTable(store, self.codes)
        self.about: bytes | None = None
        self.missing = Missing()
        self.revision = 0
        self.encoder_source: Path | None = None

    def __str__(self) -> str:
        return str(self.store.address)

    def load(self, encoder: Encoder | None = None, whole: bool = False) -> State:
        """See `Storage.load`."""
        stamp = self.stamp()
        self.about = self.store.file(ABOUT)
        if self.about is not None:
            state = self.read(self.about, stamp, encoder is not None)
        elif encoder is None or len(self.store.index):
            raise SsahError(
                f"{self}: not an index of photos; make one with `ssah index`, under another name "
                "if this one has codes"
            )
        else:
            state = State(self.codes, self.table, encoder.image_size, stamp=stamp)
        if whole:
            missing = Missing.of(state.missing.rows)
            codes, table = self.codes.whole(), self.table.whole()
            state = replace(state, codes=codes, table=table, missing=missing)
            if self.stamp() != stamp:
                raise SsahError(f"{self} was changed while it was read; run the same command again")
        return state

    def read(self, about: bytes, stamp: str, upgrade: bool = False) -> State:
        """The state that an index speaks of.

        Args:
            about: What it says of itself.
            stamp: See `State`.
            upgrade: Bring one of an older version into the form of this one.

        Raises:
            SsahError: It is damaged, or of another version.
        """
        try:
            found = parse_json(about)
            if found["format"] < READ and not upgrade:
                raise older(self.store.address)
            if found["format"] < READ:
                self.store.upgrade()
            if found["format"] > FORMAT:
                raise NewerError(self, found["format"], FORMAT)
            self.revision = int(found["revision"])
            roots = tuple(map(str, found["roots"]))
            size, next_id = int(found["image_size"]), int(found["next_id"])
        except (ValueError, KeyError, TypeError) as error:
            raise SsahError(f"{self}: not an index of photos ({error})") from None
        self.missing = Missing(self.read_missing)
        return State(self.codes, self.table, size, roots, next_id, stamp, self.missing)

    def read_missing(self) -> dict[int, Aside]:
        """The missing photos.

        Raises:
            SsahError: They are damaged.
        """
        content = self.store.missing()
        try:
            return {} if content is None else from_bytes(content, "missing")
        except ValueError as error:
            raise SsahError(f"{self}: not an index of photos ({error})") from None

    def stamp(self) -> str:
        """See `Storage.stamp`."""
        return self.store.stamp()

    def save(self, state: State) -> None:
        """See `Storage.save`; what a transaction is depends on the database."""
        change = self.change(state)
        about = {
            "format": FORMAT,
            "image_size": state.image_size,
            "next_id": state.next_id,
            "revision": self.revision + 1,
            "roots": state.roots,
        }
        change.files[ABOUT] = json.dumps(about).encode()
        with self.store.writing():
            if self.store.file(ABOUT) != self.about:
                raise SsahError(
                    f"{self}: another process has changed it; run the same command again"
                )
            if self.encoder_source is not None and (
                change.codes_of is not None or self.store.file(ENCODER) is None
            ):
                change.files[ENCODER] = self.encoder_source.read_bytes()
            self.store.write(change)
        self.about, self.revision = change.files[ABOUT], self.revision + 1
        self.codes = StoredCodes(self.store.index)
        self.codes.read = state.codes.ids, state.codes.full_codes
        self.table = StoredTable(self.store, self.codes)
        self.table.read = state.table.whole().in_memory()
        self.missing = Missing.of(state.missing.rows)

    def change(self, state: State) -> Change:
        """What `save` has to write."""
        new, codes_of = state.codes, None
        saved, codes = self.codes.read
        before = self.table.read
        ids = saved
        full, of = new.full_codes, CodesOf.of(new)
        if of != CodesOf.of(self.codes):
            codes_of = of
            ids, codes = ids[:0], full[:0]
        fresh, stays = ~np.isin(new.ids, ids), np.isin(ids, new.ids)
        changed = np.zeros(len(new.ids), bool)
        changed[~fresh] = (full[~fresh] != codes[stays]).any(axis=1)
        gone = np.concatenate([saved, np.array(list(before), np.int64)])
        photos = state.table.whole().in_memory()
        aside = state.missing.rows
        return Change(
            (new.ids[fresh], full[fresh]),
            (new.ids[changed], full[changed]),
            np.setdiff1d(gone, new.ids),
            {n: p for n, p in photos.items() if codes_of or before.get(n) != p},
            missing=to_bytes(aside) if codes_of or aside != self.missing.rows else None,
            codes_of=codes_of,
        )

    def keep_encoder(self, encoder: Encoder) -> None:
        """See `Storage.keep_encoder`; it is written with the codes."""
        self.encoder_source = encoder.path

    @contextmanager
    def encoder_file(self, model_id: str) -> Iterator[Path]:
        """See `Storage.encoder_file`."""
        content = self.store.file(ENCODER)
        if content is None:
            raise SsahError(f"{self}: its encoder {model_id} is missing; run `ssah index` again")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "encoder.onnx"
            path.write_bytes(content)
            yield path

    def parts(self, model_id: str) -> Path:
        """See `Storage.parts`; they lie on this machine until all is done."""
        return local_folder(self.store.address) / f"parts-{as_name(model_id)}"

    def disk(self) -> dict[str, int]:
        """See `Storage.disk`."""
        return self.store.disk()

    def close(self) -> None:
        """See `Storage.close`."""
        self.store.index.close()


def local_folder(address: Address) -> Path:
    """Where this machine keeps what is not yet in a database."""
    return cache_folder() / hashlib.sha256(str(address).encode()).hexdigest()[:16]
