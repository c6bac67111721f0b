"""Parts: what is encoded of a folder that changes, kept until all of it is where it belongs."""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.record_file import read_records, write_records
from ssah_tf.encoding.records import Known, Record, Records, Uint8, encode_records, unchanged
from ssah_tf.encoding.shards import read_shards

#: Files a part: what a kill costs at most.
PART = 1024


class Parts:
    """A folder of what an encoder has encoded; unlike `Shards` of any files in any order.

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
        known: Known,
        progress: Callable[[int, int], None],
        shards: Path | None = None,
        of_features: Mapping[bytes, Uint8] | None = None,
    ) -> tuple[dict[str, Record], dict[str, str]]:
        """Records of the readable files, from parts of an earlier call where they fit.

        Args:
            paths: Image files, absolute.
            known: Contents that are not encoded again.
            progress: Is called with how many paths are done, and how many there are.
            shards: Folder of shards that `ssah encode` wrote, to take records from.
            of_features: See `encode_records`.

        Returns:
            Path -> record in the order of the paths, and path -> reason of the bad ones.

        Raises:
            SsahError: See `read_shards` and `encode_records`; or an older version wrote a part.
        """
        found: dict[str, Record] = {}
        bad: dict[str, str] = {}
        known, wanted = dict(known), set(paths)
        for record in chain(self.read(), self.in_shards(shards) if shards else ()):
            known.setdefault(record.digest, (record.perceptual_hash, record.code))
            if record.path in wanted:
                found[record.path] = record
        found = {p: r for p, r in found.items() if unchanged(p, r.size, r.mtime_ns)}
        left = [path for path in paths if path not in found]
        done = len(found)
        progress(done, len(paths))
        for start in range(0, len(left), PART):
            part = []
            some = left[start : start + PART]
            for batch in encode_records(self.encoder, some, known=known, of_features=of_features):
                part += batch
                done += len(batch)
                progress(done, len(paths))
            records = Records.of(self.encoder, part)
            self.write(records)
            found |= {one.path: one for one in part if isinstance(one, Record)}
            bad |= records.bad
        return {path: found[path] for path in paths if path in found}, bad

    def files(self) -> list[Path]:
        """The parts, oldest first."""
        return sorted(self.folder.glob("[0-9]*.npz"))

    def write(self, records: Records) -> None:
        """Keep what is encoded; the name says how many parts there were."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_records(self.folder / f"{len(self.files()):06d}.npz", records)

    def read(self) -> Iterator[Record]:
        """What is kept, of this encoder; files that could not be read then are tried again.

        Raises:
            SsahError: An older version wrote a part.
        """
        for file in self.files():
            records = read_records(file, f"remove {self.folder}, what is in it is encoded again")
            ours = self.encoder.model_id, self.encoder.bits, self.encoder.appearance_bits
            if records is not None and ours == (
                records.model_id,
                records.bits,
                records.appearance_bits,
            ):
                yield from records

    def in_shards(self, folder: Path) -> Iterator[Record]:
        """What is in a folder of shards; relative paths are relative to the current folder.

        Raises:
            SsahError: See `read_shards`.
        """
        for records in read_shards(folder, self.encoder.model_id):
            for record in records:
                yield replace(record, path=os.path.abspath(record.path))

    def clear(self) -> None:
        """All is where it belongs: let go."""
        shutil.rmtree(self.folder, ignore_errors=True)


def as_name(model_id: str) -> str:
    """A model id as a part of a file name, whatever a stranger's file says that it is."""
    return re.sub(r"[^0-9A-Za-z]", "_", model_id)
