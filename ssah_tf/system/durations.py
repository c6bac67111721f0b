"""Times as people type them, and read them."""

import re

from ssah_tf.system.errors import SsahError

UNITS = {"h": 3600, "m": 60, "s": 1}
WRITTEN = re.compile(r"(?:\d+(?:\.\d+)?[hms])+")
PART = re.compile(r"(\d+(?:\.\d+)?)([hms])")


def parse_duration(text: str, option: str) -> float:
    """Seconds of a time such as `90s`, `10m`, `2h` or `1h30m`.

    Args:
        text: As it was typed.
        option: What it was given for, for the message.

    Raises:
        SsahError: It is none, or zero.
    """
    written = text.strip().lower().replace(" ", "")
    seconds = 0.0
    if WRITTEN.fullmatch(written):
        seconds = sum(float(number) * UNITS[unit] for number, unit in PART.findall(written))
    if not seconds:
        raise SsahError(f"{option} {text}: expected a time such as 90s, 10m or 2h")
    return seconds


def in_words(seconds: float) -> str:
    """A time for a person to read: `45 s`, `8 min`, `2 h 5 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
