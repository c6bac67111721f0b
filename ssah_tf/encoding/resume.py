"""Shards of an earlier call are taken by what the files are now, not by their names.

Read again is what could not be read then, and what has another size or time of change; only
another content is encoded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ssah_tf.encoding.encoder import Encoder
from ssah_tf.encoding.records import Known, Record, Records, Unreadable, unchanged

#: The files of a shard in order: as they are called now, and what was found of them then.
Entries = Sequence[tuple[str, Record | Unreadable]]


@dataclass(frozen=True)
class Task:
    """What an engine is to encode.

    Attributes:
        number: Of the shard.
        paths: Image files, all of the shard or some.
        known: Contents that are not encoded again.
    """

    number: int
    paths: list[str]
    known: Known = field(default_factory=dict)


@dataclass(frozen=True)
class Resumed:
    """How many files of which kind there were.

    Attributes:
        new: With a code now, not looked at before.
        changed: Whose content is another.
        mended: That could not be read before.
        kept: With the code that they had.
        read: Of those that were looked at before, how many were read again.
        gone: Files that cannot be opened now -> why; they keep the code that they had.
    """

    new: int = 0
    changed: int = 0
    mended: int = 0
    kept: int = 0
    read: int = 0
    gone: dict[str, str] = field(default_factory=dict)

    def __add__(self, other: "Resumed") -> "Resumed":
        return Resumed(
            self.new + other.new,
            self.changed + other.changed,
            self.mended + other.mended,
            self.kept + other.kept,
            self.read + other.read,
            self.gone | other.gone,
        )

    def line(self) -> str:
        """All of it in words; "" if everything was new."""
        if not (self.kept or self.read):
            return ""
        return (
            f"{self.new:,} new, {self.changed:,} changed, {self.mended:,} that could not be read "
            f"before, {self.kept:,} as they were; {self.read:,} read again"
        )


def to_read(entries: Entries, everything: bool) -> list[str]:
    """Files that are to be read again.

    Args:
        entries: See `Entries`.
        everything: Read those, too, whose size and time of change are as they were.
    """
    return [
        name
        for name, was in entries
        if everything or isinstance(was, Unreadable) or not unchanged(name, was.size, was.mtime_ns)
    ]


def known_of(entries: Entries) -> Known:
    """Contents that have a code."""
    records = (was for _, was in entries if isinstance(was, Record))
    return {one.digest: (one.perceptual_hash, one.code) for one in records}


def merge(encoder: Encoder, entries: Entries, fresh: Records) -> tuple[Records | None, Resumed]:
    """A shard of what was found then and what was read again now.

    A file that cannot be opened now keeps its code: that it is another is not known.

    Args:
        encoder: Gives `model_id` and `bits`.
        entries: What was found then; see `Entries`.
        fresh: What was read again.

    Returns:
        The new shard, or `None` if the old one says it all; and how many files were what.
    """
    now: dict[str, Record | Unreadable] = {one.path: one for one in fresh}
    now |= {p: Unreadable(p, why, p in fresh.not_opened) for p, why in fresh.bad.items()}
    changed = mended = kept = 0
    gone: dict[str, str] = {}
    merged, same = list[Record | Unreadable](), True
    for name, was in entries:
        found = now.get(name, was)
        if isinstance(was, Record) and isinstance(found, Unreadable) and found.not_opened:
            gone[name], found = found.reason, was
        elif isinstance(found, Record):
            old = was if isinstance(was, Record) else None
            mended += old is None
            changed += old is not None and old.digest != found.digest
            if old is not None and old.digest == found.digest:
                kept += 1
                found = replace(found, damaged=old.damaged)  # it was not decoded again
        same = same and facts(was) == facts(found)
        merged.append(replace(found, path=name))
    numbers = Resumed(0, changed, mended, kept + len(gone), len(now), gone)
    return (None if same else Records.of(encoder, merged)), numbers


def facts(one: Record | Unreadable) -> tuple[object, ...]:
    """What tells two findings of a file apart."""
    if isinstance(one, Unreadable):
        return (one.reason,)
    return one.digest, one.size, one.mtime_ns
