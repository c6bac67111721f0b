"""Addresses of indexes in databases, and what of them may be shown."""

import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit, urlunsplit

from ssah_tf.system.errors import SsahError

#: Scheme of an address -> what an address of it looks like.
FORMS = {
    "postgresql": "postgresql://USER@HOST:PORT/DATABASE/NAME",
    "postgres": "postgresql://USER@HOST:PORT/DATABASE/NAME",
    "milvus": "milvus://HOST:PORT/NAME",
    "milvus+https": "milvus+https://USER:PASSWORD@HOST:PORT/NAME",
}
#: How an address begins; as a `Path` it has lost a slash.
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/")
#: What both engines take as a name without quotes.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,50}")


@dataclass(frozen=True)
class Address:
    """An index in a database.

    Attributes:
        scheme: A key of `FORMS`.
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

    def milvus(self) -> tuple[str, str, str, str]:
        """What Milvus wants apart: address of the server, user, password, database."""
        parts = urlsplit(self.server)
        place = parts.netloc.rpartition("@")[2]
        uri = f"{'https' if self.scheme == 'milvus+https' else 'http'}://{place}"
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        return uri, user, password, parts.path.strip("/")


def is_address(place: object) -> bool:
    """Whether a place is an address, not a folder."""
    return ADDRESS.match(str(place)) is not None


def refuse_address(folder: object) -> None:
    """Refuse an address where a folder is needed.

    Raises:
        SsahError: It is one. The message shows nothing of it: there may be a password in it.
    """
    if is_address(folder):
        raise SsahError("a folder is needed here, not an address")


def parse_address(text: str) -> Address:
    """Take an address apart: the last part of its path is the name of the index.

    Raises:
        SsahError: It is none. The message shows nothing of it, since a password that is not
            escaped may be anywhere in it.
    """
    scheme = text.partition("://")[0]
    expected = FORMS.get(scheme) or f"{FORMS['postgresql']} or {FORMS['milvus']}"
    refusal = SsahError(
        f"not the address of an index: expected {expected}; NAME is of letters, digits and _, and "
        "of a password the letters / : @ ? # % are written as %2F ..."
    )
    try:
        parts = urlsplit(text)
        parts.port, parts.hostname  # noqa: B018  they are parsed, and refused, only here
    except ValueError:
        raise refusal from None
    path = parts.path.strip("/").split("/")
    databases = {"postgresql": (1,), "postgres": (1,)}.get(scheme, (0, 1))
    if scheme not in FORMS or len(path) - 1 not in databases or not NAME.fullmatch(path[-1]):
        raise refusal
    user, at, host = parts.netloc.rpartition("@")
    shown = urlunsplit((scheme, user.partition(":")[0] + at + host, parts.path, "", ""))
    server = urlunsplit((scheme, parts.netloc, "/".join(path[:-1]), parts.query, ""))
    return Address(scheme, server, path[-1], shown)
