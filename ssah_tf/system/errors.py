"""Errors meant for the person at the keyboard."""

from ssah_tf.system.text import printable


class SsahError(Exception):
    """A mistake that the user can mend: one line saying what was received and what to do.

    The command line prints the message alone, without a stack trace, and exits with `exit_code`.
    """

    exit_code = 1

    def __str__(self) -> str:
        """The message on one line, whatever the names in it are made of."""
        return printable(super().__str__())


class NewerError(SsahError):
    """What a newer version wrote, of which this one cannot know what it means.

    Args:
        what: The file, folder or address.
        found: Its format.
        known: The newest format that this version reads.
    """

    def __init__(self, what: object, found: int, known: int):
        super().__init__(
            f"{what} was made by a newer version of ssah-tf (format {found}, this version reads "
            f"up to {known}): pip install --upgrade ssah-tf"
        )


class ImageError(SsahError):
    """An image file that cannot be read."""


class TooManyPixels(ImageError):
    """An image that is larger than it may be."""


class DataError(SsahError):
    """An image set or a split that cannot be used."""


class RecipeError(SsahError):
    """A recipe with an unknown key, a wrong type or an impossible value."""


class RunError(SsahError):
    """A run folder that is missing, damaged or already in use."""


class Stopped(SsahError):
    """Work that a signal stopped in good order, and that can go on.

    The exit code is 128 and the signal's number, as shells have it: 130 after Ctrl-C, 143 after
    SIGTERM.

    Args:
        message: What happened, and the command that goes on.
        signal_number: The signal.
    """

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.exit_code = 128 + signal_number
