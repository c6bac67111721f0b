"""Text of strangers on a terminal."""


def printable(name: str) -> str:
    """A name on one line: control characters and undecodable bytes as escapes."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)
