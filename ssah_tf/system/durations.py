"""Times as people type them."""

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
