"""When a photo was taken, as its camera says."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from PIL import ExifTags, Image

from ssah_tf.data.exif import as_text, read_exif

TAGS = ExifTags.Base
#: What a camera writes before it is set has a year before this.
FIRST_YEAR = 1990


@dataclass(frozen=True)
class Moment:
    """When a photo was taken.

    Attributes:
        seconds: Of the camera's clock since the year 1, with fractions where the camera counts
            them.
        offset: Seconds by which that clock is before UTC, `None` if it does not say.
    """

    seconds: float
    offset: float | None = None


def capture_time(path: str | Path) -> Moment | None:
    """When a photo was taken, by the EXIF data of its file, of which only the head is read.

    The time of the file is no answer: to copy a folder gives all of it one minute.

    Returns:
        `None` if the file does not say, or cannot be read.
    """
    return moment_in(read_exif(path))


def moment_in(exif: Image.Exif) -> Moment | None:
    """When a photo was taken, by its EXIF data; `None` if they do not say."""
    facts = exif.get_ifd(ExifTags.IFD.Exif)
    return parse_moment(*(facts.get(tag) for tag in (
        TAGS.DateTimeOriginal, TAGS.SubsecTimeOriginal, TAGS.OffsetTimeOriginal
    )))  # fmt: skip


@dataclass(frozen=True)
class Dated:
    """When a picture is from, as far as anything says.

    Attributes:
        at: By the clock of the camera, or by that of this machine; without a time zone.
        by: "camera" by its EXIF data; "file" by the time of its last change.
    """

    at: datetime
    by: Literal["camera", "file"]


def dated(path: str | Path, mtime_ns: int) -> Dated:
    """When a picture is from: when it was taken, or else when its file was changed last.

    Args:
        path: The file.
        mtime_ns: Time of its last change, nanoseconds.
    """
    taken = capture_time(path)
    if taken is not None:
        return Dated(datetime.min + timedelta(seconds=taken.seconds), "camera")
    try:
        return Dated(datetime.fromtimestamp(mtime_ns / 1e9), "file")
    except (ValueError, OverflowError, OSError):  # beyond the year 9999
        return Dated(datetime.max, "file")


def parse_moment(time: object, fraction: object = None, offset: object = None) -> Moment | None:
    """A moment from what EXIF says of it, which may be anything.

    Args:
        time: Such as "2024:05:03 12:33:10".
        fraction: Digits behind the point of its seconds.
        offset: Such as "+02:00".

    Returns:
        `None` if the time is none.
    """
    try:
        taken = datetime.strptime(as_text(time)[:19], "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None
    if taken.year < FIRST_YEAR:
        return None
    digits = as_text(fraction)
    part = float(f"0.{digits}") if digits.isascii() and digits.isdigit() else 0.0
    found = re.fullmatch(r"([+-])(\d\d):(\d\d)", as_text(offset), re.ASCII)
    ahead = None
    if found is not None:
        ahead = float(f"{found[1]}1") * 60 * (60 * int(found[2]) + int(found[3]))
    return Moment((taken - datetime.min) / timedelta(seconds=1) + part, ahead)
