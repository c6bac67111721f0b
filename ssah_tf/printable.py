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
