"""Addresses of indexes in databases, and what of them may be shown."""

import re
from collections.abc import Container
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from ssah_tf.system.errors import SsahError

#: How an address begins; as a `Path` it has lost a slash.
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/")
#: What all engines take as a name without quotes.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,50}")


@dataclass(frozen=True)
class Address:
    """An index in a database.

    Attributes:
        scheme: What stands before `://`; see `schemes.SCHEMES`.
        server: Address of the server and its database; it may hold a password.
        name: Of the index.
        shown: The address without password and options: this alone is printed.
    """

    scheme: str
    server: str = field(repr=False)
    name: str
    shown: str

    def __str__(self) -> str:
        return self.shown


def is_address(place: object) -> bool:
    """Whether a place is an address, not a folder."""
    return ADDRESS.match(str(place)) is not None


def older(address: Address) -> SsahError:
    """The error of an index that an older version made and that `ssah index` can bring up to date.

    Args:
        address: Where it is.
    """
    return SsahError(
        f"{address} was made by an older version of ssah-tf: run `ssah index` again, which brings "
        "it up to date and keeps its labels"
    )


def take_apart(text: str, databases: Container[int]) -> Address:
    """Take an address apart: the last part of its path is the name of the index.

    Args:
        text: The address.
        databases: How many parts may stand before the name.

    Raises:
        ValueError: It is none.
    """
    parts = urlsplit(text)
    parts.port, parts.hostname  # noqa: B018  they are parsed, and refused, only here
    path = parts.path.strip("/").split("/")
    if len(path) - 1 not in databases or not NAME.fullmatch(path[-1]):
        raise ValueError("not the address of an index")
    user, at, host = parts.netloc.rpartition("@")
    shown = urlunsplit((parts.scheme, user.partition(":")[0] + at + host, parts.path, "", ""))
    server = urlunsplit((parts.scheme, parts.netloc, "/".join(path[:-1]), parts.query, ""))
    return Address(parts.scheme, server, path[-1], shown)
