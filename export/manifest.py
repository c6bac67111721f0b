"""`encoder.json`: what an export holds, with checksums, its own too, read back and checked."""

import hashlib
import json
import os
from pathlib import Path

from ssah_tf.system.errors import NewerError, SsahError
from ssah_tf.system.files import checksum
from ssah_tf.system.reading import parse_json

NAME = "encoder.json"
#: Of the manifest; 2 has a checksum of itself.
FORMAT = 2
#: Key of that checksum.
OWN = "manifest_sha256"


def write_manifest(folder: Path, about: dict) -> None:
    """Write `encoder.json` with `about` and the checksum of every other file of the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    sums = {path.relative_to(folder).as_posix(): checksum(path) for path in files}
    whole = {"format": FORMAT, **about, "files": sums}
    whole[OWN] = own_checksum(whole)
    (folder / NAME).write_text(json.dumps(whole, indent=1), encoding="utf-8")


def own_checksum(about: dict) -> str:
    """SHA-256 of what a manifest says, however it is laid out; its entry `OWN` is left out."""
    rest = {key: value for key, value in about.items() if key != OWN}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_manifest(folder: Path) -> dict:
    """Read `encoder.json` and check every file against it, and the manifest against itself.

    Raises:
        SsahError: Not an export, one of another version, or a file is missing or changed.
    """
    path = folder / NAME
    try:
        about = parse_json(path.read_bytes())
        sums = dict(about["files"])
        made = about.get("format", 1)
        if not isinstance(made, int):
            raise ValueError(f"format {made!r}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SsahError(f"{folder}: not an export of ssah-tf ({error})") from None
    if made > FORMAT:
        raise NewerError(path, made, FORMAT)
    if made < FORMAT:
        raise SsahError(
            f"{path} was made by an older version of ssah-tf, without a checksum of itself: run "
            "`ssah export` again"
        )
    if about.get(OWN) != own_checksum(about):
        raise SsahError(f"{path}: changed since the export (its own checksum differs)")
    check_files(folder, sums)
    return about


def check_files(folder: Path, sums: dict[str, str]) -> None:
    """Refuse an export of which a file is missing or changed.

    Args:
        folder: The export.
        sums: Path below it -> checksum.

    Raises:
        SsahError: As said.
    """
    for name, expected in sums.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise SsahError(f"{folder / NAME}: names a file outside of its folder, {name!r}")
        if not os.path.isfile(path):  # unlike `Path.is_file`, no error for an impossible name
            raise SsahError(f"{folder}: {name[:200]!r} is missing")
        if checksum(path) != expected:
            raise SsahError(f"{path}: changed since the export (its checksum differs)")
