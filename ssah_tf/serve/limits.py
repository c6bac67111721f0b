"""Limits of routes: what a request costs, how many at once, and who may make it."""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from starlette.routing import BaseRoute, Match
from starlette.types import Scope

#: Clients whose rate is remembered.
CLIENTS = 10_000

Endpoint = TypeVar("Endpoint", bound=Callable[..., object])


@dataclass(frozen=True)
class Limits:
    """What a route asks of the gate; by default the token, and nothing else.

    Attributes:
        cost: What a request takes of the rate of its client, in searches; 0 for nothing.
        queue: So many requests of one name are taken in at once; "" for any number.
        open: Whether a client without the token may make it.
        login: Whether a browser without the token is sent to the page that asks for it.
    """

    cost: float = 0.0
    queue: str = ""
    open: bool = False
    login: bool = False


#: A route without a mark.
CLOSED = Limits()
OPEN = Limits(open=True)
PAGE = Limits(login=True)
SEARCH = Limits(cost=1.0, queue="search")
PICTURE = Limits(cost=0.05, queue="picture")


def limits(of: Limits) -> Callable[[Endpoint], Endpoint]:
    """Mark the function of a route with its limits; it stands below `@app.get(...)`."""

    def mark(endpoint: Endpoint) -> Endpoint:
        cast(Any, endpoint).limits = of
        return endpoint

    return mark


def limits_of(routes: Iterable[BaseRoute], scope: Scope) -> Limits:
    """The limits of the route that a request is for; those of no route are those without a mark."""
    for route in routes:
        if route.matches(scope)[0] is Match.FULL:
            return limits_at(route)
    return CLOSED


def limits_at(route: BaseRoute) -> Limits:
    """The limits of a route."""
    return getattr(getattr(route, "endpoint", None), "limits", CLOSED)


class RateLimiter:
    """How many requests each client may make: a bucket that is filled at a rate.

    Args:
        rate: Requests a second; 0 for any number.
        room: What the bucket holds, two seconds' worth if it is not given.
    """

    def __init__(self, rate: float, room: float | None = None):
        self.rate = rate
        self.room = max(1.0, 2 * rate) if room is None else room
        self.clients: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str, cost: float, now: float) -> int:
        """Take `cost` from a client's bucket; 0, or the seconds to wait if there is too little."""
        if not self.rate:
            return 0
        level, then = self.clients.pop(client, (self.room, now))
        level = min(self.room, level + (now - then) * self.rate)
        enough = level >= cost
        self.clients[client] = (level - cost if enough else level, now)
        if len(self.clients) > CLIENTS:
            self.clients.popitem(last=False)
        return 0 if enough else max(1, round((cost - level) / self.rate))


def client_of(scope: Scope) -> str:
    """Whose rate a request counts for: an address, or the network of one in IPv6."""
    host = (scope.get("client") or ("",))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host
