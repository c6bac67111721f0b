"""When photos were taken, and by which cameras: read once for each file, for the table of photos.

A date is a text of ISO 8601, `2024-05-03T12:33:10+02:00`: what the clock said where the photo was
taken, with its offset from UTC where that is known. So the first letters of dates compare as days,
months and years do, and photos of a journey stay on the days on which they were taken.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

from ssah_tf.data.capture_time import Moment, moment_in
from ssah_tf.data.exif import camera, read_exif
from ssah_tf.data.second_pictures import second_pictures
from ssah_tf.data.threads import in_batches
from ssah_tf.search.photo_table import Photo

#: Files that are looked at in one go.
BATCH = 256
#: The largest offset from UTC that a clock can have, in seconds.
LARGEST = 15 * 3600


def with_dates(
    photos: Mapping[int, Photo],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[int, Photo]:
    """Those of some photos whose files were not asked yet when and by what they were taken.

    Args:
        photos: Id -> photo.
        progress: Called with how many of the files are read, and how many there are.

    Returns:
        Id -> the photo with what its file says; the time of the file stands in for a date.
    """
    asked = [number for number, photo in photos.items() if not photo.taken_from]
    found: dict[int, Photo] = {}
    for batch in in_batches(lambda number: (number, dated(photos[number])), asked, BATCH):
        found.update(batch)
        progress(len(found), len(asked))
    return found


def dated(photo: Photo) -> Photo:
    """A photo with what its file says of it; of one that is gone, the date of its time alone."""
    exif = read_exif(photo.path)
    moment = moment_in(exif)
    taken = file_date(photo.mtime_ns) if moment is None else exif_date(moment)
    source = "exif" if moment is not None else "file" if taken else "none"
    return replace(
        photo,
        taken=taken,
        taken_from=source,
        camera=camera(exif),
        second_pictures=second_pictures(photo.path),
    )


def exif_date(moment: Moment) -> str:
    """What the camera's clock said, with its offset from UTC if that is one."""
    clock = datetime.min + timedelta(seconds=int(moment.seconds))
    if moment.offset is not None and abs(moment.offset) <= LARGEST:
        clock = clock.replace(tzinfo=timezone(timedelta(seconds=moment.offset)))
    return clock.isoformat()


def file_date(mtime_ns: int) -> str:
    """The time of change of a file, by the clock of this machine; "" for one that is no date."""
    try:
        return datetime.fromtimestamp(mtime_ns // 10**9, UTC).astimezone().isoformat()
    except (OverflowError, OSError, ValueError):
        return ""
