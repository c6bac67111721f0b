"""What a request passes before it is answered: by name, origin, token, rate and number."""

import asyncio
import hashlib
import hmac
import ipaddress
import json
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import quote, urlsplit

from starlette.applications import Starlette
from starlette.types import Message, Receive, Scope, Send

from ssah_tf.serve.limits import Limits, RateLimiter, client_of, limits_of
from ssah_tf.serve.metrics import Metrics
from ssah_tf.serve.settings import Settings

#: Cookie of a browser that has shown the token.
COOKIE = "ssah_session"
#: Bytes of a refused upload that are read and dropped, so that the client can hear the answer.
DRAIN = 64 * 2**20
#: Seconds for that.
DRAIN_SECONDS = 5.0
#: Sent with everything. Pages take scripts, styles and pictures from here alone.
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered.

    Attributes:
        status: HTTP status, 4xx or 503.
        reason: One word, for the metrics.
        message: One line for the client.
        headers: More headers.
    """

    status: int
    reason: str
    message: str
    headers: tuple[tuple[str, str], ...] = ()


class TooLarge(Exception):
    """A body turned out larger than allowed while it was read.

    Attributes:
        receive: Gives the rest of it; `None` if there is no more.
        limit: Bytes that are allowed.
    """

    def __init__(self, receive: Receive | None, limit: int):
        super().__init__()
        self.receive = receive
        self.limit = limit


class Gate:
    """ASGI middleware around the whole service.

    Args:
        app: The service.
        settings: Its limits.
        metrics: Where requests are counted.
    """

    def __init__(self, app: Starlette, settings: Settings, metrics: Metrics):
        self.app = app
        self.settings = settings
        self.metrics = metrics
        self.limiter = RateLimiter(settings.rate)
        self.session = None if settings.token is None else session_of(settings.token)
        self.running: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or refuse a request; put the headers on every answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] == "HEAD":  # the server leaves the body out
            scope = {**scope, "method": "GET"}
        begin, status = time.perf_counter(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] = list(message["headers"]) + [
                    (name.encode(), value.encode())
                    for name, value in HEADERS.items()
                    if name.encode() not in there
                ]
            await send(message)

        try:
            await self.pass_or_refuse(scope, receive, send_with_headers)
        finally:
            self.metrics.request(scope, status, time.perf_counter() - begin)

    async def pass_or_refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask each guard in turn, then the service."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        of = limits_of(self.app.routes, scope)
        scope["state"] = {**scope.get("state", {}), "known": self.knows(headers)}
        refusal = (
            self.check_host(headers)
            or self.check_origin(scope, headers)
            or self.check_token(scope, of)
            or self.check_length(headers)
            or self.check_rate(scope, of)
            or self.check_number(of)
        )
        if refusal is not None:
            self.metrics.refused.labels(refusal.reason).inc()
            await refuse(refusal, receive, send)
            return
        self.running[of.queue] += 1
        try:
            await self.app(scope, limited(receive, self.settings.max_upload), send)
        finally:
            self.running[of.queue] -= 1

    def check_host(self, headers: Mapping[str, str]) -> Refusal | None:
        """Against DNS rebinding: a page elsewhere can give its name our address, but not hide it.

        Addresses are no names, so they pass.
        """
        name = host_name(headers.get("host", ""))
        if name == "localhost" or name in self.settings.hosts or is_address(name):
            return None
        return Refusal(
            421, "host", "this service does not go by that name: see `ssah serve --allow-host`"
        )

    def check_origin(self, scope: Scope, headers: Mapping[str, str]) -> Refusal | None:
        """Other sites' pages may not make a browser send anything here."""
        if scope["method"] in ("GET", "HEAD"):
            return None
        origin = headers.get("origin")
        if origin is None or urlsplit(origin).netloc == headers.get("host", ""):
            return None
        return Refusal(403, "origin", "requests from pages of other sites are refused")

    def check_token(self, scope: Scope, of: Limits) -> Refusal | None:
        """Only who knows the token, if there is one; a browser is sent to the page for it."""
        if scope["state"]["known"] or of.open:
            return None
        if of.login:
            return Refusal(303, "token", "log in first", (("location", login_for(scope)),))
        return Refusal(
            401,
            "token",
            "a token is needed: send it as 'Authorization: Bearer TOKEN'",
            (("www-authenticate", "Bearer"),),
        )

    def check_length(self, headers: Mapping[str, str]) -> Refusal | None:
        """A body that says it is too large is not read."""
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length) <= self.settings.max_upload:
            return None
        return too_large(self.settings.max_upload)

    def check_rate(self, scope: Scope, of: Limits) -> Refusal | None:
        """A client with too many requests waits."""
        wait = self.limiter.wait(client_of(scope), of.cost, time.monotonic()) if of.cost else 0
        if not wait:
            return None
        return Refusal(
            429, "rate", "too many requests; try again soon", (("retry-after", str(wait)),)
        )

    def check_number(self, of: Limits) -> Refusal | None:
        """So many at once, no more: the rest would only wait."""
        if not of.queue or self.running[of.queue] < self.settings.queue:
            return None
        return Refusal(
            503, "queue", "too many requests at once; try again", (("retry-after", "1"),)
        )

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request shows the token, or there is none; compared in constant time."""
        if self.session is None:
            return True
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(shown.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and equal(cookie.value, self.session)

    def is_token(self, shown: str) -> bool:
        """Whether this is the token."""
        return self.settings.token is not None and equal(shown, self.settings.token)


def login_for(scope: Scope) -> str:
    """Address of the page for the token, which leads on to what is asked for."""
    query = scope["query_string"].decode("latin-1")
    asked = scope["path"].lstrip("/") + ("?" + query if query else "")
    return f"/login?next={quote(asked)}" if asked else "/login"


def host_name(host: str) -> str:
    """The name in a Host header, without the port."""
    try:
        return (urlsplit("//" + host).hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_address(name: str) -> bool:
    """Whether a name is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def session_of(token: str) -> str:
    """What the cookie of a browser that has shown the token says: not the token itself."""
    return hmac.new(token.encode(), b"ssah-tf session", hashlib.sha256).hexdigest()


def equal(shown: str, secret: str) -> bool:
    """Compare in a time that does not tell how much is right."""
    return hmac.compare_digest(shown.encode(), secret.encode())


def too_large(limit: int) -> Refusal:
    """A body above the limit, or of a length that is none."""
    return Refusal(
        413,
        "size",
        f"the upload is too large: at most {limit / 2**20:.3g} MiB",
        (("connection", "close"),),
    )


def limited(receive: Receive, limit: int) -> Receive:
    """`receive` that stops a body which grows above the limit, whatever its header said."""
    size = 0

    async def count() -> Message:
        nonlocal size
        message = await receive()
        if message["type"] == "http.request":
            size += len(message.get("body", b""))
            if size > limit:
                raise TooLarge(receive if message.get("more_body") else None, limit)
        return message

    return count


async def refuse(refusal: Refusal, receive: Receive, send: Send) -> None:
    """Answer at once; then drop some of what is still coming, or the client may not hear it."""
    body = json.dumps({"error": refusal.message}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *((name.encode(), value.encode()) for name, value in refusal.headers),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await drain(receive)
    await send({"type": "http.response.body", "body": b""})


async def drain(receive: Receive) -> None:
    """Drop what is left of a body, up to a limit in bytes and seconds."""
    size = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while size < DRAIN:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body"):
                    return
                size += len(message.get("body", b""))
