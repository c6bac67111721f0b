"""The photos of an index as the disk holds them now: which are there, and which are one file."""

import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import file_digest

from ssah_tf.data.threads import in_batches
from ssah_tf.search.photo_table import PhotoTable
from ssah_tf.system.text import printable

#: Files that are looked at in one go.
BATCH = 256


@dataclass(frozen=True)
class Differences:
    """Paths of an index whose files are not what they were when it was made.

    Attributes:
        missing: There is no such file.
        unreadable: The file is there and cannot be read.
        changed: Its content is another.
    """

    missing: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.unreadable or self.changed)

    def __str__(self) -> str:
        """How many there are, one of them, and what to do; "" if there are none."""
        kinds = (
            (self.missing, "is missing", "are missing"),
            (self.unreadable, "cannot be read", "cannot be read"),
            (self.changed, "has changed", "have changed"),
        )
        found: list[str] = []
        for paths, one, many in kinds:
            if paths:
                noun = "" if found else " photo" if len(paths) == 1 else " photos"
                found.append(f"{len(paths):,}{noun} {one if len(paths) == 1 else many}")
        if not found:
            return ""
        listed = " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
        example = printable([*self.missing, *self.unreadable, *self.changed][0])
        advice = "mount the disk if it is away, else run" if self.missing else "run"
        return (
            f"{listed} since the index was made, for example {example}; left out here: "
            f"{advice} `ssah index` again"
        )


@dataclass(frozen=True)
class Seen:
    """A file as it is now: which real file it is, its size and the time of its last change."""

    file: tuple[int, int] | str
    size: int
    mtime_ns: int


class Disk:
    """What there is now of the photos of an index; rows are those of its table.

    Args:
        photos: The table.

    Attributes:
        paths: Of all rows.
        seen: Row -> its file as it is now, for those that are as they were indexed.
    """

    def __init__(self, photos: PhotoTable):
        self.paths = photos.paths()
        self.sizes, self.times = (photos.table[name].to_numpy() for name in ("size", "mtime_ns"))
        self.digests = photos.contents()
        self.seen: dict[int, Seen] = {}
        self._lost: dict[int, str] = {}

    def look(self, progress: Callable[[int, int], None] = lambda done, total: None) -> list[int]:
        """Look at all files; rows of those whose content is as indexed.

        A file with another size or time is read: a photo that was only touched has not changed.
        """
        rows = range(len(self.paths))

        def one(row: int) -> Seen | str:
            found = self.stat(row)
            if isinstance(found, str) or self.as_indexed(row, found):
                return found
            if found.size != self.sizes[row]:
                return "changed"
            return found if (reason := self.compared(row)) is None else reason

        return self.keep(rows, one, self.seen, progress)

    def confirm(
        self,
        rows: Sequence[int],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[int]:
        """Read files and compare their contents with the digests; the rows of those that agree."""

        def one(row: int) -> Seen | str:
            return self.seen[row] if (reason := self.compared(row)) is None else reason

        return self.keep(rows, one, {}, progress)

    def still(self, rows: Sequence[int]) -> list[int]:
        """Rows whose files are the same ones, of the same size and time, as in the first look."""

        def one(row: int) -> Seen | str:
            found = self.stat(row)
            return found if isinstance(found, str) or found == self.seen[row] else "changed"

        return self.keep(rows, one, {})

    def lose(self, row: int, reason: str) -> None:
        """Take note that the file of a row is "missing", "unreadable" or "changed"."""
        self._lost.setdefault(row, reason)

    def lost(self) -> Differences:
        """All that is not as it was indexed, as far as it was looked at."""

        def paths(reason: str) -> tuple[str, ...]:
            return tuple(
                self.paths[row] for row, why in sorted(self._lost.items()) if why == reason
            )

        return Differences(paths("missing"), paths("unreadable"), paths("changed"))

    def real_files(self, rows: Sequence[int]) -> list[int]:
        """One row for each real file, however many names it has: links, folders under two names.

        The name that no link is part of stands for the file, or else one that is no link itself.
        """
        files: dict[tuple[int, int] | str, list[int]] = {}
        for row in rows:
            files.setdefault(self.seen[row].file, []).append(row)

        def distance(row: int) -> tuple[bool, bool, int]:
            path = self.paths[row]
            return os.path.realpath(path) != path, self.is_link(row), row

        return sorted(names[0] if len(names) == 1 else min(names, key=distance)
                      for names in files.values())  # fmt: skip

    def is_link(self, row: int) -> bool:
        """Whether the name is a symbolic link: to delete it frees nothing."""
        return os.path.islink(self.paths[row])

    def as_indexed(self, row: int, found: Seen) -> bool:
        """Whether a file has the size and the time of change that it had."""
        return (found.size, found.mtime_ns) == (self.sizes[row], self.times[row])

    def stat(self, row: int) -> Seen | str:
        """The file of a row as it is now, or what is wrong with it."""
        path = self.paths[row]
        try:
            found = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        except OSError:
            return "unreadable"
        if not stat.S_ISREG(found.st_mode):
            return "changed"
        # Some file systems number nothing; there the name without links has to do.
        file = (found.st_dev, found.st_ino) if found.st_ino else os.path.realpath(path)
        return Seen(file, found.st_size, found.st_mtime_ns)

    def compared(self, row: int) -> str | None:
        """What is wrong with the content of a row's file, `None` if it is that of the index."""
        try:
            with open(self.paths[row], "rb") as stream:
                digest = file_digest(stream, "sha256").digest()
        except FileNotFoundError:
            return "missing"
        except OSError:
            return "unreadable"
        return None if digest == self.digests[row].tobytes() else "changed"

    def keep(
        self,
        rows: Sequence[int],
        look: Callable[[int], Seen | str],
        seen: dict[int, Seen],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[int]:
        """Rows for which `look` finds a file, which goes to `seen`; what is wrong with the others
        is taken note of."""
        good, done = [], 0
        for batch in in_batches(look, rows, BATCH):
            progress(done, len(rows))
            for row, found in zip(rows[done : done + len(batch)], batch, strict=True):
                if isinstance(found, str):
                    self.lose(row, found)
                else:
                    good.append(row)
                    seen[row] = found
            done += len(batch)
        return good
