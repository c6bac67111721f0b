"""What cameras write into photos beside the picture: EXIF data, of which nothing is believed."""

import math
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image

from ssah_tf.data.decode import regular
from ssah_tf.data.open_picture import open_picture

#: Letters of a camera's name that are kept.
NAME = 80


def read_exif(file: str | Path | BinaryIO) -> Image.Exif:
    """The EXIF data of an image file, of which only the head is read; empty if there is none.

    Args:
        file: Its path, or the open file; what is no image, or cannot be read, has no data.
    """
    try:
        if isinstance(file, str | Path):
            regular(file, str(file))
        with open_picture(file) as image:
            # That of PNG files would decode all pixels, to look behind them.
            found = Image.Image.getexif(image)
            for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):  # while the file is open
                found.get_ifd(part)
            return found
    except Exception:  # Pillow raises almost any on a damaged file
        return Image.Exif()


def camera(exif: Image.Exif) -> str:
    """The model of the camera, with its maker where the model does not name it; "" for none."""
    maker, model = (as_name(exif.get(tag)) for tag in (ExifTags.Base.Make, ExifTags.Base.Model))
    brand = maker.partition(" ")[0]
    named = not brand or brand.casefold() in model.casefold()
    return model if named or not model else f"{maker} {model}"[:NAME]


def place(exif: Image.Exif) -> tuple[float, float] | None:
    """Latitude and longitude in degrees, north and east positive; `None` if it does not say."""
    facts, tags = exif.get_ifd(ExifTags.IFD.GPSInfo), ExifTags.GPS
    latitude = degrees(facts.get(tags.GPSLatitude), facts.get(tags.GPSLatitudeRef), "NS", 90)
    longitude = degrees(facts.get(tags.GPSLongitude), facts.get(tags.GPSLongitudeRef), "EW", 180)
    if latitude is None or longitude is None or latitude == longitude == 0:  # "not known yet"
        return None
    return latitude, longitude


def degrees(parts: object, side: object, sides: str, limit: int) -> float | None:
    """Degrees of degrees, minutes and seconds; `None` for anything else.

    Args:
        parts: Three numbers, or what stands in their place.
        side: A letter.
        sides: The two letters that it may be, that of positive degrees first.
        limit: The most degrees that there are.
    """
    letter = as_text(side).upper()
    if len(letter) != 1 or letter not in sides:
        return None
    try:
        whole, minutes, seconds = (float(part) for part in parts)  # type: ignore[attr-defined]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    found = whole + minutes / 60 + seconds / 3600
    if not (math.isfinite(found) and 0 <= found <= limit):
        return None
    return found if letter == sides[0] else -found


def as_text(value: object) -> str:
    """What EXIF says in letters; "" if it is something else."""
    return value.strip(" \0") if isinstance(value, str) else ""


def as_name(value: object) -> str:
    """A name in letters that can be printed, each row of spaces one, and not too long."""
    plain = "".join(c if c.isprintable() else " " for c in as_text(value))
    return " ".join(plain.split())[:NAME].rstrip()
