"""Errors meant for the person at the keyboard."""


class SsahError(Exception):
    """A mistake that the user can mend: one line saying what was received and what to do.

    The command line prints the message alone, without a stack trace, and exits with 1.
    """


class ImageError(SsahError):
    """An image file that cannot be read."""


class DataError(SsahError):
    """An image set or a split that cannot be used."""


class RecipeError(SsahError):
    """A recipe with an unknown key, a wrong type or an impossible value."""


class RunError(SsahError):
    """A run folder that is missing, damaged or already in use."""
