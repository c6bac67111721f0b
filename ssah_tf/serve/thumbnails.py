"""Thumbnails that are kept on disk, for all services of a user."""

import hashlib
import os
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ssah_tf.data.decode import RULE
from ssah_tf.serve.pictures import THUMBNAIL, Stamp, open_inside, stamp_of
from ssah_tf.system.errors import RunError
from ssah_tf.system.files import atomic_path

#: Folder of the thumbnails in that of the cache.
FOLDER = "thumbnails"
#: Side, rule of decoding, and version of the drawing: another name where a picture may be another.
ENDING = f"-{THUMBNAIL}-{RULE}-1"
#: Names of kept files, and of those that are being written; no other file is ever removed.
NAMES = re.compile(r"(\.\d+\.)?[0-9a-f]{64}-[0-9-]+")
#: Share of the size down to which old files are removed, so that it is not done at each new one.
LEFT = 0.9

#: What a file was when its content was known: its stamp, and its SHA-256, hexadecimal.
Known = tuple[Stamp, str]


class Thumbnails:
    """Keeps drawn thumbnails by the content of their photos; those that were not wanted long go.

    Several services may keep theirs in one folder. Where it cannot be written nothing is kept.

    Args:
        folder: Of the cache; `None` keeps nothing.
        size: Bytes that are kept, about.
    """

    def __init__(self, folder: Path | None, size: int):
        self.folder = folder / FOLDER if folder and size else None
        self.size = size
        self.written: int | None = None
        self._lock = threading.Lock()

    def find(
        self, path: str, roots: Sequence[str], known: Known | None = None
    ) -> tuple[bytes | None, Known | None]:
        """The thumbnail of a photo, if it is kept.

        Args:
            path: The file.
            roots: See `pictures.open_inside`.
            known: What it was when its content was known; read again if it has changed since.

        Returns:
            The thumbnail or `None`, and what to `keep` a new one by.

        Raises:
            Refused: See `pictures.open_inside`.
        """
        if self.folder is None:
            return None, None
        with open_inside(path, roots) as stream:
            stamp = stamp_of(stream)
            if known is None or known[0] != stamp:
                known = stamp, hashlib.file_digest(stream, "sha256").hexdigest()
        file = self.folder / (known[1] + ENDING)
        try:
            content = file.read_bytes()
        except OSError:
            return None, known
        with suppress(OSError):
            os.utime(file)  # it was wanted
        return content, known

    def keep(self, known: Known | None, stamp: Stamp, drawn: bytes) -> None:
        """Keep a new thumbnail, if the file was drawn that was looked at.

        Args:
            known: See `find`.
            stamp: Of the file that was drawn.
            drawn: The thumbnail.
        """
        if self.folder is None or known is None or known[0] != stamp:
            return
        with suppress(OSError, RunError):
            self.folder.mkdir(0o700, parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            with atomic_path(self.folder / (known[1] + ENDING)) as temporary:
                temporary.touch(0o600)
                temporary.write_bytes(drawn)
            self.count(len(drawn))

    def count(self, added: int) -> None:
        """Remove what was not wanted longest, if there is too much."""
        with self._lock:
            if self.written is not None:
                self.written += added
                if self.written <= self.size:
                    return
            self.written = self.shrink()

    def shrink(self) -> int:
        """Remove old files if all are too large together; the bytes that are left."""
        assert self.folder is not None
        files = []
        for entry in os.scandir(self.folder):
            if NAMES.fullmatch(entry.name):
                with suppress(FileNotFoundError):  # another service removed it
                    found = entry.stat(follow_symlinks=False)
                    files.append((found.st_mtime_ns, found.st_size, entry.path))
        total = sum(size for _, size, _ in files)
        if total > self.size:
            for _, size, path in sorted(files):
                if total <= LEFT * self.size:
                    break
                Path(path).unlink(missing_ok=True)
                total -= size
        return total
