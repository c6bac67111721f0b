"""Which files of a folder are images to read, and what is passed over: counted, with the reason."""

import fnmatch
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssah_tf.data.formats import (
    BESIDE_RAW,
    OF_ENDING,
    RAW_ENDINGS,
    ending_of,
    endings_read,
    stem_of,
    what_to_install,
)
from ssah_tf.system.errors import DataError
from ssah_tf.system.text import as_unicode, printable

#: Folders that systems make for themselves, in lower case: trash, thumbnails, snapshots. (Those
#: whose names begin with a point are passed over as hidden.)
SYSTEM = frozenset(
    {
        # network storage: Synology, QNAP, NetApp, Buffalo, others
        *("@eadir", "#recycle", "#snapshot", "@tmp", "@sharesnap", "@recycle", "@sharebin"),
        *("@recently-snapshot", "@thumb", "network recycle bin", "~snapshot", "trashbox"),
        # Windows
        *("$recycle.bin", "recycler", "system volume information", "found.000", "found.001"),
        # Linux, Android, archives made by macOS
        *("lost+found", "lost.dir", "__macosx"),
    }
)
#: Reasons that are no name or ending.
EXCLUDED, HIDDEN, LINKED = "excluded", "hidden", "linked"
#: The reason for a raw file beside the picture that the camera made of it: they are one photo.
PAIRED = "raw beside a picture of the same name"
#: Reasons that nobody has to be warned of: somebody asked for them, or they are a convention.
EXPECTED = frozenset({EXCLUDED, HIDDEN, PAIRED})


@dataclass(frozen=True)
class PassedOver:
    """What a scan has left out.

    Attributes:
        files: Reason (".psd", "hidden", "excluded", ...) -> image files.
        folders: Reason ("@eaDir", "linked", "excluded") -> folders that were not looked into.
        unlisted: Folder that cannot be listed -> why.
    """

    files: Counter[str] = field(default_factory=Counter)
    folders: Counter[str] = field(default_factory=Counter)
    unlisted: dict[str, str] = field(default_factory=dict)

    def __add__(self, other: "PassedOver") -> "PassedOver":
        return PassedOver(
            self.files + other.files,
            self.folders + other.folders,
            self.unlisted | other.unlisted,
        )

    def and_files(self, reason: str, count: int) -> "PassedOver":
        """The same, with further image files that are left out."""
        return self + PassedOver(Counter({reason: count}))

    @property
    def unexpected(self) -> bool:
        """Whether images may be missing that a person counts on."""
        return bool(self.files.keys() - EXPECTED or self.unlisted)

    def line(self) -> str:
        """All of it on a line, such as "17 image files passed over: 12 .psd, 5 .jxl"; or ""."""
        parts = [
            f"{number_of(total, what)} passed over: {listed(found)}"
            for found, what in ((self.files, "image file"), (self.folders, "folder"))
            if (total := found.total())
        ]
        known = (OF_ENDING[reason] for reason in self.files if reason in OF_ENDING)
        if command := what_to_install(known):
            parts[0] += f" (to read more of them: {command})"
        if self.unlisted:
            folder, why = next(iter(self.unlisted.items()))
            example = "for example " if len(self.unlisted) > 1 else ""
            parts.append(
                f"{number_of(len(self.unlisted), 'folder')} cannot be listed: "
                f"{example}{printable(folder)} ({why})"
            )
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for `json.dumps`."""
        return {
            "files": dict(self.files.most_common()),
            "folders": dict(self.folders.most_common()),
            "unlisted": {as_unicode(folder): why for folder, why in self.unlisted.items()},
            "line": self.line(),
            "unexpected": self.unexpected,
        }


def number_of(count: int, what: str) -> str:
    """A number of things in words."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def listed(found: Counter[str]) -> str:
    """Counts by reason, the largest first."""
    ordered = sorted(found.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{count:,} {printable(reason)}" for reason, count in ordered)


class Exclude:
    """Patterns of what is to be passed over, as `*`, `?` and `[...]`.

    One without a slash fits the name of a file or folder, wherever it is; one with a slash fits the
    path below the folder that is scanned, or the whole path if it begins with a slash.

    Args:
        patterns: The patterns.
    """

    def __init__(self, patterns: Iterable[str] = ()):
        given = [re.sub(r"^(\./)+", "", pattern).rstrip("/") for pattern in patterns]
        self.name = any_of(pattern for pattern in given if "/" not in pattern)
        self.below = any_of(p for p in given if "/" in p and not p.startswith("/"))
        self.whole = any_of(pattern for pattern in given if pattern.startswith("/"))

    def __bool__(self) -> bool:
        return any((self.name, self.below, self.whole))

    def __call__(self, root: str, path: str) -> bool:
        """Whether a file or folder is to be passed over: `path` below `root`."""
        return bool(
            (self.name and self.name.match(os.path.basename(path)))
            or (self.below and self.below.match(path))
            or (self.whole and self.whole.match(os.path.abspath(os.path.join(root, path))))
        )


def any_of(patterns: Iterable[str]) -> re.Pattern[str] | None:
    """One expression for several patterns; `None` for none."""
    given = [fnmatch.translate(pattern) for pattern in patterns if pattern]
    return re.compile("|".join(given)) if given else None


def with_absolute(patterns: Iterable[str]) -> list[str]:
    """Patterns as they are typed: what has a slash may be meant from the current folder, too."""
    found: dict[str, None] = {}
    for pattern in patterns:
        found[pattern] = None
        if "/" in pattern.rstrip("/"):
            found[os.path.abspath(pattern)] = None
    return list(found)


@dataclass(frozen=True)
class Scan:
    """Image files that are to be read, and what was passed over.

    Attributes:
        paths: The files; sorted, and relative to the folder, if one folder was scanned.
        passed: What was left out.
    """

    paths: list[str]
    passed: PassedOver = field(default_factory=PassedOver)


def scan(folder: str | Path, exclude: Sequence[str] = (), counted: set[str] | None = None) -> Scan:
    """Image files below a folder by their ending, sorted, as paths relative to it.

    Of a raw file and a picture (JPEG or HEIC) of the same name beside it the picture is taken.
    Links to folders are not followed; hidden files and folders, and those of systems, are passed
    over, as is a folder that cannot be listed.

    Args:
        folder: Where to look. Whatever it is called, it is looked into.
        exclude: Patterns of what is passed over, too; see `Exclude`.
        counted: Folders, absolute, whose files were counted before; those of this scan are added.

    Raises:
        DataError: The folder itself cannot be listed.
    """
    root, rule, passed = os.fspath(folder), Exclude(exclude), PassedOver()
    paths: list[str] = []
    above, read = os.path.join(root, ""), endings_read()

    def unlisted(error: OSError) -> None:
        if error.filename == root:
            raise DataError(f"{printable(root)}: cannot be listed ({error.strerror})")
        passed.unlisted[str(error.filename)] = error.strerror or type(error).__name__

    for parent, folders, files in os.walk(root, onerror=unlisted):
        below = "" if parent == root else parent[len(above) :] + "/"
        why = {name: why_not_into(root, below + name, rule) for name in folders}
        folders[:] = sorted(name for name in folders if why[name] is None)
        ending = {name: ending_of(name) for name in files}
        taken = [
            name
            for name in sorted(files)
            if ending[name] in read and name[0] != "." and not (rule and rule(root, below + name))
        ]
        pictures = () if RAW_ENDINGS.isdisjoint(ending.values()) else stems(taken)
        if pictures:
            taken = [name for name in taken if not is_paired(name, pictures)]
        paths += [below + name for name in taken]
        if counted is not None:
            place = os.path.abspath(parent)
            if place in counted:
                continue
            counted.add(place)
        passed.folders.update(reason for reason in why.values() if reason)
        if len(taken) < len(files):
            passed.files.update(
                reason
                for name in set(files).difference(taken)
                if (reason := why_not_taken(root, below + name, rule, pictures))
            )
    return Scan(paths, passed)


def stems(names: Iterable[str]) -> frozenset[str]:
    """Names, without their endings, of the pictures that cameras write beside raw files."""
    return frozenset(stem_of(name) for name in names if ending_of(name) in BESIDE_RAW)


def is_paired(name: str, pictures: Collection[str]) -> bool:
    """Whether a file is the raw file of one of some pictures; see `stems`."""
    return ending_of(name) in RAW_ENDINGS and stem_of(name) in pictures


def why_not_into(root: str, path: str, rule: Exclude) -> str | None:
    """Why a folder is not looked into; `None` if it is, "" for a hidden one."""
    name = os.path.basename(path)
    if name.startswith("."):
        return ""
    if name.lower() in SYSTEM:
        return name
    if rule and rule(root, path):
        return EXCLUDED
    return LINKED if os.path.islink(os.path.join(root, path)) else None


def why_not_taken(
    root: str, path: str, rule: Exclude, pictures: Collection[str] = ()
) -> str | None:
    """Why a file is not taken that is an image by its ending; `None` for other files.

    Args:
        root: The folder that is scanned.
        path: The file, relative to it.
        rule: What is excluded.
        pictures: `stems` of the pictures beside it.
    """
    name = os.path.basename(path)
    ending = os.path.splitext(name)[1].lower()
    if ending not in OF_ENDING or name.startswith("._"):
        return None
    if name.startswith("."):
        return HIDDEN
    if rule and rule(root, path):
        return EXCLUDED
    return PAIRED if is_paired(name, pictures) else ending


def why_missing(root: str, path: str, exclude: Sequence[str], passed: PassedOver) -> str | None:
    """Why a file that somebody names is not among those of a scan; `None` if it is not there.

    Args:
        root: The folder that was scanned.
        path: The file, relative to it.
        exclude: The patterns of the scan.
        passed: What it left out.
    """
    rule, folders = Exclude(exclude), path.split("/")[:-1]
    whole = os.path.join(root, path)
    if any(whole.startswith(folder + "/") for folder in passed.unlisted):
        return "in a folder that cannot be listed"
    if not os.path.lexists(whole):
        return None
    if ".." in folders or os.path.isabs(path):
        return "outside of the folder"
    for depth in range(1, len(folders) + 1):
        why = why_not_into(root, "/".join(folders[:depth]), rule)
        if why is not None:
            return f"in a folder that is {why or HIDDEN}" if why in ("", EXCLUDED, LINKED) else why
    return why_not_taken(root, path, rule, beside(whole, rule, root)) or "no image by its ending"


def beside(file: str, rule: Exclude, root: str) -> frozenset[str]:
    """`stems` of the pictures in the folder of a raw file that are taken; none for another file."""
    if ending_of(file) not in RAW_ENDINGS:
        return frozenset()
    folder, read = os.path.dirname(file), endings_read()
    names = (name for name in os.listdir(folder) if ending_of(name) in read and name[0] != ".")
    if rule:
        below = os.path.relpath(folder, root)
        names = (n for n in names if not rule(root, n if below == "." else f"{below}/{n}"))
    return stems(names)
