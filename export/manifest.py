"""`encoder.json`: what an export holds, with checksums, read back and checked."""

import json
import os
from pathlib import Path

from ssah_tf.system.errors import SsahError
from ssah_tf.system.files import checksum
from ssah_tf.system.reading import parse_json

NAME = "encoder.json"


def write_manifest(folder: Path, about: dict) -> None:
    """Write `encoder.json` with `about` and the checksum of every other file of the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    sums = {path.relative_to(folder).as_posix(): checksum(path) for path in files}
    (folder / NAME).write_text(json.dumps({**about, "files": sums}, indent=1), encoding="utf-8")


def read_manifest(folder: Path) -> dict:
    """Read `encoder.json` and check every file against it.

    Raises:
        SsahError: Not an export, or a file is missing or changed.
    """
    try:
        about = parse_json((folder / NAME).read_bytes())
        sums = dict(about["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SsahError(f"{folder}: not an export of ssah-tf ({error})") from None
    for name, expected in sums.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise SsahError(f"{folder / NAME}: names a file outside of its folder, {name!r}")
        if not os.path.isfile(path):  # unlike `Path.is_file`, no error for an impossible name
            raise SsahError(f"{folder}: {name[:200]!r} is missing")
        if checksum(path) != expected:
            raise SsahError(f"{path}: changed since the export (its checksum differs)")
    return about
