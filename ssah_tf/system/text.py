"""Text of strangers: on a terminal, and where text must be Unicode."""


def printable(name: str) -> str:
    """A name on one line: control characters and undecodable bytes as escapes."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def as_unicode(path: str) -> str:
    """A path as text of Unicode alone, as Parquet and JSON want it: bytes that are none are marked.

    (File systems allow any bytes; Python holds those that are no text as surrogates.)
    """
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def lines_of(error: BaseException, text: str | None = None) -> list[str]:
    """What an exception says, in lines that have text; its class if it says nothing.

    Args:
        error: The exception.
        text: What it says, if that is not `str(error)`.
    """
    lines = [line.strip() for line in (str(error) if text is None else text).splitlines()]
    return [line for line in lines if line] or [type(error).__name__]


def first_line(error: BaseException, text: str | None = None) -> str:
    """What an exception of other people's code says first, as the reason in a line of ours."""
    return lines_of(error, text)[0]
