"""Options of services behind a proxy, and the names under which a service is asked."""

import ipaddress
import re
import socket
from typing import Annotated, TypedDict
from urllib.parse import urlsplit

import typer

from ssah_tf.system.errors import SsahError
from ssah_tf.system.text import printable

#: Ports that an origin does not say.
PORTS = {"http": 80, "https": 443}
ROOT_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")

AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME", help="Answer requests for this name, too; may come several times."
    ),
]
AllowOrigin = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ORIGIN",
        help="Take requests from the service's pages under this address of a proxy, such as "
        "https://photos.example:8443; may come several times.",
    ),
]
RootPath = Annotated[
    str,
    typer.Option(
        metavar="PATH",
        help="Answer for a proxy that shows the service below this path, /photos say.",
    ),
]
ForwardedAllowIps = Annotated[
    str,
    typer.Option(
        metavar="ADDRESSES",
        help="Believe the X-Forwarded-For of proxies at these addresses and networks, separated by "
        "commas.",
    ),
]


class Reached(TypedDict):
    """How a service is reached; fields of `Settings`."""

    hosts: frozenset[str]
    origins: frozenset[str]
    root_path: str
    proxies: str


def reached(
    host: str,
    allow_host: list[str] | None,
    allow_origin: list[str] | None,
    root_path: str,
    forwarded_allow_ips: str,
) -> Reached:
    """How a service is reached, as its options say.

    Raises:
        SsahError: An origin, a path or an address is none.
    """
    origins = frozenset(map(as_origin, allow_origin or ()))
    names = (host, socket.gethostname(), *(allow_host or ()))
    return {
        "hosts": frozenset(name.lower() for name in (*names, *map(host_of, origins))),
        "origins": origins,
        "root_path": as_root_path(root_path),
        "proxies": as_networks(forwarded_allow_ips),
    }


def as_origin(text: str) -> str:
    """An origin as browsers write it: in small letters, without a port that goes without saying.

    Raises:
        SsahError: It is none.
    """
    try:
        parts = urlsplit(text.strip().lower())
        port, name = parts.port, parts.hostname
    except ValueError:
        parts, port, name = urlsplit(""), None, None
    if not name or parts.scheme not in PORTS or parts.path.strip("/") or "@" in parts.netloc:
        raise SsahError(
            f"--allow-origin {printable(text)}: expected an address such as "
            "https://photos.example:8443"
        )
    name = f"[{name}]" if ":" in name else name
    shown = "" if port in (None, PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{name}{shown}"


def host_of(origin: str) -> str:
    """The name in an origin."""
    return urlsplit(origin).hostname or ""


def as_root_path(text: str) -> str:
    """A path without a slash at its end, "" for none.

    Raises:
        SsahError: It is none.
    """
    path = text.rstrip("/")
    if path and not ROOT_PATH.fullmatch(path):
        raise SsahError(f"--root-path {printable(text)}: expected a path such as /photos")
    return path


def as_networks(text: str) -> str:
    """Addresses and networks, separated by commas, or `*` for any.

    Raises:
        SsahError: One is none.
    """
    given = [part.strip() for part in text.split(",") if part.strip()]
    for part in given:
        try:
            if given != ["*"]:
                ipaddress.ip_network(part)
        except ValueError:
            raise SsahError(
                f"--forwarded-allow-ips {printable(part)}: expected addresses and networks such as "
                "127.0.0.1,10.0.0.0/8"
            ) from None
    return ",".join(given)
