"""Groups that are kept as they are, remembered by content so that they do not come back."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from ssah_tf.system.files import make_folder
from ssah_tf.system.line_file import LineFile

Contents = frozenset[str]


class KeptGroups:
    """Groups of which all photos are kept.

    Args:
        folder: Working folder; made if need be.

    Attributes:
        steps: What was kept and can be undone: when, and the digests of a group; the newest last.

    Raises:
        RunError: The folder cannot be made, or what is in it read.
    """

    def __init__(self, folder: Path):
        make_folder(folder)
        self.lines = LineFile(
            folder / "kept_duplicates.jsonl",
            "move the file away to be asked about all groups again",
        )
        self.steps: list[tuple[str, Contents]] = []
        for number, entry in enumerate(self.lines.entries, start=1):
            try:
                self.take(str(entry["at"]), contents(entry["kept"]), entry["undo"] is True)
            except (KeyError, TypeError, ValueError):
                raise self.lines.damaged(number) from None

    def take(self, at: str, group: Contents, undo: bool) -> None:
        """Take up what a line says.

        Raises:
            ValueError: It takes back what was not kept.
        """
        if undo:
            place = [kept for _, kept in self.steps].index(group)
            del self.steps[place]
        else:
            self.steps.append((at, group))

    def keep(self, group: Contents, undo: bool = False) -> None:
        """Remember a group, or forget it again; on disk when this returns.

        Raises:
            RunError: It cannot be written.
        """
        at = now()
        self.lines.append({"at": at, "undo": undo, "kept": sorted(group)})
        self.take(at, group, undo)

    def __contains__(self, group: Contents) -> bool:
        """Whether all contents of a group are in one that was kept."""
        return any(group <= kept for _, kept in self.steps)


def contents(digests: Iterable[str]) -> Contents:
    """The contents of a group by their digests.

    Raises:
        TypeError, ValueError: They are none.
    """
    return frozenset(bytes.fromhex(digest).hex() for digest in digests)


def now() -> str:
    """The time, as people and programs read it, to the microsecond."""
    return datetime.now(UTC).isoformat(timespec="microseconds")
