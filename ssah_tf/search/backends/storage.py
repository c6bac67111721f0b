"""What every place can do that keeps an index of photos: a folder, or a database."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.search.backends.stored import StoredCodes, StoredTable
from ssah_tf.search.code_index import CodeIndex
from ssah_tf.search.missing import Missing
from ssah_tf.search.photo_table import PhotoTable


@dataclass(frozen=True)
class State:
    """What an index of photos holds at a time.

    Attributes:
        codes: Codes by id; in a database until they are needed here.
        table: Photos by id; likewise.
        image_size: Of the encoder, in pixels.
        roots: Files and folders that were indexed last, absolute.
        next_id: What the next photo is called.
        stamp: See `Storage.stamp`; of the saved state that was read.
        missing: Photos that are kept, but not in results.
    """

    codes: CodeIndex | StoredCodes
    table: PhotoTable | StoredTable
    image_size: int
    roots: tuple[str, ...] = ()
    next_id: int = 0
    stamp: str = ""
    missing: Missing = field(default_factory=Missing)


class Storage(Protocol):
    """Keeps the state of one index. `str` of it is the place as it may be printed.

    Attributes:
        cannot: What it cannot do (the name of a command) -> why, and what to do instead.
    """

    cannot: Mapping[str, str]

    def load(self, encoder: Encoder | None = None, whole: bool = False) -> State:
        """What is saved, or an empty state if an encoder is given and nothing is saved.

        Args:
            encoder: Of an index that is to be begun.
            whole: Bring all codes and photos into memory now, those of one moment.

        Raises:
            SsahError: There is no index, or it is damaged or of another version.
        """

    def stamp(self) -> str:
        """What differs once the index was saved again; a quick look at what is saved now.

        Raises:
            SsahError: The place cannot be looked at.
        """

    def save(self, state: State) -> None:
        """Make a state the saved one; killed at any moment, it is the old or the new.

        Raises:
            SsahError: It cannot be written, or another process has written meanwhile.
        """

    def keep_encoder(self, encoder: Encoder) -> None:
        """Keep a copy of the encoder, so that the index can be searched by image alone."""

    def encoder_file(self, model_id: str) -> AbstractContextManager[Path]:
        """The ONNX file of the encoder, while the block runs.

        Raises:
            SsahError: It is missing.
        """

    def parts(self, model_id: str) -> Path:
        """Folder of what an encoder has encoded before all is done."""

    def disk(self) -> dict[str, int]:
        """Bytes by what they hold; empty where the place does not tell."""

    def close(self) -> None:
        """Let go of connections."""
